package main

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/postrider/postrider/relay/admin"
)

// printMessage writes what is known of one message.
func printMessage(out io.Writer, m *admin.Message) error {
	w := bufio.NewWriter(out)
	field := func(name, value string) {
		if value != "" {
			fmt.Fprintf(w, "%-11s %s\n", name, printable(value))
		}
	}
	field("id", m.ID.String())
	field("message-id", m.MessageID)
	field("from", m.From)
	field("to", some(m.To))
	field("identity", m.Identity+" ("+m.Mechanism+" at "+m.Listener+")")
	field("client", strings.TrimSpace(strings.Join([]string{m.Remote, m.Helo, m.TLS}, " ")))
	field("size", fmt.Sprint(m.Size))
	field("arrival", m.Arrival.Local().Format(time.RFC3339))
	for i := range m.Deliveries {
		d := &m.Deliveries[i]
		state := d.State.String()
		if d.Attempting {
			state += ", attempted now"
		}
		if d.Due != nil {
			state += ", due " + d.Due.Local().Format(time.RFC3339)
		}
		fmt.Fprintf(w, "\nto %s: %s, %s\n", d.Destination, state, plural(int64(d.Attempts), "attempt", "attempts"))
		if d.InDoubt != "" {
			fmt.Fprintf(w, "    in doubt: %s took the content and never answered\n", printable(d.InDoubt))
		}
		for _, r := range d.To {
			line := r.Address + ": " + r.State.String()
			if r.Host != "" {
				line += ", " + r.Host
			}
			if r.Reason != "" {
				line += ": " + r.Reason
			}
			fmt.Fprintf(w, "    %s\n", printable(line))
		}
	}
	return w.Flush()
}

// some names the first of many recipients; their deliveries name all that wait.
func some(to []string) string {
	const most = 10
	if len(to) <= most {
		return strings.Join(to, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(to[:most], ", "), len(to)-most)
}

// next writes when an attempt is made: "now", or "in 4m".
func next(at, now time.Time) string {
	if !at.After(now) {
		return "now"
	}
	return "in " + age(at.Sub(now))
}

// printExplanation writes what would happen, in the order it would.
func printExplanation(out io.Writer, x *admin.Explanation) error {
	w := bufio.NewWriter(out)
	field := func(name, value string) {
		if value != "" {
			fmt.Fprintf(w, "%-12s %s\n", name, printable(value))
		}
	}
	field("verdict", x.Verdict)
	field("policy", x.Policy)
	for _, r := range x.Rewrites {
		field("rewriting", r)
	}
	field("route", x.Route)
	field("destination", x.Destination)
	field("tls", x.TLS)
	label := "because"
	for _, s := range x.Steps {
		line := s.What + ": " + s.Result
		if s.TTL > 0 {
			line += fmt.Sprintf(" (TTL %.0fs)", s.TTL)
		}
		field(label, line)
		label = ""
	}
	for i, h := range x.Hops {
		field(fmt.Sprintf("next hop %d", i+1), fmt.Sprintf("%s port %d: %s", h.Host, h.Port, strings.Join(h.Addresses, ", ")))
	}
	field("fault", x.Fault)
	switch {
	case x.Fault == "":
		field("retry", x.Retry)
	case x.Returned:
		field("so", "mail would be returned to its sender")
	default:
		field("so", "mail would wait and be tried again")
		field("retry", x.Retry)
	}
	if p := x.Probe; p != nil {
		printProbe(field, p)
	}
	return w.Flush()
}

// printProbe writes what a real session showed.
func printProbe(field func(name, value string), p *admin.ExplanationProbe) {
	verdict := map[string]string{
		"accepted": "the recipient was accepted; no mail was sent",
		"deferred": "not now: mail would wait and be tried again",
		"waiting":  "the route is at fault: its mail would wait, nothing would be returned",
		"bounced":  "refused for good: mail would be returned to its sender",
	}[p.Result]
	field("probe", verdict)
	where := p.Host
	if p.Address != "" {
		where += " (" + p.Address + ")"
	}
	if p.Address != "" && p.TLS == "" {
		where += ", in clear"
	} else if p.TLS != "" {
		where += ", " + p.TLS
	}
	field("  host", where)
	field("  reply", p.Reply)
	field("  reason", p.Reason)
	field("  note", p.Note)
	var took []string
	for _, phase := range p.Phases {
		took = append(took, fmt.Sprintf("%s %.1f ms", phase.Name, phase.TookMS))
	}
	field("  took", strings.Join(took, ", "))
}
