// Package smtptest has the other end of a delivery, for tests: a scripted SMTP
// peer that answers, stays silent, disconnects, trickles or talks garbage at any
// step and records what it received octet for octet; a certificate authority; and
// a connection with a round-trip time.
//
// A Peer listens on loopback, or serves any net.Conn it is given, so that it also
// works with net.Pipe inside a testing/synctest bubble. What always holds: a Peer
// writes its replies only when it would have to wait for more input, as a server
// that offers PIPELINING does; everything it starts ends by Close.
package smtptest
