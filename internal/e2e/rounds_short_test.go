//go:build !realpeers

package e2e

// crashRounds is how often TestKilledUnderLoad kills the daemon unless
// -crash.rounds says otherwise. CI does more.
const crashRounds = 5
