package main

import (
	"context"

	"github.com/postrider/postrider/internal/mail"
	"github.com/postrider/postrider/relay/admin"
)

type explainCommand struct {
	To       string `required:"" placeholder:"ADDRESS" help:"Recipient."`
	From     string `placeholder:"ADDRESS" help:"Reverse-path; <> for reports."`
	As       string `placeholder:"USER" help:"Identity that submits it. A policy that matches networks is taken not to match."`
	Listener string `placeholder:"NAME" help:"Listener it comes by."`
	Probe    bool   `help:"Connect to the next hop, log in and go as far as RCPT; no mail is sent."`
	JSON     bool   `name:"json" help:"Print a JSON object."`
}

// Run has the daemon explain, so that the answer is by what is in force.
func (c explainCommand) Run(p *program) error {
	if _, err := mail.ParseAddress(c.To); err != nil {
		return usageError{"--to " + c.To + ": " + err.Error()}
	}
	if c.From != "" && c.From != "<>" {
		if _, err := mail.ParseAddress(c.From); err != nil {
			return usageError{"--from " + c.From + ": " + err.Error()}
		}
	}
	return p.ask(func(ctx context.Context, client *admin.Client) error {
		x, err := client.Explain(ctx, admin.Question{To: c.To, From: c.From, As: c.As, Listener: c.Listener, Probe: c.Probe})
		if err != nil {
			return err
		}
		if c.JSON {
			return newEncoder(p.stdout).Encode(x)
		}
		return printExplanation(p.stdout, x)
	})
}
