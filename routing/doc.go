// Package routing finds where mail goes next: the route table names a route for
// a recipient, and a route gives next hops in the order they are to be tried,
// either its smarthosts or what CNAME, MX and address records say (RFC 5321
// section 5).
//
// What always holds: a temporary failure of DNS is never taken for an answer;
// nothing is unbounded (CNAME hops, exchangers, addresses, cache). Routing does
// not connect to mail hosts and keeps no mail. A Table is immutable; a reload
// swaps it whole.
package routing
