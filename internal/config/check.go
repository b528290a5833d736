package config

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io/fs"
	"maps"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/postrider/postrider/internal/mail"
)

// checker completes a decoded configuration and judges what no single value
// tells: what goes together, what exists, what would be unsafe.
type checker struct {
	*faults
	places
	config   *Config
	loader   Loader
	warnings faults
	// unread are the keys whose values could not be read; defaults stand in their
	// place, of which nothing is said.
	unread []string
}

// read reports whether the values of all these keys are those that were written.
func (k *checker) read(paths ...string) bool { return none(k.unread, paths) }

// sound reports whether nothing is known to be wrong with any of these keys.
func (k *checker) sound(paths ...string) bool { return none(k.unsound, paths) }

func none(keys, paths []string) bool {
	return !slices.ContainsFunc(paths, func(path string) bool { return touches(keys, path) })
}

// fault notes a fault of a key, at its own place or that of the nearest key
// around it. Of a key that could not be read there is nothing more to say.
func (k *checker) fault(path, format string, args ...any) {
	if k.read(path) {
		k.add(k.at(path), path, format, args...)
	}
}

// warn notes what is odd about a key, and no fault.
func (k *checker) warn(path, format string, args ...any) {
	k.warnings.add(k.at(path), path, format, args...)
}

func (k *checker) all() {
	k.general()
	k.listeners()
	k.tls()
	k.auth()
	k.submission()
	k.policies()
	k.routes()
	k.delivery()
	k.retry()
	k.queue()
}

func (k *checker) general() {
	c := k.config
	if d, err := mail.ParseDomain(c.Hostname); err != nil {
		if k.set("hostname") {
			k.fault("hostname", "%q is not a host name such as relay.example.com", c.Hostname)
		} else {
			k.fault("hostname", "the system's name %q is not a host name; set one such as relay.example.com", c.Hostname)
		}
	} else {
		c.Hostname = d.String()
		if !strings.ContainsAny(c.Hostname, ".[") {
			k.warn("hostname", "%q has no domain; many servers take no mail from a host of such a name: set one such as relay.example.com", c.Hostname)
		}
	}
	k.stateDir(c.StateDir)
	if c.Admin.Address != "" {
		k.hostPort("admin.address", c.Admin.Address)
	}
	k.positive("shutdown_timeout", c.ShutdownTimeout)
	atLeast(k, "memory", c.Memory, 32<<20)
}

// positive checks a duration that must not be zero.
func (k *checker) positive(key string, d time.Duration) {
	if d <= 0 {
		k.fault(key, "is zero; expected %s", wantDuration)
	}
}

// atLeast checks a number or a size.
func atLeast[N int | Size](k *checker, key string, value, least N) {
	if value < least {
		k.fault(key, "%v is too small; expected at least %v", value, least)
	}
}

func (k *checker) hostPort(key, address string) {
	host, port, err := net.SplitHostPort(address)
	number := 0
	if err == nil {
		number, err = parseInt(port)
	}
	switch {
	case isNumber(address):
		k.fault(key, `%q is a port alone; expected host:port such as "127.0.0.1:%s", or ":%s" for all addresses`, address, address, address)
	case err != nil || strings.ContainsAny(host, " /"):
		k.fault(key, `%q is not host:port such as "127.0.0.1:8025" or ":8025"`, address)
	case number > 65535:
		k.fault(key, "%q has a port out of range; expected one from 1 to 65535", address)
	case host != "" && (strings.Trim(host, "0123456789.") == "" || strings.Contains(host, ":")):
		if _, err := netip.ParseAddr(host); err != nil {
			k.fault(key, "%q holds no IP address", address)
		}
	}
}

func isNumber(s string) bool {
	_, err := parseInt(s)
	return err == nil
}

