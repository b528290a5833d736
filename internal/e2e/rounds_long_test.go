//go:build realpeers

package e2e

// crashRounds is how often TestKilledUnderLoad kills the daemon.
const crashRounds = 30
