// Command bench measures Postrider beside Postfix: the same work, the same
// machine, in turn, with the load tools on loopback. See docs/performance.md for
// the method and for how to read its tables.
//
//	go run ./internal/bench                      a first picture, in ten minutes
//	go run ./internal/bench -full                everything, in hours
//	go run ./internal/bench -profile relay,latency -rounds 5
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/postrider/postrider/internal/bench/meter"
	"github.com/postrider/postrider/internal/bench/report"
	"github.com/postrider/postrider/internal/bench/system"
)

func main() {
	options, err := parseOptions(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(64)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err = measure(ctx, options)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// measure runs the chosen profiles and writes the report, also when it is
// interrupted, of what has been measured by then.
func measure(ctx context.Context, o options) (err error) {
	if err := prepare(ctx, o); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(o.dir, "postrider-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	// Postfix's daemons run as a user of their own and must get to their queue.
	if err := os.Chmod(dir, 0o755); err != nil {
		return err
	}
	b := &bench{options: o, dir: dir}
	if b.disk, err = meter.DiskOf(dir); err != nil {
		return err
	}
	if err := b.chooseSystems(ctx); err != nil {
		return err
	}
	environment := describe(ctx, b.disk)
	environment.Command = "bench " + strings.Join(os.Args[1:], " ")
	var tables strings.Builder
	out := io.MultiWriter(os.Stdout, &tables)
	fmt.Fprintln(out, environment)
	for _, p := range o.profiles {
		if ctx.Err() != nil {
			break
		}
		b.measureProfile(ctx, p)
		fmt.Fprintf(out, "## %s: %s\n\n%s\n", p.name, p.about, b.runs.Of(p.name).Table("postrider", b.rivals()...))
	}
	fmt.Fprintln(out, report.Budgets(budgets(b.runs)))
	return errors.Join(ctx.Err(), b.write(environment, tables.String()))
}

// prepare installs what the measurements need.
func prepare(ctx context.Context, o options) error {
	if o.wants("postfix") || o.wants("postfix-tuned") {
		if err := system.CanRunPostfix(); err != nil {
			return err
		}
	}
	return system.Install(ctx, "postfix", "smtp-source", "smtp-sink", "saslpasswd2", "strace")
}

// chooseSystems makes the systems that are to be compared, Postrider built from
// this tree.
func (b *bench) chooseSystems(ctx context.Context) error {
	for _, name := range b.systems {
		switch name {
		case "postrider":
			binary := b.binary
			if binary == "" {
				var err error
				if binary, err = system.BuildPostrider(ctx, b.dir); err != nil {
					return err
				}
			}
			b.kinds = append(b.kinds, &system.Postrider{Binary: binary, Extra: b.extra})
		case "postfix":
			b.kinds = append(b.kinds, &system.Postfix{})
		case "postfix-tuned":
			b.kinds = append(b.kinds, &system.Postfix{Tuned: true})
		}
	}
	return nil
}

// rivals are the systems Postrider is compared with.
func (b *bench) rivals() []string {
	var names []string
	for _, k := range b.kinds {
		if k.Name() != "postrider" {
			names = append(names, k.Name())
		}
	}
	return names
}

// write writes the tables, every run and the plots.
func (b *bench) write(environment report.Environment, tables string) error {
	if err := os.MkdirAll(b.out, 0o755); err != nil {
		return err
	}
	var text strings.Builder
	if err := b.runs.WriteJSON(&text, environment); err != nil {
		return err
	}
	files := map[string]string{"tables.md": tables, "runs.json": text.String()}
	for _, p := range plots {
		if runs := b.runs.Of(p.profile); len(runs.Values(p.metric)) > 0 {
			files[p.profile+"-"+p.metric+".svg"] = runs.Plot(p.title, p.metric)
		}
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(b.out, name), []byte(content), 0o644); err != nil {
			return err
		}
	}
	fmt.Println("Tables, plots and every single run are in", b.out)
	return nil
}

// plots are drawn of every benchmark that has their runs.
var plots = []struct{ profile, metric, title string }{
	{"relay", "delivered", "Messages a second, end to end"},
	{"relay", "cpu", "CPU seconds for 1,000 messages"},
	{"auth", "delivered", "Messages a second with STARTTLS and AUTH for each, end to end"},
	{"latency", "arrive_p50", "Milliseconds from the end of the data to arrival, idle"},
	{"distant", "delivered", "Messages a second to a receiver 50 ms away"},
	{"slowdisk", "delivered", "Messages a second with syncs 5 ms slower, end to end"},
	{"backlog", "accept_full", "Messages accepted a second with the backlog queued"},
}
