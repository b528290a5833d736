package config

import (
	"net"
	"strings"

	"github.com/postrider/postrider/internal/mail"
)

// maxSocketPath is the longest path of a unix socket on the systems we run on,
// in octets without the final NUL (sun_path of 104 on BSD and macOS, 108 on Linux).
const maxSocketPath = 103

func (k *checker) listeners() {
	if len(k.config.Listeners) == 0 {
		k.fault("listeners", `has no items; expected at least one, such as {address: "127.0.0.1:2525"}`)
	}
	names, addresses := make(map[string]int), make(map[string]int)
	for i := range k.config.Listeners {
		l, at := &k.config.Listeners[i], index("listeners", i)
		if first, dup := names[l.Name]; dup && k.set(at+".name") {
			k.fault(at+".name", "%q is the name of listeners[%d] too", l.Name, first)
		}
		names[l.Name] = i
		if first, dup := addresses[l.Address]; dup && l.Address != "" {
			k.fault(at+".address", "%q is the address of listeners[%d] too", l.Address, first)
		}
		addresses[l.Address] = i
		k.listener(at, l)
		if _, port, _ := net.SplitHostPort(l.Address); port != "0" && l.Address == k.config.Admin.Address && k.sound(at+".address") {
			k.fault(at+".address", "%q is admin.address too", l.Address)
		}
	}
}

func (k *checker) listener(at string, l *Listener) {
	switch path, unix := strings.CutPrefix(l.Address, unixPrefix); {
	case l.Address == "":
		k.fault(at+".address", "is missing; expected host:port, or unix:/path")
		return
	case unix && (path == "" || len(path) > maxSocketPath):
		k.fault(at+".address", "expected unix: and a path of at most %d octets", maxSocketPath)
	case !unix:
		k.hostPort(at+".address", l.Address)
	}
	k.listenerAuth(at, l)
	if l.Identity != "" && l.Auth != AuthNone && k.read(at+".auth") {
		k.fault(at+".identity", "is only for auth: none; here clients say who they are")
	}
	if a := l.Identity; strings.Contains(a, "@") {
		if _, err := mail.ParseAddress(a); err != nil {
			k.fault(at+".identity", "%q is not an address, and a name holds no @", a)
		}
	}
	if l.Unix() && len(l.ProxyProtocol) > 0 {
		k.fault(at+".proxy_protocol", "is for TCP listeners, not for a unix socket")
	}
}

// listenerAuth checks that nobody is let in by address alone, and that no
// password travels in clear over a network.
func (k *checker) listenerAuth(at string, l *Listener) {
	key := at + ".auth"
	if !k.sound(at+".address", key, at+".tls", at+".allow_insecure_auth") {
		return
	}
	switch {
	case l.Auth == AuthNone && !l.Local():
		k.fault(key, `"none" is allowed on loopback addresses and unix sockets only, and %q is neither; expected required`, l.Address)
	case l.Auth == AuthPeer && !l.Unix():
		k.fault(key, `"peer" is allowed on unix sockets only, and %q is none; expected required`, l.Address)
	case l.AllowInsecureAuth && !l.Local():
		k.fault(at+".allow_insecure_auth", "is allowed on loopback addresses and unix sockets only, and %q is neither", l.Address)
	case l.Auth == AuthRequired && l.TLS == TLSNone && !l.AllowInsecureAuth:
		k.fault(at+".tls", `"none" leaves no way to log in with auth: required; expected starttls, required or implicit (or allow_insecure_auth: true on loopback and unix sockets)`)
	}
}
