package submission

import (
	"errors"
	"io"
	"os"
	"time"
)

// crowdedPatience is how long a client may be unknown in a server that is nearly full.
// A program says EHLO, STARTTLS and AUTH in a second or two.
const crowdedPatience = 10 * time.Second

// wake tells a session that is idle of a shutdown, or of a crowd. It is called from
// other goroutines.
func (s *session) wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.until.IsZero() {
		_ = s.raw.SetReadDeadline(s.patience())
	}
}

// patience returns when the wait that runs has to end as things are.
func (s *session) patience() time.Time {
	if s.leaving() {
		return time.Unix(1, 0)
	}
	if last := s.began.Add(crowdedPatience); s.inTheWay() && last.Before(s.until) {
		return last
	}
	return s.until
}

// inTheWay reports whether the session keeps others out and has not shown that it
// is any user's.
func (s *session) inTheWay() bool { return s.identity == nil && s.srv.crowded.Load() }

// leaving reports whether the session has to end between transactions: the server
// is shutting down, or the listener is not what it was.
func (s *session) leaving() bool { return s.srv.draining.Load() || s.lst.retired.Load() }

// rest waits for input between transactions, or returns errDraining.
func (s *session) rest(deadline time.Time) error { return s.await(deadline, s.in.fill) }

// await reads, until deadline, what may well never come: do is interrupted if the
// session has to leave, and what it was in the middle of is lost then. It returns
// errDraining instead of do's error.
func (s *session) await(deadline time.Time, do func() error) error {
	s.mu.Lock()
	if s.leaving() {
		s.mu.Unlock()
		return errDraining
	}
	s.until = deadline
	_ = s.conn.SetReadDeadline(s.patience())
	s.mu.Unlock()

	err := do()

	s.mu.Lock()
	s.until = time.Time{}
	s.mu.Unlock()
	if err != nil && s.leaving() {
		return errDraining
	}
	return err
}

var errDraining = errors.New("draining")

// fill waits for input until deadline; what waits to be sent goes first.
func (s *session) fill(deadline time.Time) error {
	if err := s.out.flush(); err != nil {
		return err
	}
	if s.tx == nil {
		return s.rest(deadline)
	}
	_ = s.conn.SetReadDeadline(deadline)
	return s.in.fill()
}

// bareLFPatience is how long a client that has sent a bare LF may take to send
// CR LF. It is most likely waiting for an answer.
const bareLFPatience = 2 * time.Second

// line reads a line. A timeout or shutdown has been answered when it returns
// io.EOF.
func (s *session) line() (string, error) {
	limits := &s.set.limits
	if s.waste >= wasteLimit {
		s.expel(replyNoProgress)
		return "", io.EOF
	}
	var deadline time.Time
	hurried := false
	for {
		b, err := s.in.line()
		if err == nil {
			return string(b), nil
		}
		if err == errLineTooLong {
			return "", err
		}
		if deadline.IsZero() {
			deadline = time.Now().Add(limits.CommandTimeout)
			if last := s.began.Add(limits.SessionTimeout); limits.SessionTimeout > 0 && last.Before(deadline) {
				deadline = last
			}
		}
		if err == errBareLF && !hurried {
			hurried = true
			if soon := time.Now().Add(bareLFPatience); soon.Before(deadline) {
				deadline = soon
			}
		}
		if err := s.fill(deadline); err != nil {
			return "", s.interrupted(err)
		}
	}
}

// interrupted answers what kept a command from being read, as far as there is
// anyone to answer to, and returns io.EOF.
func (s *session) interrupted(err error) error {
	_, lineErr := s.in.line()
	switch {
	case errors.Is(err, errDraining) && !s.srv.draining.Load():
		s.end(replyRetired)
	case errors.Is(err, errDraining):
		s.end(replyShutdown)
	case lineErr == errBareLF:
		// It waits for an answer, or has closed its half of the connection.
		s.expel(replyBareNewline)
	case errors.Is(err, os.ErrDeadlineExceeded):
		s.late()
	default:
		s.ended = true
	}
	_ = s.out.flush()
	return io.EOF
}

// late answers a client that took too long. Who never said a word has probed the
// port, and is worth no line in the log.
func (s *session) late() {
	r := replyTimeout
	if limit := s.set.limits.SessionTimeout; limit > 0 && time.Since(s.began) >= limit {
		r = replySessionTimeout
	} else if s.inTheWay() {
		r = replyTooManyConnections
	}
	if s.helo != "" || len(s.in.unread()) > 0 {
		s.rejected(r)
	}
	s.end(r)
}
