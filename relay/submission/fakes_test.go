package submission

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"math/big"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"go.uber.org/goleak"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/mail"
	"github.com/postrider/postrider/policy"
	"github.com/postrider/postrider/queue"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// message is what the fake queue was given.
type message struct {
	envelope    *mail.Envelope
	content     string
	disposition queue.Disposition
}

// fakeQueue keeps messages in memory.
type fakeQueue struct {
	mu        sync.Mutex
	messages  []message
	discarded int
	receive   error // of Receive
	commit    error // of Commit
	write     error // of Write
	onCommit  func()
}

func (q *fakeQueue) Receive(context.Context) (Incoming, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.receive != nil {
		return nil, q.receive
	}
	return &fakeIncoming{q: q}, nil
}

func (q *fakeQueue) all() []message {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.Clone(q.messages)
}

type fakeIncoming struct {
	q     *fakeQueue
	buf   bytes.Buffer
	ended bool
}

// testID is the ID of every message in tests.
var testID = func() mail.ID {
	id, err := mail.ParseID("01JD0000000000000000000000")
	if err != nil {
		panic(err)
	}
	return id
}()

func (in *fakeIncoming) ID() mail.ID { return testID }

func (in *fakeIncoming) Write(p []byte) (int, error) {
	if in.q.write != nil {
		return 0, in.q.write
	}
	return in.buf.Write(p)
}

func (in *fakeIncoming) Commit(_ context.Context, e *mail.Envelope, d queue.Disposition) error {
	if in.q.onCommit != nil {
		in.q.onCommit()
	}
	in.q.mu.Lock()
	defer in.q.mu.Unlock()
	in.ended = true
	if in.q.commit != nil {
		return in.q.commit
	}
	in.q.messages = append(in.q.messages, message{e, in.buf.String(), d})
	return nil
}

func (in *fakeIncoming) Discard() {
	in.q.mu.Lock()
	defer in.q.mu.Unlock()
	if !in.ended {
		in.q.discarded++
		in.ended = true
	}
}

// fakeAuth knows one user, alice, whose password is "secret".
type fakeAuth struct {
	peer   error
	groups []string // of whoever is renewed
	renew  error
	client atomic.Pointer[policy.Client] // the last that was asked about
}

var errWrongPassword = mail.Errorf(535, mail.EnhancedCode{5, 7, 8}, "Authentication credentials invalid")

func (a *fakeAuth) Mechanisms(c *policy.Client, plaintext bool) []string {
	a.client.Store(c)
	if !plaintext {
		return nil
	}
	return []string{"PLAIN", "LOGIN"}
}

func (a *fakeAuth) Start(_ context.Context, _ *policy.Client, mechanism string, done func(policy.Login)) (sasl.Server, error) {
	check := func(user, password string) error {
		switch {
		case user == "broken":
			panic("a back end that panics")
		case strings.HasPrefix(user, "alice") && password == "secret":
			done(policy.Login{Identity: mail.Identity{Name: user, Mechanism: mechanism}})
			return nil
		case user == "down":
			return mail.Errorf(454, mail.EnhancedCode{4, 7, 0}, "Temporary authentication failure")
		}
		return errWrongPassword
	}
	if mechanism == "PLAIN" {
		return sasl.NewPlainServer(func(_, user, password string) error { return check(user, password) }), nil
	}
	return &fakeLogin{check: check}, nil
}

func (a *fakeAuth) Peer(_ context.Context, c *policy.Client) (policy.Login, error) {
	if a.peer != nil {
		return policy.Login{}, a.peer
	}
	return policy.Login{Identity: mail.Identity{Name: "root", Mechanism: "peer"}}, nil
}

func (a *fakeAuth) Renew(_ context.Context, _ *policy.Client, l policy.Login) (mail.Identity, error) {
	l.Identity.Groups = a.groups
	return l.Identity, a.renew
}

