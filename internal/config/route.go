package config

// RouteTLS says how far a route insists on TLS.
type RouteTLS string

// Values of routes[].tls and delivery.tls.
const (
	RouteTLSNone          RouteTLS = "none"
	RouteTLSOpportunistic RouteTLS = "opportunistic" // STARTTLS if offered, unverified, else in clear
	RouteTLSRequire       RouteTLS = "require"       // encrypted, certificate not verified
	RouteTLSVerify        RouteTLS = "verify"        // encrypted, certificate verified for the host name
	RouteTLSDANE          RouteTLS = "dane"
)

// Route says how mail that matches goes on. The first that matches applies.
type Route struct {
	Name         string      `yaml:"name"` // default: routes[N]; "mx" is the built-in last one
	Match        RouteMatch  `yaml:"match"`
	Smarthosts   []Smarthost `yaml:"smarthosts"` // empty: MX delivery
	Username     string      `yaml:"username"`
	Password     Secret      `yaml:"password"`
	PasswordFile string      `yaml:"password_file"`
	Mechanisms   []string    `yaml:"mechanisms"` // default: the strongest offered
	TLS          RouteTLS    `yaml:"tls"`        // default: verify with a password, else opportunistic
	CAFile       string      `yaml:"ca_file"`    // default: the system's
	InsecureAuth bool        `yaml:"allow_insecure_auth"`
	Messages     Rate        `yaml:"messages"` // pace of the route, such as 30/minute
	// Limits of each destination, by default those of delivery.
	DestinationConcurrency int  `yaml:"destination_concurrency"`
	DestinationMessages    Rate `yaml:"destination_messages"`
}

// RouteMatch holds the conditions of a route; all that are given must hold.
// Domains are exact; ".example.com" matches its subdomains.
type RouteMatch struct {
	RecipientDomain StringList `yaml:"recipient_domain"`
	Sender          StringList `yaml:"sender"`
	Identity        StringList `yaml:"identity"`
	Listener        StringList `yaml:"listener"`
}
