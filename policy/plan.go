package policy

import "github.com/postrider/postrider/internal/mail"

// Plan returns what Message will say about a message of id that it lets through,
// but for Undo. It refuses and counts nothing.
func (p *Policy) Plan(id *mail.Identity) Verdict { return p.find(id).verdict }