// readable checks that a file can be read.
func (k *checker) readable(key, file string) bool {
	f, err := os.Open(file)
	if err != nil {
		k.fault(key, "can't read %s: %s", file, reason(err))
		return false
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.IsDir() {
		k.fault(key, "%s is a directory; expected a file", file)
		return false
	}
	return true
}

// bundle checks that a file holds certificates.
func (k *checker) bundle(key, file string) {
	if file == "" || !k.readable(key, file) {
		return
	}
	text, err := os.ReadFile(file)
	if err != nil || !x509.NewCertPool().AppendCertsFromPEM(text) {
		k.fault(key, "%s holds no certificate in PEM form", file)
	}
}

func (k *checker) tls() {
	t := k.config.TLS
	certificate := t.Certificate != "" && k.readable("tls.certificate", t.Certificate)
	key := t.Key != "" && k.readable("tls.key", t.Key)
	switch {
	case !k.read("tls.certificate", "tls.key"):
	case t.Certificate == "" && t.Key != "":
		k.fault("tls.key", "stands without tls.certificate; expected both or neither")
	case t.Certificate != "" && t.Key == "":
		k.fault("tls.certificate", "stands without tls.key; expected both or neither")
	case certificate && key:
		k.pair(t.Certificate, t.Key)
	}
	k.bundle("tls.client_ca", t.ClientCA)
}

// pair checks that certificate and key belong together. A certificate that is no
// longer valid, or not yet, is no fault: clients may not look, and the clock may be
// wrong.
func (k *checker) pair(certificate, key string) {
	const at = "tls.certificate"
	pair, err := tls.LoadX509KeyPair(certificate, key)
	now := time.Now()
	switch {
	case err != nil:
		k.fault(at, "%s and tls.key %s are no pair: %v", certificate, key, err)
	case now.After(pair.Leaf.NotAfter):
		k.warn(at, "%s has expired (%s); clients that verify it turn away", certificate, pair.Leaf.NotAfter.UTC().Format(time.RFC3339))
	case now.Before(pair.Leaf.NotBefore):
		k.warn(at, "%s is not valid yet (%s); clients that verify it turn away", certificate, pair.Leaf.NotBefore.UTC().Format(time.RFC3339))
	}
}

func (k *checker) auth() {
	a := k.config.Auth
	atLeast(k, "auth.max_failures", a.MaxFailures, 1)
	for i, c := range a.Certificates {
		at := index("auth.certificates", i)
		if c.Subject == "" {
			k.fault(at+".subject", "is missing; expected a name, an address or a URI of the certificate")
		}
		if c.Identity == "" {
			k.fault(at+".identity", "is missing; expected the name that policies know")
		}
	}
	if len(a.Certificates) > 0 && k.config.TLS.ClientCA == "" && k.read("tls.client_ca") {
		k.fault("auth.certificates", "needs tls.client_ca, which says whose certificates count")
	}
	for _, name := range slices.Sorted(maps.Keys(a.Groups)) { // the same faults are the same text
		if len(a.Groups[name]) == 0 {
			k.fault(join("auth.groups", name), "has no members")
		}
	}
	k.usersFile(a.UsersFile)
}

// usersFile checks that the users file is there if someone must log in, and has
// the loader read it. The embedded default makes its own at the first run.
func (k *checker) usersFile(file string) {
	const key = "auth.users_file"
	named := k.set(key)
	if file == "" || !named && (!k.config.wantsPasswords() || !k.read("listeners", "auth") || !k.sound("state_dir")) {
		return
	}
	_, err := os.Stat(file)
	if errors.Is(err, fs.ErrNotExist) {
		own := k.config.Source == "" && file == filepath.Join(k.config.StateDir, "users")
		if !own && !k.loader.Bystander {
			k.fault(key, "%s does not exist; `postrider user add NAME` makes it", file)
		}
		return
	}
	if k.loader.Bystander && !named || !k.readable(key, file) || k.loader.Users == nil {
		return
	}
	if err := k.loader.Users(file); err != nil {
		k.fault(key, "%v", err)
	}
}

func (k *checker) submission() {
	s := k.config.Submission
	atLeast(k, "submission.max_connections", s.MaxConnections, 1)
	atLeast(k, "submission.max_connections_per_address", s.MaxConnectionsPerAddress, 1)
	atLeast(k, "submission.max_connections_per_identity", s.MaxConnectionsPerIdentity, 1)
	atLeast(k, "submission.max_message_size", s.MaxMessageSize, 64<<10) // RFC 5321 4.5.3.1.7
	atLeast(k, "submission.max_recipients", s.MaxRecipients, 1)
	atLeast(k, "submission.max_header_size", s.MaxHeaderSize, 4<<10)
	k.positive("submission.command_timeout", s.CommandTimeout)
	k.positive("submission.data_timeout", s.DataTimeout)
	k.positive("submission.message_timeout", s.MessageTimeout)
	k.positive("submission.session_timeout", s.SessionTimeout)
}

func (k *checker) delivery() {
	d := k.config.Delivery
	k.noDANE("delivery.tls", d.TLS)
	atLeast(k, "delivery.concurrency", d.Concurrency, 1)
	atLeast(k, "delivery.destination_concurrency", d.DestinationConcurrency, 1)
	atLeast(k, "delivery.recipients_per_transaction", d.RecipientsPerTransaction, 1)
	k.positive("delivery.connect_timeout", d.ConnectTimeout)
	k.positive("delivery.idle_timeout", d.IdleTimeout)
	k.positive("dns.timeout", k.config.DNS.Timeout)
}

func (k *checker) retry() {
	r := k.config.Retry
	if len(r.Intervals) == 0 {
		k.fault("retry.intervals", "is empty; expected a list of durations such as [1m, 5m, 30m]")
	}
	for i, d := range r.Intervals {
		if d < time.Second {
			k.fault(index("retry.intervals", i), "%q is too short; expected at least 1s", FormatDuration(d))
		}
	}
	k.positive("retry.lifetime", r.Lifetime)
	if r.WarnAfter > 0 && r.WarnAfter >= r.Lifetime && k.sound("retry.lifetime") {
		k.fault("retry.warn_after", "%q is not shorter than retry.lifetime (%s); 0 turns warnings off", FormatDuration(r.WarnAfter), FormatDuration(r.Lifetime))
	}
}

func (k *checker) queue() {
	q := k.config.Queue
	atLeast(k, "queue.max_bytes", q.MaxBytes, 1<<20)
	k.largestFits()
	if k.set("queue.memory") || k.sound("memory") {
		atLeast(k, "queue.memory", q.Memory, 4<<20)
	}
	if q.Memory > k.config.Memory && k.sound("memory", "queue.memory") {
		k.fault("queue.memory", "%v is more than memory (%v), of which it is a part", q.Memory, k.config.Memory)
	}
}

// largestFits checks that an empty queue has room for the largest message. A client
// of one that never fits would be told for ever to come later.
func (k *checker) largestFits() {
	const room, largest = "queue.max_bytes", "submission.max_message_size"
	q, s := k.config.Queue.MaxBytes, k.config.Submission.MaxMessageSize
	switch {
	case q >= s || !k.sound(room, largest):
	case k.set(room):
		k.fault(room, "%v is less than %s (%v)", q, largest, s)
	default:
		k.fault(largest, "%v is more than %s (%v)", s, room, q)
	}
}
