package queue

import (
	"log/slog"
	"time"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/mail"
)

// Options is what a queue needs. Router, Deliverer and Recorder are required.
type Options struct {
	// Owner is written into every delivery, for stores that several relays share.
	Owner string
	// Hostname and Postmaster stand in the reports.
	Hostname   string
	Postmaster mail.Address

	Router    Router
	Deliverer Deliverer
	Recorder  mail.Recorder

	Retry  config.Retry
	Limits config.Queue

	// Workers is how many attempts may run at once, DestinationConcurrency how
	// many of them to one destination. Defaults: 100 and 20.
	Workers                int
	DestinationConcurrency int
	// RecipientsPerDelivery is the most recipients of one delivery. Default 100.
	RecipientsPerDelivery int
	// BulkAbove is how many recipients a message may have before its
	// deliveries go behind its identity's others. Default 50; negative: never.
	BulkAbove int

	Logger *slog.Logger // default: slog.Default()
	// Wall is the wall clock. Default: time.Now.
	Wall func() time.Time
}

// Reloadable is the part of Options that may change while the queue runs. Nil and
// zero fields leave things as they are.
type Reloadable struct {
	Hostname               string // with Postmaster
	Postmaster             mail.Address
	Router                 Router
	Retry                  *config.Retry
	Limits                 *config.Queue
	Workers                int
	DestinationConcurrency int
	// RecipientsPerDelivery holds for messages accepted from then on.
	RecipientsPerDelivery int
}

func (o *Options) setDefaults() {
	if o.Workers <= 0 {
		o.Workers = 100
	}
	if o.DestinationConcurrency <= 0 {
		o.DestinationConcurrency = 20
	}
	if o.RecipientsPerDelivery <= 0 {
		o.RecipientsPerDelivery = 100
	}
	if o.BulkAbove == 0 {
		o.BulkAbove = 50
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Wall == nil {
		o.Wall = time.Now
	}
}
