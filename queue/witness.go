package queue

// retryWitnesses makes due the deliveries that alone say that their routes are
// broken. Such a delivery waits by its own clock, and what was wrong may have been
// mended.
func (q *Queue) retryWitnesses() {
	for _, key := range q.sched.witnesses() {
		d, err := q.store.Delivery(q.ctx, key)
		if err != nil {
			continue // finished, or whoever attempts it finds out
		}
		e, err := q.store.Envelope(q.ctx, key.Message)
		if err != nil {
			continue
		}
		if _, err := q.operatePage([]found{{e, d}}, wish{deed: wishRetry}); err != nil {
			q.log.Error("trying a suspended route", "destination", d.Destination.String(), "err", err)
		}
	}
}

// witnesses returns the deliveries that alone say that their routes are broken, one
// at most for each route.
func (s *scheduler) witnesses() (all []DeliveryKey) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range s.hops {
		if h.health.status == Suspended && h.health.sole {
			all = append(all, h.health.trouble.by)
		}
	}
	return all
}
