package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
)

// options are what the command may be told.
type options struct {
	Messages     int
	Destinations int
	Size         int // of a content, in octets
	Clients      int // that hand messages in at once
	Dir          string
	Profiles     string // where CPU profiles go; empty for none
}

func main() {
	var o options
	flag.IntVar(&o.Messages, "messages", 1_000_000, "how many are deferred")
	flag.IntVar(&o.Destinations, "destinations", 1000, "over how many destinations")
	flag.IntVar(&o.Size, "size", 10<<10, "octets of each content")
	flag.IntVar(&o.Clients, "clients", 20, "how many hand in at once")
	flag.StringVar(&o.Dir, "dir", "/var/tmp", "where the queue is made, on a real disk; it is removed in the end")
	flag.StringVar(&o.Profiles, "cpuprofile", "", "write a CPU profile of each phase into this directory")
	only := flag.String("phase", "", "run one phase on the queue in -dir and print its figures as JSON; for the command itself")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, o, *only)
	if err != nil {
		fmt.Fprintln(os.Stderr, "million:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options, only string) (err error) {
	if only != "" {
		figures, err := runPhase(ctx, o, only)
		if err != nil {
			return err
		}
		return json.NewEncoder(os.Stdout).Encode(figures)
	}
	if o.Dir, err = os.MkdirTemp(o.Dir, "postrider-million-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(o.Dir)) }()
	fmt.Printf("%d messages of %d octets over %d destinations\n", o.Messages, o.Size, o.Destinations)
	for _, p := range phases {
		figures, err := o.child(ctx, p.name)
		if err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		fmt.Printf("\n%s: %s\n", p.name, p.about)
		for _, f := range figures {
			fmt.Println(f)
		}
	}
	return nil
}

// child runs a phase in a process of its own.
func (o options) child(ctx context.Context, phase string) (figures []figure, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, "-phase", phase, "-dir", o.Dir,
		"-messages", fmt.Sprint(o.Messages), "-destinations", fmt.Sprint(o.Destinations),
		"-size", fmt.Sprint(o.Size), "-clients", fmt.Sprint(o.Clients), "-cpuprofile", o.Profiles)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, err
	}
	return figures, json.Unmarshal(out, &figures)
}
