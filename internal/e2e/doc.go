// Package e2e holds the tests that run the real binary as its users do: started
// from a configuration file, fed by mail clients, watched from outside.
//
// Tests that need other people's programs (Postfix, swaks, curl, msmtp, Python)
// carry the build tag realpeers; CI sets it after installing them, and a missing
// program is a failure there. Everything else runs with Go alone.
package e2e
