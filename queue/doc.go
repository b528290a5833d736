// Package queue decides what is delivered when. It keeps every message that was
// accepted until each of its recipients has been delivered to, bounced, or given
// to the operator.
//
// It knows no SMTP and no disk: a Store keeps what must survive, a Router names
// destinations, a Deliverer carries a delivery to its next hop, a mail.Recorder
// hears of every event. The unit of scheduling and settling is the delivery: a
// message and those of its recipients that go to one destination.
//
// In memory there is a hop for each destination with a backlog, in it a lane for
// each identity and class, and in a lane the first due entries and a cursor into
// the store's schedule (lane.go). Workers take turns between hops (turn.go), carry
// a delivery and settle it (worker.go, judge.go, settle.go). Attempts, operators,
// sweeps and new routes all change a delivery by a settlement: one commit with
// its reports, while they hold its claim (settlement.go).
//
// What always holds: a message is durable before Incoming.Commit returns nil; a
// report about a failure is durable in the same commit that removes what it
// reports; at most one attempt at a delivery runs at any time. After a crash
// every delivery that was not settled is tried again, so a message may arrive
// twice and never not at all. Stop waits for the attempts that run and settles
// them; what it could not settle in time is simply still in the queue.
package queue
