package config

import (
	"context"
	"net"
	"os"
	"strings"
	"sync"
	"time"
)

// lookupTimeout bounds the search for our own name; a start must not hang on DNS.
const lookupTimeout = 2 * time.Second

// systemHostname returns the system's name as it was found when it was first asked
// for: a reload while DNS is down must not rename the relay.
var systemHostname = sync.OnceValue(func() string { return findHostname() })

var findHostname = qualifiedHostname // replaced by tests

// qualifiedHostname returns the system's fully qualified name as far as it can be
// found: the kernel's host name, completed through the system's resolver if it
// has no dot.
func qualifiedHostname() string {
	host, err := os.Hostname()
	host = strings.TrimSuffix(host, ".")
	if err != nil || strings.Contains(host, ".") || host == "" {
		return host
	}
	ctx, cancel := context.WithTimeout(context.Background(), lookupTimeout)
	defer cancel()
	addresses, err := net.DefaultResolver.LookupHost(ctx, host)
	if err != nil {
		return host
	}
	for _, address := range addresses {
		names, _ := net.DefaultResolver.LookupAddr(ctx, address)
		for _, name := range names {
			name = strings.TrimSuffix(name, ".")
			if strings.HasPrefix(strings.ToLower(name), strings.ToLower(host)+".") {
				return name
			}
		}
	}
	return host
}
