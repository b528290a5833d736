package routing

import (
	"net/netip"
	"time"

	"github.com/miekg/dns"
)

// translate takes from a message what routing needs to know.
func translate(m *dns.Msg) *response {
	resp := &response{nxdomain: m.Rcode == dns.RcodeNameError}
	for _, rr := range m.Answer {
		if rec, ok := translateRR(rr); ok {
			resp.records = append(resp.records, rec)
		}
	}
	for _, rr := range m.Ns {
		if soa, ok := rr.(*dns.SOA); ok {
			resp.negativeTTL = seconds(min(soa.Hdr.Ttl, soa.Minttl)) // RFC 2308 5
		}
	}
	return resp
}

func translateRR(rr dns.RR) (record, bool) {
	h := rr.Header()
	if h.Class != dns.ClassINET {
		return record{}, false
	}
	rec := record{owner: canonical(h.Name), kind: Type(h.Rrtype), ttl: seconds(h.Ttl)}
	switch rr := rr.(type) {
	case *dns.A:
		return addressRecord(rec, rr.A)
	case *dns.AAAA:
		return addressRecord(rec, rr.AAAA)
	case *dns.MX:
		rec.pref, rec.target = rr.Preference, canonical(rr.Mx)
		return rec, true
	case *dns.CNAME:
		rec.target = canonical(rr.Target)
		return rec, true
	}
	return record{}, false
}

func addressRecord(rec record, ip []byte) (record, bool) {
	addr, ok := netip.AddrFromSlice(ip)
	rec.addr = addr.Unmap()
	return rec, ok
}

// seconds reads a TTL. One with its highest bit set counts as zero (RFC 2181 8).
func seconds(ttl uint32) time.Duration {
	if ttl > 1<<31-1 {
		return 0
	}
	return time.Duration(ttl) * time.Second
}
