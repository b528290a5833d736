package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"net"
	"net/http"
	"syscall"
	"time"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/queue"
)

// dialTimeout bounds how long a daemon may take to answer a connection.
const dialTimeout = 5 * time.Second

// Client asks a running daemon by its control socket. Its errors are ErrNoDaemon,
// fs.ErrPermission, or an *Error with what the daemon says.
type Client struct {
	path string
	http http.Client
}

// NewClient returns a client of the daemon that runs on a state directory. It
// connects when it is first used.
func NewClient(stateDir string) *Client {
	path := config.ControlSocket(stateDir)
	dialer := net.Dialer{Timeout: dialTimeout}
	return &Client{path: path, http: http.Client{Transport: &http.Transport{
		DisableCompression: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", path)
		},
	}}}
}

// Close ends idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// ask sends in and returns the body of the answer, to be closed.
func (c *Client) ask(ctx context.Context, method, path string, in any) (io.ReadCloser, error) {
	body, err := json.Marshal(in)
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, method, "http://postrider"+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(r)
	if err != nil {
		return nil, c.unreachable(err)
	}
	if resp.StatusCode == http.StatusOK {
		return resp.Body, nil
	}
	defer resp.Body.Close()
	e := new(Error)
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxRequest)).Decode(e); err != nil || e.Text == "" {
		return nil, &Error{Internal, "the daemon answers " + resp.Status + "; is it of another version?"}
	}
	return nil, e
}

// unreachable tells a daemon that is not there from one that may not be asked.
func (c *Client) unreachable(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%w: nobody answers at %s; start it with `postrider serve`, or name its configuration with -c", ErrNoDaemon, c.path)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("no access to %s: %w; ask as the user the daemon runs as, or as root", c.path, fs.ErrPermission)
	}
	return fmt.Errorf("asking the daemon at %s: %w", c.path, err)
}

// call sends in to path and reads the answer into out.
func (c *Client) call(ctx context.Context, method, path string, in, out any) error {
	body, err := c.ask(ctx, method, path, in)
	if err != nil {
		return err
	}
	defer body.Close()
	if err := json.NewDecoder(body).Decode(out); err != nil {
		return fmt.Errorf("reading the daemon's answer: %w", err)
	}
	return nil
}

// stream sends in to path and yields the lines of the answer.
func stream[T any](ctx context.Context, c *Client, path string, in any) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		body, err := c.ask(ctx, http.MethodPost, path, in)
		if err != nil {
			yield(none, err)
			return
		}
		defer body.Close()
		for d := json.NewDecoder(body); ; {
			var raw json.RawMessage
			if err := d.Decode(&raw); err != nil {
				if !errors.Is(err, io.EOF) {
					yield(none, fmt.Errorf("reading the daemon's answer: %w", err))
				}
				return
			}
			if failed := new(Error); bytes.HasPrefix(raw, []byte(`{"kind":`)) && json.Unmarshal(raw, failed) == nil {
				yield(none, failed)
				return
			}
			var one T
			if err := json.Unmarshal(raw, &one); err != nil {
				yield(none, fmt.Errorf("reading the daemon's answer: %w", err))
				return
			}
			if !yield(one, nil) {
				return
			}
		}
	}
}

// List yields the deliveries s selects, the oldest first, at most limit (0: all).
func (c *Client) List(ctx context.Context, s Selection, limit int) iter.Seq2[queue.Entry, error] {
	return stream[queue.Entry](ctx, c, "/v1/list", listRequest{s, limit})
}

// Show returns a message and what is still to be done about it.
func (c *Client) Show(ctx context.Context, id string) (*Message, error) {
	m := new(Message)
	return m, c.call(ctx, http.MethodGet, "/v1/messages/"+id, nil, m)
}

// Content writes a message as it is relayed to w.
func (c *Client) Content(ctx context.Context, id string, w io.Writer) error {
	body, err := c.ask(ctx, http.MethodGet, "/v1/messages/"+id+"/content", nil)
	if err != nil {
		return err
	}
	defer body.Close()
	_, err = io.Copy(w, body)
	return err
}

// Operate does one of retry, hold, release, delete and bounce, and returns how
// many deliveries it was about.
func (c *Client) Operate(ctx context.Context, operation string, s Selection) (int, error) {
	var n count
	err := c.call(ctx, http.MethodPost, "/v1/"+operation, s, &n)
	return n.Count, err
}

// HoldRules returns the rules by which new mail is held.
func (c *Client) HoldRules(ctx context.Context) ([]queue.HoldRule, error) {
	var rules []queue.HoldRule
	return rules, c.call(ctx, http.MethodPost, "/v1/rules/list", struct{}{}, &rules)
}

// AddHoldRule puts a rule in force.
func (c *Client) AddHoldRule(ctx context.Context, r queue.HoldRule) error {
	return c.call(ctx, http.MethodPost, "/v1/rules/add", r, &struct{}{})
}

// RemoveHoldRule ends a rule.
func (c *Client) RemoveHoldRule(ctx context.Context, r queue.HoldRule) error {
	return c.call(ctx, http.MethodPost, "/v1/rules/remove", r, &struct{}{})
}

// Stats returns the queue at a glance.
func (c *Client) Stats(ctx context.Context) (*Stats, error) {
	s := new(Stats)
	return s, c.call(ctx, http.MethodPost, "/v1/stats", struct{}{}, s)
}

// Verify yields what is damaged in the queue, and tells progress, unless it is nil,
// the octets of content read and those there are.
func (c *Client) Verify(ctx context.Context, progress func(done, total int64)) iter.Seq2[queue.Damage, error] {
	return func(yield func(queue.Damage, error) bool) {
		for f, err := range stream[finding](ctx, c, "/v1/verify", struct{}{}) {
			switch {
			case err != nil:
				yield(queue.Damage{}, err)
				return
			case f.Damage != nil:
				if !yield(*f.Damage, nil) {
					return
				}
			case progress != nil:
				progress(f.Done, f.Total)
			}
		}
	}
}

// Explain tells what would happen to a message.
func (c *Client) Explain(ctx context.Context, q Question) (*Explanation, error) {
	e := new(Explanation)
	return e, c.call(ctx, http.MethodPost, "/v1/explain", q, e)
}
