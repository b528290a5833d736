// Package delivery carries one delivery to its next hop: it looks its route up
// anew, walks the hosts that the route gives, speaks SMTP with the first that
// will have it, and turns the replies into one result for each recipient.
//
// The path of a delivery through the files: courier.go takes it, attempt.go looks
// up the route and walks the hosts, key.go says which session will do, dial.go,
// setup.go, secure.go and login.go make one, exchange.go sends the transaction, classify.go says
// what each reply means, verdict.go writes that down per recipient, and suspects.go
// remembers at whom a host hung up. requiretls.go is about mail that insists on TLS.
//
// What always holds: a reply is bounded in lines, octets and time, every write in
// time, and so is a transaction as a whole; unknown is temporary; a host that answers
// more than it is asked is not believed; content reaches a next hop octet for octet or
// not at all, unless RFC 6152 or RFC 3030 makes it change its encoding; a password leaves
// only under TLS, unless the route says otherwise; a host that may have taken the message
// without saying so is named in the outcome. A crash in the middle of an attempt leaves
// nothing behind here: the queue tries again. Close ends the idle connections with QUIT
// and stops the one timer there is; attempts in progress end by their context.
package delivery
