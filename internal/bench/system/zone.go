package system

import (
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"github.com/miekg/dns"
)

// Zone is a name server on loopback that knows every Destination: an MX that
// names the domain itself, and its address.
type Zone struct {
	packets net.PacketConn
	streams net.Listener
	servers []*dns.Server
	serving sync.WaitGroup
}

// ServeZone starts a name server at a port of its own.
func ServeZone() (*Zone, error) {
	packets, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	streams, err := net.Listen("tcp", packets.LocalAddr().String())
	if err != nil {
		packets.Close()
		return nil, err
	}
	z := &Zone{packets: packets, streams: streams}
	handler := dns.HandlerFunc(answer)
	z.servers = []*dns.Server{{PacketConn: packets, Handler: handler}, {Listener: streams, Handler: handler}}
	for _, s := range z.servers {
		// It fails only where the socket is closed, by Close.
		z.serving.Go(func() { _ = s.ActivateAndServe() })
	}
	return z, nil
}

// Address is for the configuration of a resolver.
func (z *Zone) Address() string { return z.packets.LocalAddr().String() }

// Close stops the server.
func (z *Zone) Close() {
	z.packets.Close()
	z.streams.Close()
	z.serving.Wait()
}

func answer(w dns.ResponseWriter, query *dns.Msg) {
	reply := new(dns.Msg).SetReply(query)
	reply.Authoritative = true
	question := query.Question[0]
	address, exists := addressOf(question.Name)
	header := dns.RR_Header{Name: question.Name, Rrtype: question.Qtype, Class: dns.ClassINET, Ttl: 3600}
	switch {
	case !exists:
		reply.Rcode = dns.RcodeNameError
	case question.Qtype == dns.TypeMX:
		reply.Answer = []dns.RR{&dns.MX{Hdr: header, Preference: 10, Mx: question.Name}}
	case question.Qtype == dns.TypeA:
		reply.Answer = []dns.RR{&dns.A{Hdr: header, A: net.IP(address.AsSlice())}}
	}
	if len(reply.Answer) == 0 {
		reply.Ns = []dns.RR{&dns.SOA{
			Hdr: dns.RR_Header{Name: zoneOrigin + ".", Rrtype: dns.TypeSOA, Class: dns.ClassINET, Ttl: 3600},
			Ns:  "ns." + zoneOrigin + ".", Mbox: "root." + zoneOrigin + ".",
			Serial: 1, Refresh: 3600, Retry: 600, Expire: 86400, Minttl: 3600,
		}}
	}
	// A client that has gone asks again.
	_ = w.WriteMsg(reply)
}

var destinationName = regexp.MustCompile(`^d([0-9]+)-([0-9]+)\.bench\.example\.$`)

// addressOf is the inverse of Destination.
func addressOf(name string) (netip.Addr, bool) {
	octets := destinationName.FindStringSubmatch(strings.ToLower(name))
	if octets == nil {
		return netip.Addr{}, false
	}
	third, err3 := strconv.ParseUint(octets[1], 10, 8)
	fourth, err4 := strconv.ParseUint(octets[2], 10, 8)
	if err3 != nil || err4 != nil {
		return netip.Addr{}, false
	}
	return destinationAddress(int(third), int(fourth)), true
}
