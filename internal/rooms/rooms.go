// Package rooms holds the test that keeps the imports between Postrider's
// folders pointing one way. docs/flow.md shows the same order to people.
package rooms
