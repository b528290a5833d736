// Package storetest holds the contract of queue.Store as tests. Every engine
// runs them: Run for the behaviour of each call, Script and Model for random
// histories that an engine's own tests interrupt by crashes and disk errors.
package storetest
