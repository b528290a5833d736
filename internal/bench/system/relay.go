package system

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/postrider/postrider/internal/bench/load"
	"github.com/postrider/postrider/internal/bench/meter"
)

// Kind is a relay that can be started, with one way to configure it.
type Kind interface {
	// Name stands in tables: "postrider", "postfix-tuned".
	Name() string
	// configure writes what the relay needs into r.Dir.
	configure(r *Relay) error
	// command runs it in the foreground.
	command(r *Relay) *exec.Cmd
	// ready returns nil once it can accept mail; the greeting has been seen.
	ready(ctx context.Context, r *Relay) error
	// end asks it to stop, without waiting.
	end(ctx context.Context, r *Relay) error
	// flush makes it try all deferred mail at once.
	flush(ctx context.Context, r *Relay) error
}

// Relay is a relay that has been started.
type Relay struct {
	Kind
	Setup
	Dir         string
	Address     string // takes mail from anybody on this machine
	AuthAddress string // wants STARTTLS and AUTH
	Target      *meter.Target
	// Ready is how long the latest start took, from exec until mail could be
	// handed in.
	Ready time.Duration

	admin  string // Postrider's health
	cmd    *exec.Cmd
	log    *os.File
	exited chan struct{} // closed once cmd has been waited for
}

// Limits of starting and stopping.
const (
	startLimit = 60 * time.Second
	stopLimit  = 40 * time.Second
)

// Start configures a relay in dir, which must exist, and starts it.
func Start(ctx context.Context, k Kind, dir string, setup Setup) (*Relay, error) {
	ports, err := load.FreePorts(3)
	if err != nil {
		return nil, err
	}
	r := &Relay{
		Kind: k, Setup: setup, Dir: dir,
		Address: loopback(ports[0]), AuthAddress: loopback(ports[1]), admin: loopback(ports[2]),
		Target: meter.NewTarget(k.Name()),
	}
	if err := k.configure(r); err != nil {
		return nil, errors.Join(fmt.Errorf("configure %s: %w", k.Name(), err), r.Target.Close())
	}
	if err := r.start(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", k.Name(), err), r.Stop())
	}
	return r, nil
}

// Restart stops the relay and starts it again with what it has queued.
func (r *Relay) Restart(ctx context.Context) error {
	if err := r.halt(); err != nil {
		return fmt.Errorf("restart %s: %w", r.Name(), err)
	}
	if err := r.start(ctx); err != nil {
		return fmt.Errorf("restart %s: %w", r.Name(), err)
	}
	return nil
}

// Flush makes the relay try all deferred mail at once.
func (r *Relay) Flush(ctx context.Context) error { return r.flush(ctx, r) }

// Stop ends all of the relay's processes.
func (r *Relay) Stop() error { return errors.Join(r.halt(), r.Target.Close()) }

func (r *Relay) start(ctx context.Context) error {
	log, err := os.OpenFile(filepath.Join(r.Dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	r.log = log
	r.cmd = slowSyncs(r.command(r), r.SlowSync)
	r.cmd.Stdout, r.cmd.Stderr = log, log
	r.cmd.Dir = r.Dir
	// An interrupt at the terminal is for the harness alone, which then stops
	// everything in order.
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	begin := time.Now()
	if err := r.Target.Start(r.cmd); err != nil {
		return errors.Join(err, log.Close())
	}
	r.exited = make(chan struct{})
	go func() {
		defer close(r.exited)
		_ = r.cmd.Wait() // how it ended is in its log
	}()
	if err := r.await(ctx); err != nil {
		return err
	}
	r.Ready = time.Since(begin)
	return nil
}

// await waits until the relay can accept mail, or has ended.
func (r *Relay) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	alive := make(chan struct{})
	defer close(alive)
	go func() {
		select {
		case <-r.exited:
			cancel()
		case <-alive:
		}
	}()
	err := load.AwaitGreeting(ctx, r.Address, startLimit)
	if err == nil {
		err = r.ready(ctx, r)
	}
	select {
	case <-r.exited:
		err = errors.New("it ended at once")
	default:
	}
	if err != nil {
		return fmt.Errorf("%w; its log: %s", err, r.logTail())
	}
	return nil
}

// halt ends the processes but keeps directory and target.
func (r *Relay) halt() error {
	if r.exited == nil {
		return nil // never started, or halted before
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopLimit)
	defer cancel()
	err := r.endAndWait(ctx)
	for _, pid := range r.Target.PIDs() {
		_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended just now
	}
	<-r.exited
	for len(r.Target.PIDs()) > 0 && ctx.Err() == nil {
		time.Sleep(time.Millisecond)
	}
	r.exited = nil
	return errors.Join(err, r.log.Close())
}

// endAndWait gives the relay the chance to stop by itself.
func (r *Relay) endAndWait(ctx context.Context) error {
	select {
	case <-r.exited:
		return nil
	default:
	}
	if err := r.end(ctx, r); err != nil {
		return err
	}
	select {
	case <-r.exited:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%s did not stop within %s", r.Name(), stopLimit)
	}
}

// logTail returns the last of what the relay logged, for an error.
func (r *Relay) logTail() string {
	b, err := os.ReadFile(r.log.Name())
	if err != nil {
		return err.Error()
	}
	const enough = 1500
	return strings.TrimSpace(string(b[max(0, len(b)-enough):]))
}

// slowSyncs makes each fsync and fdatasync of cmd take longer. strace stops the
// process at these two calls only, so that everything else runs at full speed;
// -D keeps the process our child.
func slowSyncs(cmd *exec.Cmd, delay time.Duration) *exec.Cmd {
	if delay <= 0 {
		return cmd
	}
	const calls = "fsync,fdatasync"
	args := []string{"-D", "-f", "--seccomp-bpf", "-o", "/dev/null", "-e", "trace=" + calls,
		"-e", fmt.Sprintf("inject=%s:delay_exit=%d", calls, delay.Microseconds()), cmd.Path}
	slow := exec.Command("strace", append(args, cmd.Args[1:]...)...)
	slow.Env = cmd.Env
	return slow
}

func loopback(port uint16) string { return fmt.Sprintf("127.0.0.1:%d", port) }
