package routing

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// client asks servers over UDP, and over TCP what does not fit. It is the only
// part that knows the DNS library.
type client struct {
	servers *servers
	timeout time.Duration // for one server
	dialer  net.Dialer
}

func newClient(s *servers, timeout time.Duration) *client {
	return &client{servers: s, timeout: timeout}
}

// udpSize is the largest answer we take over UDP, in octets: it fits every path
// without fragments (DNS flag day 2020).
const udpSize = 1232

// errServer is an answer that is of no use: SERVFAIL, REFUSED and the like.
type errServer struct {
	server netip.AddrPort
	rcode  int
}

// Error names the server and what it answered.
func (e *errServer) Error() string {
	name, ok := dns.RcodeToString[e.rcode]
	if !ok {
		name = fmt.Sprintf("RCODE %d", e.rcode)
	}
	return fmt.Sprintf("DNS server %s answered %s", e.server, name)
}

// errLame is for an answer without records whose server has no say in their absence.
var errLame = errors.New("it is no authority for the name, and resolves none for us")

// ask asks one server after the other until one gives an answer. NXDOMAIN is one;
// SERVFAIL and REFUSED are not, the next server may know better.
func (c *client) ask(ctx context.Context, q question) (*response, error) {
	var last error
	for _, server := range c.servers.order() {
		resp, err := c.askServer(ctx, server, q)
		if err == nil {
			c.servers.answered(server)
			return resp, nil
		}
		if ctx.Err() != nil {
			if last == nil {
				last = err
			}
			return nil, last
		}
		if refused, ok := errors.AsType[*errServer](err); !ok || refused.rcode == dns.RcodeRefused {
			// It is down or not for us. SERVFAIL may be this name's fault alone.
			c.servers.failed(server)
		}
		last = err
	}
	return nil, last
}

// askServer puts q to one server within c.timeout.
func (c *client) askServer(ctx context.Context, server netip.AddrPort, q question) (*response, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	msg := new(dns.Msg).SetQuestion(dns.Fqdn(q.name), uint16(q.kind))
	msg.SetEdns0(udpSize, false)
	reply, err := c.send(ctx, server, msg)
	if err == nil && (reply.Rcode == dns.RcodeFormatError || reply.Rcode == dns.RcodeNotImplemented) {
		msg.Extra = nil // it knows no EDNS (RFC 6891 7)
		reply, err = c.send(ctx, server, msg)
	}
	if err != nil {
		return nil, fmt.Errorf("DNS server %s: %w", server, err)
	}
	if reply.Rcode != dns.RcodeSuccess && reply.Rcode != dns.RcodeNameError {
		return nil, &errServer{server, reply.Rcode}
	}
	if isLame(reply) {
		return nil, fmt.Errorf("DNS server %s: %w", server, errLame)
	}
	return translate(reply), nil
}

// isLame reports whether reply, which looks as if there were no records, is from
// neither an authority nor a resolver: mostly a referral to the root. An SOA would
// make it an answer (RFC 2308 2.2).
func isLame(reply *dns.Msg) bool {
	return reply.Rcode == dns.RcodeSuccess && len(reply.Answer) == 0 && !reply.Authoritative && !reply.RecursionAvailable &&
		!slices.ContainsFunc(reply.Ns, func(rr dns.RR) bool { return rr.Header().Rrtype == dns.TypeSOA })
}

// send asks over UDP, a second time if the first is lost, and over TCP if the
// answer says that it is not whole.
func (c *client) send(ctx context.Context, server netip.AddrPort, msg *dns.Msg) (*dns.Msg, error) {
	// Each packet comes from a port of its own, and the ID is random: both are
	// what a forger has to guess (RFC 5452).
	msg.Id = dns.Id()
	reply, err := c.roundTrip(ctx, "udp", server, msg)
	if err == nil && reply.Truncated {
		return c.roundTrip(ctx, "tcp", server, msg)
	}
	return reply, err
}

func (c *client) roundTrip(ctx context.Context, network string, server netip.AddrPort, msg *dns.Msg) (*dns.Msg, error) {
	packed, err := msg.Pack()
	if err != nil {
		return nil, err
	}
	conn, err := c.dialer.DialContext(ctx, network, server.String())
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	// A deadline in the past wakes whoever waits when ctx ends.
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	var reply *dns.Msg
	if network == "tcp" {
		reply, err = overTCP(conn, packed, msg)
	} else {
		reply, err = overUDP(conn, packed, msg, c.timeout)
	}
	if err != nil && ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return reply, err
}

// overUDP sends packed, and again after a quarter of the timeout, and reads
// until a packet answers msg. What does not is ignored: it may be forged or late.
func overUDP(conn net.Conn, packed []byte, msg *dns.Msg, timeout time.Duration) (*dns.Msg, error) {
	buf := make([]byte, udpSize)
	if _, err := conn.Write(packed); err != nil {
		return nil, err
	}
	again := time.AfterFunc(timeout/4, func() { _, _ = conn.Write(packed) })
	defer again.Stop()
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return nil, err
		}
		reply := new(dns.Msg)
		if err := reply.Unpack(buf[:n]); (err == nil || reply.Truncated) && answers(reply, msg) {
			return reply, nil
		}
	}
}

// overTCP asks with the length prefix of RFC 1035 4.2.2.
func overTCP(conn net.Conn, packed []byte, msg *dns.Msg) (*dns.Msg, error) {
	framed := binary.BigEndian.AppendUint16(nil, uint16(len(packed)))
	if _, err := conn.Write(append(framed, packed...)); err != nil {
		return nil, err
	}
	var length [2]byte
	if _, err := io.ReadFull(conn, length[:]); err != nil {
		return nil, err
	}
	buf := make([]byte, binary.BigEndian.Uint16(length[:]))
	if _, err := io.ReadFull(conn, buf); err != nil {
		return nil, err
	}
	reply := new(dns.Msg)
	if err := reply.Unpack(buf); err != nil {
		return nil, err
	}
	if !answers(reply, msg) {
		return nil, errors.New("the answer is to another question")
	}
	return reply, nil
}

// answers reports whether reply is one to msg: its ID and its question
// (RFC 5452 9.1).
func answers(reply, msg *dns.Msg) bool {
	if !reply.Response || reply.Id != msg.Id || reply.Opcode != msg.Opcode {
		return false
	}
	if len(reply.Question) == 0 {
		// Some servers leave it out of an error.
		return reply.Rcode == dns.RcodeFormatError || reply.Rcode == dns.RcodeNotImplemented
	}
	got, want := reply.Question[0], msg.Question[0]
	return len(reply.Question) == 1 && got.Qtype == want.Qtype && got.Qclass == want.Qclass &&
		strings.EqualFold(got.Name, want.Name)
}
