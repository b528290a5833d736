package routing

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/postrider/postrider/internal/mail"
)

// exchangers finds the hosts that take mail for a domain (RFC 5321 section 5.1):
// its MX hosts, or itself if it has none.
func (s *search) exchangers(domain mail.Domain) ([]NextHop, error) {
	if domain.IsZero() {
		return nil, mail.Errorf(550, mail.EnhancedCode{5, 1, 3}, "the address has no domain")
	}
	start := time.Now()
	answer, err := s.resolver.Lookup(s.ctx, domain.String(), TypeMX)
	s.look(TypeMX, domain.String(), answer, err, time.Since(start))
	switch {
	case errors.Is(err, ErrAliasLoop):
		return nil, mail.Errorf(550, mail.EnhancedCode{5, 4, 6}, "the CNAMEs of %s lead in a circle", domain)
	case err != nil:
		return nil, errDNS(domain.String(), err)
	case !answer.Exists:
		return nil, mail.Errorf(550, mail.EnhancedCode{5, 1, 2}, "there is no domain %s", domain)
	case len(answer.MX) == 0:
		s.step("implicit MX", "no MX records, so "+answer.Name+" itself is the host")
		return s.visit(domain, []MX{{Host: answer.Name}}, true)
	case len(answer.MX) == 1 && answer.MX[0].Host == "":
		s.step("null MX", domain.String()+" receives no mail (RFC 7505)")
		return nil, mail.Errorf(556, mail.EnhancedCode{5, 1, 10}, "%s receives no mail (null MX)", domain)
	}
	candidates, looped := s.candidates(domain, answer.MX)
	if len(candidates) == 0 && looped {
		return nil, errOwn()
	}
	return s.visit(domain, candidates, false)
}

// candidates drops exchangers that can't be or must not be used, and mixes those
// of equal preference. looped says that some were dropped because this relay is
// an exchanger itself.
func (s *search) candidates(domain mail.Domain, all []MX) (list []MX, looped bool) {
	list = make([]MX, 0, len(all))
	for _, mx := range all {
		if s.options.Hostname != "" && mx.Host == s.options.Hostname {
			// RFC 5321 5.1: whoever is as far away as we are, or farther, may
			// send the mail straight back.
			s.step(fmt.Sprintf("MX %d %s", mx.Preference, mx.Host), "it is this relay: dropped with all that are not preferred to it")
			list = preferredTo(list, mx.Preference)
			looped = true
			break
		}
		if why := unfit(mx.Host); why != "" {
			s.step(fmt.Sprintf("MX %d %q", mx.Preference, mx.Host), "ignored: "+why)
			s.options.Log.Warn("MX record ignored", "domain", domain.String(), "host", mx.Host, "reason", why)
			continue
		}
		if !slices.ContainsFunc(list, func(other MX) bool { return other.Host == mx.Host }) {
			list = append(list, mx)
		}
	}
	for rest := list; len(rest) > 0; {
		n := equals(rest)
		shuffle(rest[:n])
		rest = rest[n:]
	}
	return list, looped
}

// unfit says why an exchanger's name is no name of a host.
func unfit(host string) string {
	if isAddress(host) {
		return "an exchanger must be a name, not an address (RFC 1035 3.3.9)"
	}
	if host == "" {
		return "a null MX beside others (RFC 7505 3)"
	}
	if _, err := mail.ParseDomain(host); err != nil {
		return "not the name of a host"
	}
	return ""
}

// isAddress reports whether host is an IP address. Names of hosts end in a
// letter and hold no colon, so that most are told apart without parsing.
func isAddress(host string) bool {
	if host == "" || strings.IndexByte(host, ':') < 0 && (host[len(host)-1] < '0' || host[len(host)-1] > '9') {
		return false
	}
	_, err := netip.ParseAddr(host)
	return err == nil
}

// equals returns how many exchangers at the head of list have one preference.
func equals(list []MX) int {
	n := 1
	for n < len(list) && list[n].Preference == list[0].Preference {
		n++
	}
	return n
}

// preferredTo returns the head of list, which is sorted, that is preferred to
// preference.
func preferredTo(list []MX, preference uint16) []MX {
	n := 0
	for n < len(list) && list[n].Preference < preference {
		n++
	}
	return list[:n]
}

// visit looks up addresses of exchangers, best first, until MaxHosts of them have
// some; those that failed lately are spares. Exchangers of one preference are looked
// up together, for any of them may turn out to be this relay.
func (s *search) visit(domain mail.Domain, list []MX, implicit bool) ([]NextHop, error) {
	var hops, failing []NextHop
	var temporary error
	for len(list) > 0 && len(hops) < MaxHosts {
		n := min(len(list), MaxHosts-len(hops))
		for n < len(list) && list[n].Preference == list[n-1].Preference {
			n++
		}
		for i, f := range s.find(hostsOf(list[:n])) {
			s.lookHost(&f)
			if slices.ContainsFunc(f.all(), s.own) {
				s.step("host "+f.host, "its address is this relay's: dropped with all that are not preferred to it")
				before := func(hop NextHop) bool { return hop.Preference >= list[i].Preference }
				hops, failing = slices.DeleteFunc(hops, before), slices.DeleteFunc(failing, before)
				if len(hops)+len(failing) == 0 && temporary == nil {
					return nil, errOwn()
				}
				n = len(list) // what is left is less preferred
				break
			}
			f.foreign = s.options.Port == mailPort && !isLocalhost(f.host)
			hop, bad, err := s.hop(&f, s.options.Port)
			hop.Preference = list[i].Preference
			switch {
			case err != nil:
				temporary = fmt.Errorf("%s: %w", f.host, err)
			case len(hop.Addresses) == 0:
			case bad:
				failing = append(failing, hop)
			default:
				hops = append(hops, hop)
			}
		}
		list = list[n:]
	}
	hops = append(hops, failing...)
	switch {
	case len(hops) > 0:
		return hops[:min(len(hops), MaxHosts)], nil
	case temporary != nil:
		return nil, errDNS(domain.String(), temporary)
	case implicit:
		return nil, mail.Errorf(550, mail.EnhancedCode{5, 1, 2}, "%s has no mail server: neither MX nor address records", domain)
	}
	return nil, mail.Errorf(550, mail.EnhancedCode{5, 4, 4}, "none of the mail servers of %s has an address", domain)
}

func hostsOf(list []MX) []string {
	hosts := make([]string, len(list))
	for i, mx := range list {
		hosts[i] = mx.Host
	}
	return hosts
}

// errDNS says that DNS gave no answer, as opposed to the answer that there is
// nothing.
func errDNS(name string, cause error) error {
	return mail.Errorf(451, mail.EnhancedCode{4, 4, 3}, "looking up %s gave no answer", name).Because(cause)
}
