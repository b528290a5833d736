package relay

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/mail"
	"github.com/postrider/postrider/policy"
	"github.com/postrider/postrider/queue"
	"github.com/postrider/postrider/relay/admin"
	"github.com/postrider/postrider/routing"
)

// explain tells what would happen to a message, by the code that would do it,
// and does none of it: nothing is counted or kept, and nobody is connected to
// unless a probe is asked for.
func (r *Relay) explain(ctx context.Context, q admin.Question) (*admin.Explanation, error) {
	e, rcpt, err := question(q)
	if err != nil {
		return nil, err
	}
	rules := r.rules.Load()
	if rcpt.Domain.IsZero() { // <postmaster> is ours (RFC 5321 4.5.1)
		rcpt.Domain, _ = mail.ParseDomain(rules.config.Hostname) // has been checked
		e.Recipients[0].Address = rcpt
	}
	if err := describe(&e.Identity, q, rules.config); err != nil {
		return nil, err
	}
	x := &admin.Explanation{Verdict: "accepted"}
	if err := verdict(rules.policy, e, rcpt); err != nil {
		x.Verdict = "refused: " + mail.ReplyOf(err, mail.Reply{Text: err.Error()}).String()
	}
	plan := rules.policy.Plan(&e.Identity)
	x.Policy = plan.Policy
	x.Rewrites = rewrites(plan)
	if plan.Rewrite.ReversePath != nil {
		e.From = mail.Path{Address: *plan.Rewrite.ReversePath}
	}
	if plan.Environment == config.EnvironmentRedirect && len(plan.RedirectTo) > 0 {
		rcpt = plan.RedirectTo[0]
	}

	route, steps := rules.table.Explain(e, rcpt)
	x.Route, x.TLS = route.Name, string(route.TLS)
	x.Destination = destinations{rules.table}.Destination(e, rcpt).String()
	found, err := r.router().Explain(ctx, route, route.Domain(rcpt))
	if err != nil {
		x.Fault = err.Error()
		// As an attempt judges it: what is wrong with a smarthost returns no mail.
		x.Returned = !route.Smarthost && mail.ReplyOf(err, mail.Reply{}).Permanent()
	}
	for _, s := range append(steps, found.Steps...) {
		x.Steps = append(x.Steps, admin.ExplanationStep{
			What: s.What, Result: s.Result, TTL: s.TTL.Seconds(), TookMS: float64(s.Took.Microseconds()) / 1000,
		})
	}
	for i := range found.Hops {
		x.Hops = append(x.Hops, explainHop(&found.Hops[i]))
	}
	x.Retry = retryPlan(rules.config.Retry)
	if q.Probe {
		e.Recipients[0].Address = rcpt
		x.Probe = r.probe(ctx, e)
	}
	return x, nil
}

// probe takes the way of e as far as RCPT.
func (r *Relay) probe(ctx context.Context, e *mail.Envelope) *admin.ExplanationProbe {
	o := r.courier.Probe(ctx, e)
	result := o.Results[0]
	x := &admin.ExplanationProbe{
		Result: "deferred", Host: cmp.Or(result.Host, o.Event.Host), TLS: o.Event.TLS, Reason: result.Reason,
	}
	switch {
	case result.Verdict == queue.Success:
		x.Result = "accepted"
	case result.Verdict == queue.Bounce:
		x.Result = "bounced"
	case o.Fault >= queue.SenderRefused:
		x.Result = "waiting"
	}
	if o.Event.Address.IsValid() {
		x.Address = o.Event.Address.String()
	}
	if result.Reply.Code != 0 {
		x.Reply = result.Reply.String()
	}
	if o.Event.Err != nil && x.Reason == "" && result.Verdict == queue.Success {
		x.Note = o.Event.Err.Error()
	}
	for _, p := range o.Event.Phases {
		if p.Name == "data" {
			continue // none was sent
		}
		x.Phases = append(x.Phases, admin.ExplanationPhase{Name: p.Name, TookMS: float64(p.Took.Microseconds()) / 1000})
	}
	return x
}

// router returns the router in force.
func (r *Relay) router() *routing.Router {
	r.reloading.Lock()
	defer r.reloading.Unlock()
	return r.network.router
}

// question reads what explain is asked.
func question(q admin.Question) (*mail.Envelope, mail.Address, error) {
	rcpt, err := mail.ParseAddress(q.To)
	if err != nil {
		return nil, rcpt, senseless("--to %s: %v", q.To, err)
	}
	e := &mail.Envelope{Recipients: []mail.Recipient{{Address: rcpt}}}
	if q.From != "" && q.From != "<>" {
		from, err := mail.ParseAddress(q.From)
		if err != nil {
			return nil, rcpt, senseless("--from %s: %v", q.From, err)
		}
		e.From = mail.Path{Address: from}
	}
	return e, rcpt, nil
}

// describe makes id what it would be in a session, as far as q tells: the client's
// address it does not.
func describe(id *mail.Identity, q admin.Question, c *config.Config) error {
	id.Name, id.Listener = q.As, q.Listener
	for group, members := range c.Auth.Groups {
		if slices.Contains(members, q.As) {
			id.Groups = append(id.Groups, group)
		}
	}
	if q.Listener != "" && !slices.ContainsFunc(c.Listeners, func(l config.Listener) bool { return l.Name == q.Listener }) {
		return senseless("--listener %s: there is no listener of that name", q.Listener)
	}
	return nil
}

// senseless is the answer to a question that is its asker's fault.
func senseless(format string, args ...any) error {
	return &admin.Error{Kind: admin.BadRequest, Text: fmt.Sprintf(format, args...)}
}

func verdict(p policy.Judge, e *mail.Envelope, rcpt mail.Address) error {
	if err := p.Sender(&e.Identity, e.From, 0); err != nil {
		return err
	}
	return p.Recipient(&e.Identity, rcpt, 0)
}

// rewrites tells what a policy would change.
func rewrites(v policy.Verdict) []string {
	var list []string
	if a := v.Rewrite.ReversePath; a != nil {
		list = append(list, fmt.Sprintf("reverse-path becomes <%s>", a))
	}
	if a := v.Rewrite.From; a != nil {
		list = append(list, fmt.Sprintf("From becomes %s; the old one becomes Reply-To if there is none", a))
	}
	switch v.Environment {
	case config.EnvironmentRedirect:
		var to []string
		for _, a := range v.RedirectTo {
			to = append(to, a.String())
		}
		list = append(list, "redirected to "+strings.Join(to, ", "))
	case config.EnvironmentCapture:
		list = append(list, "captured: kept until an operator releases it")
	}
	return list
}

func explainHop(h *routing.NextHop) admin.ExplanationHop {
	x := admin.ExplanationHop{Host: h.Host, Port: h.Port}
	for _, a := range h.Addresses {
		x.Addresses = append(x.Addresses, a.String())
	}
	return x
}

func retryPlan(c config.Retry) string {
	var after []string
	for _, d := range c.Intervals {
		after = append(after, config.FormatDuration(d))
	}
	s := fmt.Sprintf("after %s, then every %s; returned after %s", strings.Join(after, ", "),
		after[len(after)-1], config.FormatDuration(c.Lifetime))
	if c.WarnAfter > 0 {
		s += "; the sender is told of the delay after " + config.FormatDuration(c.WarnAfter)
	}
	return s
}
