package spool

import (
	"errors"
	"sync"
	"testing"
)

// Who wants a sync while one runs gets another: the one that runs may have begun
// before what he did.
func TestSharedSync(t *testing.T) {
	var d sharedSync
	broken := errors.New("disk")
	began, end := make(chan struct{}), make(chan error)
	do := func() error {
		began <- struct{}{}
		return <-end
	}
	var first, later sync.WaitGroup
	first.Go(func() {
		if err := d.sync(do); err != nil {
			t.Errorf("the first: %v", err)
		}
	})
	<-began
	for range 10 {
		later.Go(func() {
			if err := d.sync(do); !errors.Is(err, broken) {
				t.Errorf("a later one: %v", err)
			}
		})
	}
	end <- nil
	first.Wait()
	all := make(chan struct{})
	go func() { later.Wait(); close(all) }()
	for {
		select {
		case <-began:
			end <- broken
		case <-all:
			return
		}
	}
}
