package dnstest

import (
	"fmt"
	"strings"

	"github.com/miekg/dns"
)

// Zone maps names to records in the form of a zone file without the owner:
// "MX 10 mx1.example.com", "60 A 192.0.2.1" (with a TTL in seconds), "MX 0 .",
// "CNAME www.example.com". All names are absolute, with or without a last dot.
type Zone map[string][]string

// canonical is the form names are compared in.
func canonical(name string) string {
	return strings.ToLower(strings.TrimSuffix(name, "."))
}

func parseRecords(name string, records []string) ([]dns.RR, error) {
	rrs := make([]dns.RR, 0, len(records))
	for _, text := range records {
		first, _, _ := strings.Cut(text, " ")
		ttl := ""
		if strings.Trim(first, "0123456789") != "" {
			ttl = fmt.Sprint(DefaultTTL, " ")
		}
		rr, err := dns.NewRR("$ORIGIN .\n" + dns.Fqdn(name) + " " + ttl + text)
		if err != nil {
			return nil, fmt.Errorf("%s %q: %w", name, text, err)
		}
		if rr == nil {
			return nil, fmt.Errorf("%s %q: no record", name, text)
		}
		rrs = append(rrs, rr)
	}
	return rrs, nil
}

// maxChain ends loops of CNAMEs in an answer.
const maxChain = 20

// answer looks q up in the zone, from name on along CNAMEs. exists is false if
// the last name is not there at all.
func (z Zone) answer(q question, chase bool) (rrs []dns.RR, exists bool) {
	name := q.name
	for range maxChain {
		records, ok := z[name]
		if !ok {
			return rrs, z.hasBelow(name)
		}
		all, err := parseRecords(name, records)
		if err != nil {
			return rrs, true // Set has refused it already
		}
		target := ""
		for _, rr := range all {
			cname, isCNAME := rr.(*dns.CNAME)
			if dns.TypeToString[rr.Header().Rrtype] == q.rrtype {
				rrs = append(rrs, rr)
			} else if isCNAME {
				rrs = append(rrs, rr)
				target = canonical(cname.Target)
			}
		}
		if target == "" || !chase {
			return rrs, true
		}
		name = target
	}
	return rrs, true
}

// hasBelow reports whether name is an empty non-terminal (RFC 8020): there is
// something below it, so it exists.
func (z Zone) hasBelow(name string) bool {
	for other := range z {
		if strings.HasSuffix(other, "."+name) {
			return true
		}
	}
	return false
}

// soa is what a negative answer about name carries (RFC 2308 section 5).
func soa(name string) dns.RR {
	labels := dns.SplitDomainName(name)
	if len(labels) > 2 {
		labels = labels[len(labels)-2:]
	}
	apex := dns.Fqdn(strings.Join(labels, "."))
	return &dns.SOA{
		Hdr:    dns.RR_Header{Name: apex, Rrtype: dns.TypeSOA, Class: dns.ClassINET, Ttl: NegativeTTL},
		Ns:     "ns.invalid.",
		Mbox:   "hostmaster.invalid.",
		Serial: 1, Refresh: 3600, Retry: 600, Expire: 86400, Minttl: NegativeTTL,
	}
}
