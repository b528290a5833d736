package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/postrider/postrider/queue"
	"github.com/postrider/postrider/relay/admin"
)

type queueCommands struct {
	List    queueList    `cmd:"" help:"List deliveries, the oldest first: one for each destination of a message."`
	Show    queueShow    `cmd:"" help:"Show a message, what is still to be done about it, or its content."`
	Retry   queueRetry   `cmd:"" help:"Try again now, dead mail too, and probe suspended routes at once."`
	Hold    queueHold    `cmd:"" help:"Keep mail in the queue until it is released: all recipients that go the same way."`
	Release queueRelease `cmd:"" help:"Let held and captured mail go."`
	Delete  queueDelete  `cmd:"" help:"Drop mail, with --to-domain for those recipients alone. Nobody is told."`
	Bounce  queueBounce  `cmd:"" help:"Give mail up, with --to-domain for those recipients alone, and tell its senders."`
	Rule    ruleCommands `cmd:"" help:"Rules by which new mail is held."`
	Stats   queueStats   `cmd:"" help:"Count what waits: destinations down, ages across."`
	Verify  queueVerify  `cmd:"" help:"Read all that is stored and report what is damaged, with or without a running daemon."`
}

// selection are the flags that say which deliveries a command is about.
type selection struct {
	IDs       []string `arg:"" optional:"" name:"id" help:"Queue ids: messages, to all their destinations."`
	ToDomain  string   `placeholder:"DOMAIN" help:"Mail that waits for recipients in this domain."`
	From      string   `placeholder:"ADDRESS" help:"Mail from this reverse-path; <> for reports."`
	Route     string   `placeholder:"ROUTE" help:"Mail on this route, or to this destination (ROUTE/DOMAIN)."`
	OlderThan string   `placeholder:"DURATION" help:"Mail that arrived longer ago: 30m, 4h, 2d."`
	State     []string `placeholder:"STATE" help:"Mail in these states: active, deferred, held, captured, dead."`
	All       bool     `help:"All mail."`
}

// parse returns the selection. A command that changes something needs one.
func (s selection) parse(required bool) (admin.Selection, error) {
	sel := admin.Selection{
		IDs: s.IDs, ToDomain: s.ToDomain, From: s.From, Route: s.Route,
		OlderThan: s.OlderThan, States: s.State, All: s.All,
	}
	if required && sel.Empty() {
		return sel, usageError{"nothing selected: give queue ids, --to-domain, --from, --route, --older-than, --state, or --all"}
	}
	if _, err := sel.Selector(); err != nil {
		return sel, usageError{err.Error()}
	}
	return sel, nil
}

// operate has the daemon do something to what is selected, and tells to how many.
func (s selection) operate(p *program, operation, done string) error {
	sel, err := s.parse(true)
	if err != nil {
		return err
	}
	return p.ask(func(ctx context.Context, client *admin.Client) error {
		n, err := client.Operate(ctx, operation, sel)
		if err != nil {
			return err
		}
		if n == 0 && len(s.IDs) > 0 {
			return dataError{"nothing in the queue is selected, or there is nothing to " + operation}
		}
		word := "deliveries"
		if n == 1 {
			word = "delivery"
		}
		_, err = fmt.Fprintf(p.stdout, "%d %s %s\n", n, word, done)
		return err
	})
}

type (
	queueRetry   struct{ selection }
	queueHold    struct{ selection }
	queueRelease struct{ selection }
	queueDelete  struct{ selection }
	queueBounce  struct{ selection }
)

// Run makes deliveries due.
func (c queueRetry) Run(p *program) error { return c.operate(p, "retry", "due now") }

// Run holds deliveries.
func (c queueHold) Run(p *program) error { return c.operate(p, "hold", "held") }

// Run releases deliveries.
func (c queueRelease) Run(p *program) error { return c.operate(p, "release", "released") }

// Run deletes deliveries.
func (c queueDelete) Run(p *program) error { return c.operate(p, "delete", "deleted") }

// Run bounces deliveries.
func (c queueBounce) Run(p *program) error { return c.operate(p, "bounce", "bounced") }

type queueList struct {
	selection
	Limit int  `help:"List at most so many."`
	JSON  bool `name:"json" help:"One JSON object a line."`
}

// Run prints as it reads, so that a long queue needs no memory.
func (c queueList) Run(p *program) error {
	sel, err := c.parse(false)
	if err != nil {
		return err
	}
	if c.Limit < 0 {
		return usageError{"--limit is negative"}
	}
	return p.ask(func(ctx context.Context, client *admin.Client) error {
		out := newListing(p.stdout, c.JSON)
		for entry, err := range client.List(ctx, sel, c.Limit) {
			if err != nil {
				return err
			}
			if err := out.entry(&entry); err != nil {
				return err
			}
		}
		return out.end()
	})
}

