package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// progress is a line on a terminal that tells how far something has come. Where
// standard error is none it tells nothing.
type progress struct {
	w     io.Writer // nil for nothing
	shown int       // octets of what stands there
}

func (p *program) progress() *progress {
	if f, ok := p.stderr.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return &progress{w: f}
	}
	return &progress{}
}

// show replaces what stands there. done and total are octets.
func (p *progress) show(done, total int64) {
	if p.w == nil || total <= 0 {
		return
	}
	p.clear()
	p.shown, _ = fmt.Fprintf(p.w, "%d %% (%s of %s)", 100*done/total, size(done), size(total))
}

// clear takes the line away.
func (p *progress) clear() {
	if p.shown > 0 {
		fmt.Fprintf(p.w, "\r%s\r", strings.Repeat(" ", p.shown))
		p.shown = 0
	}
}
