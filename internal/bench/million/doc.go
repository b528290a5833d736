// Command million shows what a backlog costs: it fills a queue on disk with
// deferred messages, starts it again, has them listed, counted and delivered,
// and reports rates, times and memory.
//
//	go run ./internal/bench/million                    a million over 1,000 destinations
//	go run ./internal/bench/million -messages 100000   a tenth of it
//
// It drives package queue on package spool, with neither SMTP nor DNS between, so
// that what it measures is the queue's own. Each phase runs in a process of its
// own, whose memory is nothing but that phase's. See docs/performance.md for
// figures.
package main
