package e2e

import (
	"fmt"
	"net"
	"net/textproto"
	"strings"
	"testing"

	"github.com/postrider/postrider/internal/dnstest"
	"github.com/postrider/postrider/internal/smtptest"
)

// internet is a piece of it on loopback: scripted hosts, each with an address of
// its own and all on one port, and the zone that leads to them.
type internet struct {
	t    testing.TB
	DNS  *dnstest.Server
	port string
	next byte // last octet of the next host's address
}

func newInternet(t testing.TB) *internet {
	_, port, _ := net.SplitHostPort(smtptest.FreeAddress(t))
	return &internet{t: t, DNS: dnstest.Start(t, dnstest.Zone{}), port: port, next: 10}
}

// config is what a relay needs to find it.
func (n *internet) config() string {
	return fmt.Sprintf("dns: {servers: [\"%s\"]}\n", n.DNS.Addr)
}

// host starts a host of that name.
func (n *internet) host(name string, s smtptest.Script) *smtptest.Peer {
	n.t.Helper()
	n.next++
	address := fmt.Sprintf("127.0.7.%d", n.next)
	n.DNS.Set(name, "A "+address)
	return smtptest.StartAt(n.t, net.JoinHostPort(address, n.port), s)
}

// absent gives a name an address at which nobody listens.
func (n *internet) absent(name string) {
	n.next++
	n.DNS.Set(name, fmt.Sprintf("A 127.0.7.%d", n.next))
}

// mailbox starts the only MX host of a domain; it takes everything.
func (n *internet) mailbox(domain string) *smtptest.Peer {
	n.t.Helper()
	n.DNS.Set(domain, "MX 10 mx."+domain)
	return n.host("mx."+domain, smtptest.Script{})
}

// letter is a message to submit.
type letter struct {
	From    string // with parameters: "<a@example.org> RET=HDRS"
	To      []string
	Content string
}

// accept submits a letter without AUTH and fails the test unless it is accepted.
func (d *daemon) accept(l letter) {
	d.t.Helper()
	c, err := textproto.Dial("tcp", d.Open)
	if err != nil {
		d.t.Fatal(err)
	}
	defer c.Close()
	expect := func(code int, line string) {
		d.t.Helper()
		if line != "" {
			if err := c.PrintfLine("%s", line); err != nil {
				d.t.Fatal(err)
			}
		}
		if _, _, err := c.ReadResponse(code); err != nil {
			d.t.Fatalf("%s: %v", line, err)
		}
	}
	expect(220, "")
	expect(250, "EHLO client.test")
	expect(250, "MAIL FROM:"+l.From)
	for _, to := range l.To {
		expect(250, "RCPT TO:"+to)
	}
	expect(354, "DATA")
	if l.Content == "" {
		l.Content = "From: app@sender.test\r\nSubject: hello\r\n\r\nhello\r\n"
	}
	expect(250, l.Content+".")
	expect(221, "QUIT")
}

// about returns the events of one kind that are about an address or a domain.
func (d *daemon) about(kind, to string) []map[string]any {
	var found []map[string]any
	for _, e := range d.events(kind) {
		if strings.Contains(fmt.Sprint(e["to"]), to) {
			found = append(found, e)
		}
	}
	return found
}

// await waits until there are n events of a kind about to, and returns them.
func (d *daemon) await(kind, to string, n int) []map[string]any {
	d.t.Helper()
	var found []map[string]any
	eventually(d.t, fmt.Sprintf("%d %s events about %s", n, kind, to), func() error {
		if found = d.about(kind, to); len(found) < n {
			return fmt.Errorf("%d so far\n%s", len(found), d.log)
		}
		return nil
	})
	return found
}
