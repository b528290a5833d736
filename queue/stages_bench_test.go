package queue

import (
	"testing"
	"time"

	"github.com/postrider/postrider/internal/mail"
)

// BenchmarkSchedule is a delivery's way through the scheduler: announced, entered,
// handed to a worker, ended.
func BenchmarkSchedule(b *testing.B) {
	s := newScheduler(func() *retryPlan { return &retryPlan{plan} }, time.Now, func(Destination) int { return 20 }, func() {})
	s.max = 20
	s.resume()
	now := time.Now().Truncate(time.Millisecond)
	to := Destination{Domain: mail.MustParseDomain("y.example")}
	b.ReportAllocs()
	for b.Loop() {
		d := &Delivery{DeliveryKey: DeliveryKey{Message: mail.NewID(now)}, Destination: to, Identity: "app", Due: now}
		new := []born{{message: NewMessage{Deliveries: []*Delivery{d}}}}
		s.expect(new[0].message.Deliveries)
		s.enter(new)
		j, ok := s.next()
		if !ok {
			b.Fatal("nothing to do")
		}
		s.settled([]*settlement{{old: d}})
		s.leave(j)
	}
}
