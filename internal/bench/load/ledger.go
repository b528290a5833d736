package load

import (
	"slices"
	"sync/atomic"
	"time"
)

// Ledger remembers for every message of a run when its content had been sent
// and when it arrived, so that latency, loss and duplicates are known exactly.
// Messages are numbered from zero and carry their number in a header field.
type Ledger struct {
	base    time.Time
	sent    []atomic.Int64 // nanoseconds after base just before the end of the data; 0: not yet
	arrived []atomic.Int64 // nanoseconds after base of the first arrival; 0: not yet
	copies  []atomic.Int32
	total   atomic.Int64 // messages that arrived at least once
}

// NewLedger makes room for count messages.
func NewLedger(count int) *Ledger {
	return &Ledger{
		base:    time.Now().Add(-time.Nanosecond),
		sent:    make([]atomic.Int64, count),
		arrived: make([]atomic.Int64, count),
		copies:  make([]atomic.Int32, count),
	}
}

func (l *Ledger) noteSent(number int) { l.sent[number].Store(int64(time.Since(l.base))) }

// noteArrived counts a copy of a message. Numbers of another run are ignored.
func (l *Ledger) noteArrived(number int) {
	if number < 0 || number >= len(l.copies) {
		return
	}
	if l.copies[number].Add(1) > 1 {
		return
	}
	l.arrived[number].Store(int64(time.Since(l.base)))
	l.total.Add(1)
}

// Len returns how many messages there are.
func (l *Ledger) Len() int { return len(l.copies) }

// Arrived returns how many messages have arrived at least once.
func (l *Ledger) Arrived() int { return int(l.total.Load()) }

// Duplicates returns how many copies came beyond the first of each message.
func (l *Ledger) Duplicates() int {
	var n int
	for i := range l.copies {
		n += max(0, int(l.copies[i].Load())-1)
	}
	return n
}

// Delays returns, sorted, how long each message that arrived took from the end
// of its data, for the messages whose number pick accepts.
func (l *Ledger) Delays(pick func(number int) bool) []time.Duration {
	var delays []time.Duration
	for i := range l.sent {
		sent, arrived := l.sent[i].Load(), l.arrived[i].Load()
		if sent > 0 && arrived > 0 && pick(i) {
			delays = append(delays, time.Duration(arrived-sent))
		}
	}
	slices.Sort(delays)
	return delays
}

// Span returns the messages that pick accepts and have arrived, and the time from
// the first of them being sent to the last arrival.
func (l *Ledger) Span(pick func(number int) bool) (arrived int, span time.Duration) {
	var first, last int64
	for i := range l.sent {
		if at := l.arrived[i].Load(); at > 0 && pick(i) {
			arrived++
			last = max(last, at)
		}
		if at := l.sent[i].Load(); at > 0 && pick(i) && (first == 0 || at < first) {
			first = at
		}
	}
	return arrived, time.Duration(last - first)
}
