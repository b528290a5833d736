package queue

import (
	"container/heap"
	"time"
)

// alarm is a time at which a lane or a hop wants to be looked at again, or those
// parked, where it is neither's. It lies inside what it is about; one goroutine waits
// for the earliest of all.
type alarm struct {
	at    time.Time
	index int // in the heap, from 1; 0 if not set
	lane  *lane
	hop   *hop
}

// alarms orders the alarms that are set.
type alarms []*alarm

// set makes a ring at the given time, whatever it was set to before. It reports
// whether a is now the earliest.
func (h *alarms) set(a *alarm, at time.Time) bool {
	a.at = at
	if a.index == 0 {
		heap.Push(h, a)
	} else {
		heap.Fix(h, a.index-1)
	}
	return a.index == 1
}

// clear takes a out, if it is set.
func (h *alarms) clear(a *alarm) {
	if a.index != 0 {
		heap.Remove(h, a.index-1)
	}
}

// Len, Less, Swap, Push and Pop are for container/heap.

func (h alarms) Len() int           { return len(h) }
func (h alarms) Less(i, j int) bool { return h[i].at.Before(h[j].at) }

func (h alarms) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i+1, j+1
}

// Push is called by container/heap alone.
func (h *alarms) Push(x any) {
	a := x.(*alarm)
	*h = append(*h, a)
	a.index = len(*h)
}

// Pop is called by container/heap alone.
func (h *alarms) Pop() any {
	last := len(*h) - 1
	a := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	a.index = 0
	return a
}
