package admin

import (
	"net/http"
	"time"
)

// How long a reader of the control socket may take to read on. A list that is read
// page by page costs the relay nothing but a connection; a verification keeps its
// queue's engine.
const (
	patience       = time.Hour
	patienceVerify = time.Minute
)

// patient is an answer that ends when its reader stops to read.
type patient struct {
	http.ResponseWriter
	conn  *http.ResponseController
	bound time.Duration
}

// patiently has h's answers written so.
func patiently(bound time.Duration, h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		p := patient{w, http.NewResponseController(w), bound}
		h(p, r)
		p.wait() // for what is still to be flushed
	}
}

// wait begins the time for the next part.
func (p patient) wait() { _ = p.conn.SetWriteDeadline(time.Now().Add(p.bound)) }

func (p patient) Write(b []byte) (int, error) {
	p.wait()
	return p.ResponseWriter.Write(b)
}

// FlushError is http.ResponseController's.
func (p patient) FlushError() error {
	p.wait()
	return p.conn.Flush()
}
