// Package load makes mail and takes it: Postfix's smtp-source and smtp-sink
// where they can do the job, so that figures compare with others taken with
// them, and for the rest an Injector (AUTH, STARTTLS, a steady rate, many
// destinations) and a Sink (arrival times, several addresses, receivers that
// misbehave) of our own, with a Proxy between that makes a receiver distant.
//
// Everything listens on and connects to loopback addresses only.
package load
