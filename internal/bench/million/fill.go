package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/postrider/postrider/internal/mail"
	"github.com/postrider/postrider/queue"
	"github.com/postrider/postrider/queue/spool"
)

// parts is how many parts the backlog is filled in. The rate of the first is that
// of an empty queue, the rate of the last that of a full one.
const parts = 20

func fill(ctx context.Context, b *bench) error {
	return b.withQueue(ctx, func(q *queue.Queue, store *spool.Spool) error {
		memory := watchMemory()
		source := newSource(b.options)
		began := time.Now()
		var took, spent [parts]time.Duration
		for part := range parts {
			from, to := b.Messages*part/parts, b.Messages*(part+1)/parts
			beganPart, cpu := time.Now(), processor()
			if err := source.submit(ctx, q, from, to); err != nil {
				return err
			}
			took[part] = time.Since(beganPart)
			spent[part] = processor() - cpu
			b.add(rate(fmt.Sprintf("accepted with %d deferred", from), to-from, took[part]))
		}
		for int(b.next.deferred.Load()) < b.Messages { // the last few are on their way
			time.Sleep(time.Millisecond)
		}
		b.add(
			rate("accepted, attempted and deferred", b.Messages, time.Since(began)),
			figure{"rate of the last part to the first's", 100 * took[0].Seconds() / took[parts-1].Seconds(), "%"},
			figure{"CPU for 1,000, first part", 1000 * spent[0].Seconds() / float64(b.Messages/parts), "s"},
			figure{"CPU for 1,000, last part", 1000 * spent[parts-1].Seconds() / float64(b.Messages/parts), "s"},
			mebibytes("resident, largest", memory.end()),
			mebibytes("resident, full", resident()),
			mebibytes("written", written()),
			mebibytes("on the disk", occupied(b.Dir)),
		)
		if n := store.Totals().Messages; n != int64(b.Messages) {
			return fmt.Errorf("%d messages are queued instead of %d", n, b.Messages)
		}
		return nil
	})
}

// source makes messages that don't compress well, cheaply.
type source struct {
	options
	text []byte
}

func newSource(o options) *source {
	raw := make([]byte, o.Size+64<<10)
	r := rand.New(rand.NewPCG(1, 1))
	for i := range raw {
		raw[i] = byte(r.Uint32())
	}
	return &source{o, []byte(base64.StdEncoding.EncodeToString(raw))}
}

// submit hands messages number from to to in, by several clients at once.
func (s *source) submit(ctx context.Context, q *queue.Queue, from, to int) error {
	var next atomic.Int64
	next.Store(int64(from))
	var running sync.WaitGroup
	errs := make([]error, s.Clients)
	for c := range s.Clients {
		running.Go(func() {
			for errs[c] == nil && ctx.Err() == nil {
				n := int(next.Add(1)) - 1
				if n >= to {
					return
				}
				errs[c] = s.one(ctx, q, n)
			}
		})
	}
	running.Wait()
	return errors.Join(append(errs, ctx.Err())...)
}

func (s *source) one(ctx context.Context, q *queue.Queue, n int) error {
	in, err := q.Receive(ctx)
	if err != nil {
		return err
	}
	defer in.Discard()
	at := n * 7919 % (64 << 10)
	if _, err := in.Write(s.text[at : at+s.Size]); err != nil {
		return err
	}
	to := mail.MustParseAddress(fmt.Sprintf("rcpt%d@d%d.example", n, n%s.Destinations))
	return in.Commit(ctx, &mail.Envelope{
		From:       mail.Path{Address: mail.MustParseAddress("sender@example.org")},
		Recipients: []mail.Recipient{{Address: to}},
		Identity:   mail.Identity{Name: "app"},
	}, queue.Deliver)
}

// occupied returns the octets of all files below dir.
func occupied(dir string) (octets int64) {
	_ = filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil {
			return nil // removed meanwhile
		}
		if info, err := entry.Info(); err == nil && info.Mode().IsRegular() {
			octets += info.Size()
		}
		return nil
	})
	return octets
}
