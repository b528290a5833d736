// Package submission is the SMTP front end: it listens, learns who a client is,
// and takes messages into the queue.
//
// go-smtp's server is the protocol engine. Between it and the network stands a
// guard, the net.Conn the engine gets: it reads the client's commands itself,
// answers what the engine would answer wrongly, and passes on only commands that
// are well formed and in order. Content never travels through the engine; it goes
// from the connection to the queue. docs/decisions/0002-guarded-connection.md
// tells why.
//
// What always holds: nothing is relayed for a client that is not identified;
// a message is acknowledged only after the queue's Commit returned nil; bytes that
// were sent as content are never read as commands, nor bytes that were sent in
// clear as part of an encrypted session; only CR LF . CR LF ends DATA, and what
// leaves here holds no CR or LF alone. A connection has one goroutine; everything
// a client can make grow has a bound.
//
// A crash loses only messages that were not acknowledged yet. Shutdown answers
// 421 to idle and new clients, and waits for the transactions that run.
package submission
