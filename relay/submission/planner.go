package submission

import (
	"github.com/postrider/postrider/internal/mail"
	"github.com/postrider/postrider/policy"
)

// Planner is a policy.Judge that can tell beforehand what it will do with a
// message it lets through. The header is written before the message has an end,
// so what changes the header (a rewritten From, the recipients a redirected
// message was meant for) must be known by then. Plan counts nothing and refuses
// nothing.
type Planner interface {
	Plan(id *mail.Identity) policy.Verdict
}
