package routing

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// Addresses of one host, and how they are asked for.
const (
	maxPerHost = 16 // addresses of one host in a plan
	// resolutionDelay is how much longer AAAA may take than A once A has given
	// addresses. RFC 8305 3 says 50 ms; mail can wait a little for the better
	// answer, and what comes later is in the cache for the next attempt.
	resolutionDelay = 200 * time.Millisecond
)

// found is what is known of a host's addresses.
type found struct {
	host     string
	fixed    []netip.Addr // from the hosts file, or the host is an address
	a, aaaa  *Answer      // nil if not asked for, or with an error
	errA     error
	errAAAA  error
	complete bool // nothing is left to ask
	foreign  bool // named by somebody else, so its loopback addresses don't count
	took     time.Duration
}

// usable reports whether mail can be sent to addr at all.
func usable(addr netip.Addr) bool {
	return addr.IsValid() && !addr.IsUnspecified() && !addr.IsMulticast() && addr.Zone() == ""
}

// peekHost returns what is known of host without asking.
func (s *search) peekHost(host string) found {
	f := found{host: host}
	f.a = s.resolver.peek(question{canonical(host), TypeA})
	f.aaaa = s.resolver.peek(question{canonical(host), TypeAAAA})
	f.complete = f.a != nil && f.aaaa != nil
	return f
}

// askHost asks for both families at once.
func (s *search) askHost(host string) found {
	start := time.Now()
	f := found{host: host, complete: true}
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	var other sync.WaitGroup
	other.Go(func() { f.aaaa, f.errAAAA = s.resolver.Lookup(ctx, host, TypeAAAA) })
	f.a, f.errA = s.resolver.Lookup(ctx, host, TypeA)
	if f.errA == nil && len(f.a.Addresses) > 0 {
		defer time.AfterFunc(resolutionDelay, cancel).Stop()
	}
	other.Wait()
	f.took = time.Since(start)
	return f
}

// find returns the addresses of hosts, in the same order.
func (s *search) find(hosts []string) []found {
	all := make([]found, len(hosts))
	complete := true
	for i, host := range hosts {
		all[i] = s.peekHost(host)
		complete = complete && all[i].complete
	}
	if !complete {
		s.ask(all)
	}
	return all
}

// parallelHosts is how many hosts one search asks about at once.
const parallelHosts = 8

// ask completes all. It stands apart from find so that what is cached does not
// pay for its goroutines.
func (s *search) ask(all []found) {
	var asking sync.WaitGroup
	slots := make(chan struct{}, parallelHosts)
	for i := range all {
		if all[i].complete {
			continue
		}
		slots <- struct{}{}
		asking.Go(func() {
			all[i] = s.askHost(all[i].host)
			<-slots
		})
	}
	asking.Wait()
}

// hop makes a hop of f with its addresses in the order to try them. Without any
// err is temporary, or nil if the host has none and never will. failing says
// that the host failed lately, or all of its addresses did.
func (s *search) hop(f *found, port uint16) (hop NextHop, failing bool, err error) {
	all := f.all()
	var v4, v6 []netip.Addr
	for _, addr := range all {
		switch {
		case !usable(addr):
		case f.foreign && addr.IsLoopback():
			s.step("host "+f.host, addr.String()+" is left out: nobody else may name this machine")
		case addr.Is4():
			v4 = append(v4, addr)
		case s.options.IPv6:
			v6 = append(v6, addr)
		}
	}
	if len(v4)+len(v6) == 0 {
		return NextHop{}, false, f.why(all)
	}
	list, failing := s.lastWhatFails(interleave(v6, v4), port)
	if s.health.failing(hostSubject(f.host, port), time.Now(), !s.explain) {
		failing = true
	}
	return NextHop{Host: f.host, Port: port, Addresses: list[:min(len(list), maxPerHost)]}, failing, nil
}

// all returns every address that was found.
func (f *found) all() []netip.Addr {
	switch {
	case f.fixed != nil:
		return f.fixed
	case f.aaaa == nil || len(f.aaaa.Addresses) == 0:
		if f.a == nil {
			return nil
		}
		return f.a.Addresses
	case f.a == nil || len(f.a.Addresses) == 0:
		return f.aaaa.Addresses
	}
	return slices.Concat(f.a.Addresses, f.aaaa.Addresses)
}

// why returns the temporary error that may be the reason for no addresses.
func (f *found) why(all []netip.Addr) error {
	switch {
	case f.errA != nil && !errors.Is(f.errA, ErrAliasLoop):
		return f.errA
	case f.errAAAA != nil && !errors.Is(f.errAAAA, ErrAliasLoop):
		return f.errAAAA
	case slices.ContainsFunc(all, func(addr netip.Addr) bool { return usable(addr) && !(f.foreign && addr.IsLoopback()) }):
		return errOnlyIPv6
	}
	return nil
}

// errOnlyIPv6 is temporary: the operator can change it.
var errOnlyIPv6 = errors.New("it has IPv6 addresses only, and delivery.ipv6 is off")

// interleave lets the families take turns, IPv6 first (RFC 8305 section 4);
// within a family the order is random. It may reorder its arguments.
func interleave(v6, v4 []netip.Addr) []netip.Addr {
	shuffle(v6)
	shuffle(v4)
	if len(v6) == 0 {
		return v4
	}
	list := make([]netip.Addr, 0, len(v6)+len(v4))
	for i := range max(len(v6), len(v4)) {
		if i < len(v6) {
			list = append(list, v6[i])
		}
		if i < len(v4) {
			list = append(list, v4[i])
		}
	}
	return list
}

// lastWhatFails moves addresses that failed lately behind the others. failing
// says that there are no others.
func (s *search) lastWhatFails(list []netip.Addr, port uint16) (sorted []netip.Addr, failing bool) {
	if s.health.size.Load() == 0 {
		return list, false
	}
	now := time.Now()
	sorted = make([]netip.Addr, 0, len(list))
	var last []netip.Addr
	for _, addr := range list {
		if s.health.failing(addressSubject(addr, port), now, !s.explain) {
			last = append(last, addr)
		} else {
			sorted = append(sorted, addr)
		}
	}
	if len(last) > 0 && s.explain {
		s.step("memory", join(last)+" failed lately: tried last")
	}
	return append(sorted, last...), len(sorted) == 0
}

func shuffle[T any](list []T) {
	if len(list) > 1 {
		rand.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	}
}

func join(addrs []netip.Addr) string {
	words := make([]string, len(addrs))
	for i, addr := range addrs {
		words[i] = addr.String()
	}
	return strings.Join(words, ", ")
}
