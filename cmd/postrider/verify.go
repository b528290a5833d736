package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/postrider/postrider/queue"
	"github.com/postrider/postrider/queue/spool"
	"github.com/postrider/postrider/relay/admin"
)

type queueVerify struct {
	JSON bool `name:"json" help:"One JSON object a line, one for each fault."`
}

// damage is one fault as programs read it.
type damage struct {
	ID      string `json:"id,omitempty"`
	Where   string `json:"where"`
	What    string `json:"what"`
	From    string `json:"from,omitempty"`
	To      string `json:"to,omitempty"`
	MovedTo string `json:"moved_to,omitempty"`
	Remedy  string `json:"remedy,omitempty"`
}

// errDamaged is the end of a verification that found something.
var errDamaged = errors.New("the queue is damaged, see above")

// Run has the daemon read everything, or does it itself if none runs.
func (c queueVerify) Run(p *program) error {
	found := 0
	progress := p.progress()
	report := func(d queue.Damage) error {
		found++
		progress.clear()
		line := damage{Where: d.Where, What: d.What, From: d.From, To: d.To, MovedTo: d.MovedTo, Remedy: d.Remedy}
		if !d.Message.IsZero() {
			line.ID = d.Message.String()
		}
		if c.JSON {
			return newEncoder(p.stdout).Encode(line)
		}
		return line.print(p.stdout)
	}
	err := p.ask(func(ctx context.Context, client *admin.Client) error {
		for d, err := range client.Verify(ctx, progress.show) {
			if err != nil {
				return err
			}
			if err := report(d); err != nil {
				return err
			}
		}
		return nil
	})
	if errors.Is(err, admin.ErrNoDaemon) {
		err = p.verifyOffline(report, progress.show)
	}
	progress.clear()
	switch {
	case err != nil:
		return err
	case found > 0:
		return dataError{errDamaged.Error()}
	case !c.JSON:
		_, err = fmt.Fprintln(p.stdout, "OK: everything in the queue can be read")
	}
	return err
}

// print writes a fault as people read it.
func (d *damage) print(out io.Writer) error {
	text := d.Where + ": " + d.What
	if d.ID != "" {
		text = d.ID + " " + text
	}
	_, err := fmt.Fprintln(out, printable(text))
	for _, more := range []struct{ name, value string }{
		{"from", d.From}, {"to", d.To}, {"moved to", d.MovedTo}, {"remedy", d.Remedy},
	} {
		if more.value != "" {
			_, failed := fmt.Fprintln(out, "    "+more.name+": "+printable(more.value))
			err = errors.Join(err, failed)
		}
	}
	return err
}

// verifyOffline reads the spool of a relay that does not run, and changes nothing.
func (p *program) verifyOffline(report func(queue.Damage) error, progress func(done, total int64)) error {
	state, err := p.stateDir()
	if err != nil {
		return err
	}
	dir := filepath.Join(state, "queue")
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return dataError{"there is no queue in " + state + " yet"}
	}
	var written error
	err = spool.Inspect(context.Background(), dir, spool.Options{Logger: slog.New(slog.DiscardHandler)},
		func(d queue.Damage) { written = errors.Join(written, report(d)) }, progress)
	return errors.Join(err, written)
}
