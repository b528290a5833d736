package dnstest

import (
	"time"

	"github.com/miekg/dns"
)

// Fault is a way to answer a question other than well.
type Fault struct {
	kind  faultKind
	delay time.Duration
	gate  <-chan struct{}
}

type faultKind uint8

const (
	kindOK faultKind = iota
	kindServFail
	kindRefused
	kindNXDomain
	kindEmpty
	kindSilent
	kindTruncated
	kindWrongID
	kindWrongQuestion
	kindGarbage
	kindFormErr
	kindReferral
)

// The faults without a parameter. OK is none: it answers from the zone.
var (
	OK            = Fault{}
	ServFail      = Fault{kind: kindServFail}
	Refused       = Fault{kind: kindRefused}
	FormErr       = Fault{kind: kindFormErr}       // to questions with EDNS, as servers without it answer
	Referral      = Fault{kind: kindReferral}      // NOERROR, the servers of the root, no recursion
	NXDomain      = Fault{kind: kindNXDomain}      // whatever the zone says
	Empty         = Fault{kind: kindEmpty}         // NOERROR, no answer, no SOA
	Timeout       = Fault{kind: kindSilent}        // never answers
	Truncated     = Fault{kind: kindTruncated}     // over UDP TC and nothing else; TCP answers
	WrongID       = Fault{kind: kindWrongID}       // over UDP a forged answer first, then the true one
	WrongQuestion = Fault{kind: kindWrongQuestion} // over UDP an answer to another question first
	Garbage       = Fault{kind: kindGarbage}       // bytes that are no DNS message
)

// Delay answers well after d.
func Delay(d time.Duration) Fault { return Fault{delay: d} }

// Hold answers well once gate is closed.
func Hold(gate <-chan struct{}) Fault { return Fault{gate: gate} }

// ServeDNS implements dns.Handler.
func (s *Server) ServeDNS(w dns.ResponseWriter, req *dns.Msg) {
	if len(req.Question) != 1 {
		reply := new(dns.Msg).SetRcode(req, dns.RcodeFormatError)
		_ = w.WriteMsg(reply)
		return
	}
	q := question{canonical(req.Question[0].Name), dns.TypeToString[req.Question[0].Qtype]}
	fault := s.next(q)
	if fault.delay > 0 && !s.wait(fault.delay) {
		return
	}
	if fault.gate != nil {
		select {
		case <-fault.gate:
		case <-s.done:
			return
		}
	}
	s.write(w, req, q, fault)
}

// write sends what fault makes of the true answer. Errors are the client's
// business: it sees no answer.
func (s *Server) write(w dns.ResponseWriter, req *dns.Msg, q question, fault Fault) {
	tcp := w.RemoteAddr().Network() == "tcp"
	reply := s.reply(req, q)
	switch fault.kind {
	case kindSilent:
		return
	case kindServFail:
		reply = new(dns.Msg).SetRcode(req, dns.RcodeServerFailure)
	case kindRefused:
		reply = new(dns.Msg).SetRcode(req, dns.RcodeRefused)
	case kindFormErr:
		if req.IsEdns0() != nil {
			reply = new(dns.Msg).SetRcode(req, dns.RcodeFormatError)
		}
	case kindReferral:
		reply = new(dns.Msg).SetReply(req)
		reply.Ns = []dns.RR{&dns.NS{
			Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeNS, Class: dns.ClassINET, Ttl: DefaultTTL},
			Ns:  "a.root-servers.invalid.",
		}}
	case kindNXDomain:
		reply = new(dns.Msg).SetRcode(req, dns.RcodeNameError)
		reply.Ns = []dns.RR{soa(q.name)}
	case kindEmpty:
		reply = new(dns.Msg).SetReply(req)
	case kindGarbage:
		_, _ = w.Write([]byte{1, 2, 3})
		return
	case kindTruncated:
		if !tcp {
			reply = new(dns.Msg).SetReply(req)
			reply.Truncated = true
		}
	case kindWrongID, kindWrongQuestion:
		if !tcp {
			_ = w.WriteMsg(forged(reply, fault.kind))
		}
	}
	reply.RecursionAvailable = fault.kind != kindReferral
	if !tcp {
		size := dns.MinMsgSize
		if opt := req.IsEdns0(); opt != nil {
			size = int(opt.UDPSize())
		}
		reply.Truncate(size)
	}
	_ = w.WriteMsg(reply)
}

// reply is the true answer.
func (s *Server) reply(req *dns.Msg, q question) *dns.Msg {
	s.mu.Lock()
	rrs, exists := s.zone.answer(q, s.chase)
	s.mu.Unlock()
	reply := new(dns.Msg).SetReply(req)
	reply.Answer = rrs
	if !exists {
		reply.Rcode = dns.RcodeNameError
	}
	if !hasType(rrs, q.rrtype) {
		reply.Ns = []dns.RR{soa(q.name)}
	}
	if opt := req.IsEdns0(); opt != nil {
		reply.SetEdns0(dns.DefaultMsgSize, opt.Do())
	}
	return reply
}

func hasType(rrs []dns.RR, rrtype string) bool {
	for _, rr := range rrs {
		if dns.TypeToString[rr.Header().Rrtype] == rrtype {
			return true
		}
	}
	return false
}

// forged is an answer that a client must not believe.
func forged(reply *dns.Msg, kind faultKind) *dns.Msg {
	m := reply.Copy()
	if kind == kindWrongID {
		m.Id++
	} else {
		m.Question[0].Name = "forged.invalid."
	}
	for i, rr := range m.Answer {
		if a, ok := rr.(*dns.A); ok {
			evil := *a
			evil.A = []byte{203, 0, 113, 66}
			m.Answer[i] = &evil
		}
		if mx, ok := rr.(*dns.MX); ok {
			evil := *mx
			evil.Mx = "forged.invalid."
			m.Answer[i] = &evil
		}
	}
	return m
}