type queueShow struct {
	ID      string `arg:"" help:"Queue id."`
	Content bool   `help:"Print the message itself as it is relayed."`
	JSON    bool   `name:"json" help:"Print a JSON object."`
}

// Run prints one message.
func (c queueShow) Run(p *program) error {
	if _, err := (admin.Selection{IDs: []string{c.ID}}).Selector(); err != nil {
		return usageError{err.Error()}
	}
	return p.ask(func(ctx context.Context, client *admin.Client) error {
		if c.Content {
			return client.Content(ctx, c.ID, p.stdout)
		}
		m, err := client.Show(ctx, c.ID)
		if err != nil {
			return err
		}
		if c.JSON {
			return newEncoder(p.stdout).Encode(m)
		}
		return printMessage(p.stdout, m)
	})
}

type queueStats struct {
	Rows int  `default:"20" placeholder:"N" help:"Show the N largest rows and sum up the rest; 0 shows all."`
	JSON bool `name:"json" help:"One JSON object a line: one for each destination and state, then one for each destination with its status."`
}

// Run prints counts by destination, state and age.
func (c queueStats) Run(p *program) error {
	if c.Rows < 0 {
		return usageError{"--rows is negative"}
	}
	return p.ask(func(ctx context.Context, client *admin.Client) error {
		s, err := client.Stats(ctx)
		if err != nil {
			return err
		}
		if !c.JSON {
			return printStats(p.stdout, s, c.Rows, time.Now())
		}
		e := newEncoder(p.stdout)
		for i := range s.Rows {
			if err := e.Encode(&s.Rows[i]); err != nil {
				return err
			}
		}
		for i := range s.Destinations {
			if err := e.Encode(&s.Destinations[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

type ruleCommands struct {
	List   ruleList   `cmd:"" help:"List the rules in force."`
	Add    ruleAdd    `cmd:"" help:"Hold new mail that matches, over restarts too."`
	Remove ruleRemove `cmd:"" help:"End a rule. What it has held stays held until it is released."`
}

// rule names a hold rule.
type rule struct {
	Field   string `arg:"" enum:"recipient,sender,route,all" help:"What to look at: recipient, sender, route, or all for all new mail."`
	Pattern string `arg:"" optional:"" help:"What it must be; * stands for anything."`
}

func (r rule) parse() (queue.HoldRule, error) {
	h := queue.HoldRule{Field: queue.HoldField(r.Field), Pattern: r.Pattern}
	if (h.Field == queue.HoldAll) != (h.Pattern == "") {
		return h, usageError{"a rule for recipient, sender or route needs a pattern, one for all mail takes none"}
	}
	return h, nil
}

type (
	ruleList   struct{}
	ruleAdd    struct{ rule }
	ruleRemove struct{ rule }
)

// Run prints one rule a line.
func (ruleList) Run(p *program) error {
	return p.ask(func(ctx context.Context, client *admin.Client) error {
		rules, err := client.HoldRules(ctx)
		if err != nil {
			return err
		}
		if len(rules) == 0 {
			_, err := fmt.Fprintln(p.stdout, "No rules: nothing new is held.")
			return err
		}
		for _, r := range rules {
			line := strings.TrimSpace(fmt.Sprintf("%-9s %s", r.Field, r.Pattern))
			if _, err := fmt.Fprintf(p.stdout, "%s  (since %s)\n", line, r.Since.Local().Format("2006-01-02 15:04:05")); err != nil {
				return err
			}
		}
		return nil
	})
}

// Run adds a rule.
func (c ruleAdd) Run(p *program) error {
	r, err := c.parse()
	if err != nil {
		return err
	}
	return p.ask(func(ctx context.Context, client *admin.Client) error {
		if err := client.AddHoldRule(ctx, r); err != nil {
			return err
		}
		_, err := fmt.Fprintln(p.stdout, "New mail that matches is held from now on.")
		return err
	})
}

// Run removes a rule.
func (c ruleRemove) Run(p *program) error {
	r, err := c.parse()
	if err != nil {
		return err
	}
	return p.ask(func(ctx context.Context, client *admin.Client) error {
		rules, err := client.HoldRules(ctx)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(rules, func(o queue.HoldRule) bool { return o.Field == r.Field && strings.EqualFold(o.Pattern, r.Pattern) }) {
			return dataError{"there is no such rule; `postrider queue rule list` shows them"}
		}
		if err := client.RemoveHoldRule(ctx, r); err != nil {
			return err
		}
		_, err = fmt.Fprintln(p.stdout, "The rule has ended; what it has held stays held until it is released.")
		return err
	})
}
