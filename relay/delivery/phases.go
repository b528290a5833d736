package delivery

import (
	"time"

	"github.com/postrider/postrider/internal/mail"
)

// phases are how long the parts of an attempt took, in the order they first
// happened. What happens more than once, with several hosts, is added up.
type phases struct{ list []mail.Phase }

// add counts the time since start to the phase called name.
func (p *phases) add(name string, start time.Time) {
	took := time.Since(start)
	for i := range p.list {
		if p.list[i].Name == name {
			p.list[i].Took += took
			return
		}
	}
	if p.list == nil {
		p.list = make([]mail.Phase, 0, 6)
	}
	p.list = append(p.list, mail.Phase{Name: name, Took: took})
}