type fakeLogin struct {
	check func(user, password string) error
	user  *string
}

func (l *fakeLogin) Next(response []byte) ([]byte, bool, error) {
	switch {
	case response == nil:
		return []byte("Username:"), false, nil
	case l.user == nil:
		user := string(response)
		l.user = &user
		return []byte("Password:"), false, nil
	}
	return nil, true, l.check(*l.user, string(response))
}

// fakeJudge allows everything but what its fields say.
type fakeJudge struct {
	size        int64
	recipients  int
	connections int
	verdict     policy.Verdict
	from        []mail.Address // of the last message
}

func (j *fakeJudge) Limits(*mail.Identity) (int64, int) { return j.size, j.recipients }
func (j *fakeJudge) Connections(*mail.Identity) int     { return j.connections }
func (j *fakeJudge) Plan(*mail.Identity) policy.Verdict { return j.verdict }

var errDenied = mail.Errorf(550, mail.EnhancedCode{5, 7, 1}, "Policy test: not allowed")

func (j *fakeJudge) Sender(_ *mail.Identity, from mail.Path, _ int64) error {
	if from.Local == "forged" {
		return errDenied
	}
	return nil
}

func (j *fakeJudge) Recipient(_ *mail.Identity, rcpt mail.Address, _ int) error {
	if rcpt.Local == "denied" {
		return errDenied
	}
	return nil
}

func (j *fakeJudge) Message(_ *mail.Identity, _ int64, from []mail.Address) (policy.Verdict, error) {
	j.from = from
	for _, a := range from {
		if a.Local == "forged" {
			return policy.Verdict{}, errDenied
		}
	}
	return j.verdict, nil
}

// recorder keeps events.
type recorder struct {
	mu     sync.Mutex
	events []mail.Event
}

func (r *recorder) Record(e mail.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
}

func (r *recorder) of(kind mail.EventKind) (found []mail.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.events {
		if e.Kind == kind {
			found = append(found, e)
		}
	}
	return found
}

// bench is a server with everything around it faked.
type bench struct {
	*Server
	queue  *fakeQueue
	auth   *fakeAuth
	judge  *fakeJudge
	events *recorder
}

// testLimits are generous, so that no test meets them by chance.
var testLimits = config.Submission{
	MaxMessageSize: 1 << 20,
	MaxRecipients:  100,
	MaxHeaderSize:  64 << 10,
	CommandTimeout: time.Minute,
	DataTimeout:    time.Minute,
	MessageTimeout: time.Minute,
	SessionTimeout: time.Hour,
}

var testListener = config.Listener{
	Name: "test", Address: "127.0.0.1:0", TLS: config.TLSStartTLS, Auth: config.AuthRequired, AllowInsecureAuth: true,
}

// start runs a server on loopback; change may alter its options first.
func start(t testing.TB, change func(*Options, *bench)) *bench {
	t.Helper()
	b := &bench{queue: &fakeQueue{}, auth: &fakeAuth{}, judge: &fakeJudge{}, events: &recorder{}}
	o := Options{
		Hostname:      "relay.example.com",
		Listeners:     []config.Listener{testListener},
		Limits:        testLimits,
		MaxFailures:   3,
		TLS:           func() *tls.Config { return testTLS },
		Authenticator: func() policy.Authenticator { return b.auth },
		Judge:         func() policy.Judge { return b.judge },
		Queue:         b.queue,
		Recorder:      b.events,
	}
	if change != nil {
		change(&o, b)
	}
	b.Server = New(o)
	if err := b.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

// testTLS holds a certificate for localhost.
var testTLS = newTestTLS(1)

func newTestTLS(serial int64) *tls.Config {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		panic(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}

// contextFor bounds what a test waits for.
func contextFor(t testing.TB, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(t.Context(), d)
}

// logBuffer keeps what is logged.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func (l *logBuffer) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

func panicTLS() *tls.Config { panic("no certificate") }
