package admin

import (
	"net/http"
	"time"
)

// patience is how long a reader of the control socket may take to read on. What is
// written to a pager that is left open holds up a relay that is to stop, and keeps
// its queue's engine.
const patience = time.Minute

// patient is an answer that ends when its reader stops to read.
type patient struct {
	http.ResponseWriter
	conn *http.ResponseController
}

// patiently has h's answers written so.
func patiently(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p := patient{w, http.NewResponseController(w)}
		h.ServeHTTP(p, r)
		p.wait() // for what is still to be flushed
	})
}

// wait begins the time for the next part.
func (p patient) wait() { _ = p.conn.SetWriteDeadline(time.Now().Add(patience)) }

func (p patient) Write(b []byte) (int, error) {
	p.wait()
	return p.ResponseWriter.Write(b)
}

// FlushError is http.ResponseController's.
func (p patient) FlushError() error {
	p.wait()
	return p.conn.Flush()
}
