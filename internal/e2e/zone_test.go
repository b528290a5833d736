//go:build realpeers

package e2e

import (
	"net"
	"testing"

	"github.com/postrider/postrider/internal/dnstest"
)

// newZone serves a zone in which mx receives mail for example.test, and returns
// the server's address.
func newZone(t testing.TB, mx string) string {
	t.Helper()
	return dnstest.Start(t, dnstest.Zone{
		"example.test":    {"MX 10 mx.example.test"},
		"mx.example.test": {"A " + mx},
	}).Addr.String()
}

// freePort returns a port of ip on which nothing listened just now.
func freePort(t testing.TB, ip string) string {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(ip, "0"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}
