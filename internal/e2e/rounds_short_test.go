//go:build !realpeers

package e2e

// crashRounds is how often TestKilledUnderLoad kills the daemon. CI does more.
const crashRounds = 5
