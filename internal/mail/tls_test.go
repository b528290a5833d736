package mail

import (
	"crypto/tls"
	"testing"
)

func TestTLSName(t *testing.T) {
	for _, c := range []struct {
		state *tls.ConnectionState
		want  string
	}{
		{nil, ""},
		{&tls.ConnectionState{}, ""},
		{&tls.ConnectionState{Version: tls.VersionTLS13}, "TLSv1.3"},
		{&tls.ConnectionState{Version: tls.VersionTLS12}, "TLSv1.2"},
		{&tls.ConnectionState{Version: tls.VersionTLS10}, "TLSv1.0"},
	} {
		if got := TLSName(c.state); got != c.want {
			t.Errorf("%v: %q, want %q", c.state, got, c.want)
		}
	}
}
