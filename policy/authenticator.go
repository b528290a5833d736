package policy

import (
	"context"
	"crypto/tls"
	"net"

	"github.com/emersion/go-sasl"

	"github.com/postrider/postrider/internal/mail"
)

// Client is what is known of a client before it authenticates.
type Client struct {
	Remote net.Addr
	// TLS is nil on a connection in clear.
	TLS *tls.ConnectionState
	// Certificate is the server's own certificate of that connection, in DER,
	// for the channel binding tls-server-end-point. Without it clients have
	// tls-exporter.
	Certificate []byte
	// Peer is set on unix sockets where the kernel tells.
	Peer *Peer
}

// Peer is the process at the other end of a unix socket.
type Peer struct {
	PID, UID, GID int
}

// Authenticator is what a session asks to make an Identity of a Client. One
// serves all sessions; it is swapped whole when users, groups or certificates
// change. Implementations are comparable.
type Authenticator interface {
	// Mechanisms lists the SASL mechanisms offered to c, strongest first. The
	// caller has already decided whether passwords may be asked for on this
	// connection, SCRAM included (plaintext says so).
	Mechanisms(c *Client, plaintext bool) []string

	// Start begins an exchange. done is called once the exchange succeeded,
	// before the server's Next returns. Errors of Next, and of Start, are
	// *mail.Error: 535 5.7.8, 454 4.7.0, 504 5.5.4, 421 4.7.0, ...
	Start(ctx context.Context, c *Client, mechanism string, done func(Login)) (sasl.Server, error)

	// Peer returns the identity of a unix socket's calling process, for
	// listeners with "auth: peer".
	Peer(ctx context.Context, c *Client) (Login, error)

	// Renew returns the identity of a client that another Authenticator let in,
	// with the groups it has now: 421 4.3.2 if it has to log in anew, because the
	// user is gone or has other verifiers, and 454 4.7.0 if that can't be said.
	Renew(ctx context.Context, c *Client, l Login) (mail.Identity, error)
}
