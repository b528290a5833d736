package spool

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/postrider/postrider/queue"
)

// eager is an engine with a compaction that fails whenever it is run.
type eager struct {
	c    *compactions
	err  error
	runs int
}

func (e *eager) GetAllowedWithoutPermission() int { return 1 }

func (e *eager) GetWaitingCompaction() (bool, pebble.WaitingCompaction) {
	return true, pebble.WaitingCompaction{}
}

// Schedule runs the compaction, and asks for the next at once, as Pebble does.
func (e *eager) Schedule(h pebble.CompactionGrantHandle) bool {
	e.runs++
	e.c.ended(e.err)
	h.Done()
	if ok, h := e.c.TrySchedule(); ok {
		e.Schedule(h)
	}
	return true
}

// TestFailingCompaction: the next attempt waits, longer each time, and damage is told
// to whoever can do something about it.
func TestFailingCompaction(t *testing.T) {
	for _, c := range []struct {
		reason  string
		err     error
		damaged bool
	}{
		{"damaged table", fmt.Errorf("table: %w", queue.ErrDamaged), true},
		{"no space", errors.New("no space"), false},
	} {
		t.Run(c.reason, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				told := 0
				s := &compactions{damaged: func(error) { told++ }}
				e := &eager{c: s, err: c.err}
				s.Register(1, e)
				if ok, h := s.TrySchedule(); !ok {
					t.Fatal("the first is not allowed")
				} else {
					e.Schedule(h)
				}
				time.Sleep(time.Hour)
				synctest.Wait()
				if e.runs < 50 || e.runs > 70 {
					t.Errorf("%d attempts in an hour", e.runs)
				}
				if (told > 0) != c.damaged {
					t.Errorf("damage told %d times", told)
				}
				s.Unregister()
				if ok, _ := s.TrySchedule(); ok {
					t.Error("allowed after the end")
				}
			})
		})
	}
}
