package routing

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/mail"
)

// smarthosts returns a route's smarthosts in the order to try them: by priority,
// those of one priority at random by weight, and what failed lately last. Names
// are looked up as hosts: MX records don't count.
func (s *search) smarthosts(route *Route) ([]NextHop, error) {
	list := byPriority(route.Smarthosts)
	var hops, failing []NextHop
	var last error
	for len(list) > 0 && len(hops) < MaxHosts {
		n := min(len(list), MaxHosts-len(hops))
		for i, f := range s.findSmarthosts(list[:n]) {
			hop, bad, err := s.smarthost(&list[i], &f)
			switch {
			case err != nil:
				last = fmt.Errorf("%s: %w", list[i].Host, err)
			case bad:
				failing = append(failing, hop)
			default:
				hops = append(hops, hop)
			}
		}
		list = list[n:]
	}
	if hops = append(hops, failing...); len(hops) > 0 {
		return hops[:min(len(hops), MaxHosts)], nil
	}
	// Never permanent, whatever DNS says: that would be the operator's mistake,
	// and no reason to bounce mail.
	return nil, mail.Errorf(451, mail.EnhancedCode{4, 4, 3}, "no smarthost of route %s has an address", route.Name).Because(last)
}

// smarthost makes a hop; failing says that it, or all of its addresses, failed
// lately.
func (s *search) smarthost(c *config.Smarthost, f *found) (hop NextHop, failing bool, err error) {
	s.lookHost(f)
	hop, failing, err = s.hop(f, c.Port)
	if err == nil && len(hop.Addresses) == 0 {
		err = errNoAddress
	}
	if err != nil {
		if s.explain {
			s.step("smarthost "+c.String(), "left out: "+err.Error())
		}
		return hop, false, err
	}
	hop.Implicit, hop.Username = c.Implicit, c.Username
	if s.explain {
		result := fmt.Sprintf("priority %d, weight %d", c.Priority, c.Weight)
		if failing {
			result += "; failed lately: tried last"
		}
		s.step("smarthost "+c.String(), result)
	}
	return hop, failing, nil
}

var errNoAddress = errors.New("the name has no address")

// findSmarthosts returns the addresses of smarthosts, in the same order: written
// as addresses, from the hosts file, or from DNS.
func (s *search) findSmarthosts(list []config.Smarthost) []found {
	all := make([]found, len(list))
	names := make([]string, 0, len(list))
	for i, c := range list {
		all[i] = found{host: c.Host, complete: true}
		if addr, err := netip.ParseAddr(strings.Trim(c.Host, "[]")); err == nil {
			all[i].fixed = []netip.Addr{addr.Unmap()}
		} else if addrs := s.hosts.lookup(canonical(c.Host)); len(addrs) > 0 {
			all[i].fixed = addrs
		} else {
			all[i].complete = false
			names = append(names, c.Host)
		}
	}
	if len(names) == 0 {
		return all
	}
	answers := s.find(names)
	for i := range all {
		if !all[i].complete {
			all[i], answers = answers[0], answers[1:]
		}
	}
	return all
}

// byPriority returns list in a new order: lower priorities first, among equals
// each one first in proportion to its weight (as RFC 2782 does for SRV).
func byPriority(list []config.Smarthost) []config.Smarthost {
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b config.Smarthost) int { return cmp.Compare(a.Priority, b.Priority) })
	for start := 0; start < len(list); {
		end := start + 1
		for end < len(list) && list[end].Priority == list[start].Priority {
			end++
		}
		byWeight(list[start:end])
		start = end
	}
	return list
}

func byWeight(equal []config.Smarthost) {
	total := 0
	for _, c := range equal {
		total += max(c.Weight, 0)
	}
	for ; len(equal) > 1 && total > 0; equal = equal[1:] {
		n := rand.IntN(total)
		i := 0
		for ; n >= max(equal[i].Weight, 0); i++ {
			n -= max(equal[i].Weight, 0)
		}
		total -= equal[i].Weight
		chosen := equal[i]
		copy(equal[1:i+1], equal[:i])
		equal[0] = chosen
	}
}
