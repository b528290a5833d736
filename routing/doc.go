// Package routing finds where mail goes next: the route table names a route for
// a recipient, and a route gives next hops in the order they are to be tried,
// either its smarthosts or what CNAME, MX and address records say (RFC 5321
// section 5).
//
// What always holds: a temporary failure of DNS is never taken for an answer;
// nothing is unbounded (CNAME hops, exchangers, addresses, cache, memory of
// failures); nothing that DNS says about a smarthost is permanent. Routing does
// not connect to mail hosts and keeps no mail. A Table is immutable; a reload
// swaps it whole.
//
// What it knows, it knows in memory only: after a crash it asks again. At
// shutdown Resolver.Close ends the questions that are under way.
//
// The way of a question: Router.Plan (router.go) asks exchanger.go or
// smarthost.go for candidates, address.go for their addresses, health.go for what
// failed lately; resolver.go follows aliases and keeps answers (cache.go);
// client.go speaks to servers (servers.go).
package routing
