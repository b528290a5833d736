package admin

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"github.com/postrider/postrider/internal/mail"
	"github.com/postrider/postrider/queue"
)

// listPage is how many deliveries are read from the queue at once.
const listPage = 500

// list writes one delivery a line while it pages through the queue.
func (b Backend) list(w http.ResponseWriter, r *http.Request) {
	request, err := read[listRequest](w, r)
	if err != nil {
		refuse(w, err)
		return
	}
	sel, err := request.Selector()
	if err != nil {
		refuse(w, &Error{BadRequest, err.Error()})
		return
	}
	out := newLines(w)
	defer out.flush()
	var after queue.DeliveryKey
	for left := request.Limit; ; {
		page := listPage
		if left > 0 {
			page = min(page, left)
		}
		entries, next, err := b.Queue.List(r.Context(), sel, after, page)
		if err != nil {
			out.fail(err)
			return
		}
		plain(entries)
		for i := range entries {
			out.put(&entries[i])
		}
		if left -= len(entries); next == (queue.DeliveryKey{}) || request.Limit > 0 && left <= 0 || !out.flush() {
			return
		}
		after = next
	}
}

// finding is a line of verify's answer: a fault, or how far it has come.
type finding struct {
	Damage *queue.Damage `json:"damage,omitempty"`
	// Done and Total are octets of content.
	Done  int64 `json:"done,omitempty"`
	Total int64 `json:"total,omitempty"`
}

// verify writes what it finds as it goes on. The queue's engine can't be replaced
// meanwhile, which is what a failed disk asks for: so whoever stops to read ends it.
func (b Backend) verify(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	out := newLines(w)
	defer out.flush()
	tell := func(f finding) {
		if out.put(f); !out.flush() {
			cancel()
		}
	}
	err := b.Queue.Verify(ctx, func(d queue.Damage) { tell(finding{Damage: &d}) },
		func(done, total int64) { tell(finding{Done: done, Total: total}) })
	if err != nil {
		out.fail(err)
	}
}

func (b Backend) show(w http.ResponseWriter, r *http.Request) {
	id, err := mail.ParseID(r.PathValue("id"))
	if err != nil {
		refuse(w, &Error{BadRequest, err.Error()})
		return
	}
	e, deliveries, err := b.Queue.Show(r.Context(), id)
	if err != nil {
		refuse(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(messageOf(e, deliveries))
}

func (b Backend) content(w http.ResponseWriter, r *http.Request) {
	id, err := mail.ParseID(r.PathValue("id"))
	if err != nil {
		refuse(w, &Error{BadRequest, err.Error()})
		return
	}
	c, err := b.Queue.Content(r.Context(), id)
	if err != nil {
		refuse(w, err)
		return
	}
	defer c.Close()
	w.Header().Set("Content-Type", "message/rfc822")
	w.Header().Set("Content-Length", fmt.Sprint(c.Size()))
	_, _ = io.Copy(w, io.NewSectionReader(c, 0, c.Size()))
}

// lines writes JSON lines. What fails after the first one is told in the last.
type lines struct {
	http *http.ResponseController
	b    *bufio.Writer
	e    *json.Encoder
}

func newLines(w http.ResponseWriter) *lines {
	w.Header().Set("Content-Type", "application/x-ndjson")
	b := bufio.NewWriterSize(w, 32<<10)
	return &lines{http.NewResponseController(w), b, json.NewEncoder(b)}
}

func (l *lines) put(v any) { _ = l.e.Encode(v) } // flush tells

func (l *lines) fail(err error) { l.put(errorOf(err)) }

// flush reports whether the reader is still there.
func (l *lines) flush() bool { return l.b.Flush() == nil && l.http.Flush() == nil }
