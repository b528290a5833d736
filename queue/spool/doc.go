// Package spool is the embedded engine of the queue: a queue.Store on Pebble v2
// and files. It is the only room that touches the disk below the queue.
//
// One directory holds everything:
//
//	LOCK      held (fcntl) as long as a process has the spool open
//	holder    who holds it, for people: pid, host, since
//	reserve   space that is given up when the disk is full (reserve.go)
//	db/       Pebble: its log (*.log), its tables (*.sst) with envelopes,
//	          deliveries and the schedule, and the contents of 1 to 64 KiB beside
//	          them (*.blob); which of them count, MANIFEST-* and marker.manifest.*
//	content/  a file for each content over 64 KiB, named by the message's id
//	rebuild   there while the schedule is to be made anew (rebuild.go)
//	damaged/  what was moved out of the way: content files by their id, files and
//	          engines behind the time of the move
//	db.new/   an engine that is being made anew (renew.go)
//
// Keys are described byte by byte in key.go, values in value.go.
//
// What always holds: a message is in the engine in whole or not at all, since
// it is made by one batch, and a content file is synced under its final name
// before the batch that mentions it. A message has its record as long as it has
// an unfinished delivery; the batch that ends the last one removes the rest.
// Each unfinished delivery has exactly one place: in the schedule while it is
// Active or Deferred, in the index of its state while it is Held, Captured or
// Dead. The counters change in the batch that changes what they count.
//
// A crash costs what was not synced: messages whose Commit had not returned, and
// the removals since the last synced commit, whose messages come back whole (the
// content file of a message is therefore unlinked after a sync that came behind its
// removal, see journal). Open replays
// the log, sweeps content files that no message names, and reports and moves
// aside those that a message misses.
//
// Damage that Open finds costs what is damaged and no more: a log is cut where it
// can't be read (salvage.go), an engine with damaged tables is made anew with what
// can be read (renew.go, scan.go, hollow.go), the schedule and the counters are made
// from the records (rebuild.go). What is lost is logged and kept aside; so are, by the
// next sweep, content files that no message names any more. Only a damaged manifest
// is refused (manifest.go). Verify and Inspect look and change nothing.
//
// A write error below Pebble would end the process (a failed log write is
// fatal there). Here it ends the engine's generation only: from then on nothing
// the old generation does reaches the disk (fence.go), commits fail, and a new
// generation is opened from what is durable (generation.go), again and again
// until the disk works. Nothing that was acknowledged is lost thereby.
//
// Close waits for what runs and syncs what was not.
package spool
