// Package rooms holds the tests that keep the imports between Postrider's
// folders pointing one way, and docs/flow.md, which shows the same order to
// people, in step with the code.
package rooms
