// Package admin is how people and machines look after a running relay: health
// and metrics over HTTP, and the control socket that the queue commands use.
//
// The HTTP listener tells and changes nothing, so that it may be reached by
// probes and scrapers without a login. Whatever changes the queue goes through
// the control socket, a unix socket in the state directory that only its owner
// can open (mode 0600).
//
// What always holds: a scrape or a listing costs the relay a bounded amount of
// memory; no label of a metric holds an address or an open set of names; a
// listener that is closed has no goroutine left behind.
//
// A crash leaves the control socket's file, which the next start replaces. Stop
// lets running requests finish until its context ends, then cuts them off.
package admin
