// Package system runs the relays that are measured: Postrider, and Postfix as
// Debian configures it and as one would tune it. Each gets a directory of its
// own for configuration, queue and log, listens on loopback addresses only, and
// hands its mail to addresses on loopback.
//
// A Relay is one that has been started. It is stopped by a signal to the very
// processes it began; those are known because they share a meter.Target.
package system
