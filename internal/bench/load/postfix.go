package load

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// Source sends a job with Postfix's smtp-source. The time is that of the whole
// process, and a job's AUTH, rate, ledger and destinations are beyond it.
func Source(ctx context.Context, job Job) (Injected, error) {
	args := []string{"-4", "-s", strconv.Itoa(job.Connections), "-m", strconv.Itoa(job.Count), "-l", strconv.Itoa(job.Size),
		"-M", "bench.example", "-f", job.From, "-t", job.To(0)[0]}
	if job.Reuse {
		args = append(args, "-d")
	}
	cmd := exec.CommandContext(ctx, "smtp-source", append(args, "inet:"+job.Address)...)
	var complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &complaint, &complaint
	start := time.Now()
	if err := cmd.Run(); err != nil {
		return Injected{}, fmt.Errorf("smtp-source: %w: %.300s", err, bytes.TrimSpace(complaint.Bytes()))
	}
	return Injected{Accepted: job.Count, Elapsed: time.Since(start)}, nil
}

// PostfixSink is a running smtp-sink. It writes its counter to a file in memory,
// which costs it less than a reader at the other end of a pipe would.
type PostfixSink struct {
	cmd     *exec.Cmd
	counter *os.File
	address string
}

// StartPostfixSink starts smtp-sink on address and waits until it listens. It
// ends with ctx at the latest.
func StartPostfixSink(ctx context.Context, address string) (*PostfixSink, error) {
	dir := "/dev/shm"
	if _, err := os.Stat(dir); err != nil {
		dir = ""
	}
	counter, err := os.CreateTemp(dir, "postrider-bench-sink-")
	if err != nil {
		return nil, err
	}
	args := []string{"-4", "-c", "-m", "1000"}
	if os.Geteuid() == 0 {
		args = append(args, "-u", "nobody")
	}
	s := &PostfixSink{counter: counter, address: address}
	s.cmd = exec.CommandContext(ctx, "smtp-sink", append(args, "inet:"+address, "1000")...)
	s.cmd.Stdout = counter
	if err := s.cmd.Start(); err != nil {
		s.discardCounter()
		return nil, fmt.Errorf("start smtp-sink: %w", err)
	}
	if err := AwaitGreeting(ctx, address, 10*time.Second); err != nil {
		s.Stop()
		return nil, fmt.Errorf("start smtp-sink: %w", err)
	}
	return s, nil
}

// PID is the process that counts as load tool.
func (s *PostfixSink) PID() int { return s.cmd.Process.Pid }

// Address is where it listens.
func (s *PostfixSink) Address() string { return s.address }

// Stop ends the process and waits for it.
func (s *PostfixSink) Stop() {
	s.cmd.Process.Kill()
	s.cmd.Wait()
	s.discardCounter()
}

func (s *PostfixSink) discardCounter() {
	s.counter.Close()
	os.Remove(s.counter.Name())
}

// Messages returns how many messages came since the start.
func (s *PostfixSink) Messages() int {
	info, err := s.counter.Stat()
	if err != nil {
		return 0
	}
	tail := make([]byte, 200)
	n, _ := s.counter.ReadAt(tail, max(0, info.Size()-int64(len(tail))))
	return lastCount(string(tail[:n]))
}

// lastCount finds the last complete "mesg=N" of smtp-sink's running display,
// each state of which ends with a carriage return.
func lastCount(display string) int {
	end := strings.LastIndexByte(display, '\r')
	if end < 0 {
		return 0
	}
	const label = "mesg="
	at := strings.LastIndex(display[:end], label)
	if at < 0 {
		return 0
	}
	n, _ := strconv.Atoi(strings.TrimSpace(display[at+len(label) : end]))
	return n
}

// AwaitGreeting waits until an SMTP server at address says 220.
func AwaitGreeting(ctx context.Context, address string, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		err := greeting(ctx, address)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("no greeting from %s within %s: %w", address, limit, err)
		case <-time.After(time.Millisecond):
		}
	}
}

func greeting(ctx context.Context, address string) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	conn.SetDeadline(deadline)
	return (&client{conn: conn, r: bufio.NewReader(conn)}).expect(220)
}
