package config

import (
	"iter"
	"reflect"
)

// describe tells about each key what it does, for the JSON Schema and for
// docs/configuration.md. A list's items are "[]", a mapping's free names "*".
var describe = map[string]string{
	"hostname":         "Our name in EHLO and in Received fields, with its domain.",
	"state_dir":        "Directory of the queue, the control socket and generated keys. It must survive a restart.",
	"memory":           "What the process tries to get by with, its program text aside: a sidecar's share by default, `1GiB` and more for a hub. The storage engine's buffers and caches grow with it.",
	"shutdown_timeout": "How long running transactions and deliveries may take to finish after SIGTERM.",

	"listeners":                       "Places where clients connect; at least one.",
	"listeners[].name":                "What policies, routes and the log call it.",
	"listeners[].address":             "`host:port`, `:port` for all addresses, or `unix:/path`.",
	"listeners[].tls":                 "`none`, `starttls` (offered), `required` (STARTTLS before MAIL) or `implicit` (from the first octet).",
	"listeners[].auth":                "`required`; `none` (loopback and unix sockets only: whoever connects has the listener's `identity`); `peer` (unix sockets only: the user name of the calling process is the identity).",
	"listeners[].identity":            "Identity of what comes in with `auth: none`.",
	"listeners[].allow_insecure_auth": "Offer AUTH without TLS. Loopback and unix sockets only.",
	"listeners[].bare_newlines":       "What happens to CR or LF alone in content: `refuse` (550) or `normalise` (each becomes CRLF).",
	"listeners[].legacy_auth_line":    "Also offer AUTH in the form `AUTH=...`, for very old clients.",
	"listeners[].proxy_protocol":      "Networks of the proxies that put a PROXY header (v1 or v2) before each connection. From them it is required, from others it is refused.",

	"tls":             "The certificate that listeners show.",
	"tls.certificate": "PEM file with the certificate and its chain.",
	"tls.key":         "PEM file with the certificate's private key.",
	"tls.client_ca":   "PEM file with the authorities whose client certificates count for AUTH EXTERNAL.",

	"auth":                         "Who may log in.",
	"auth.users_file":              "File with `name:hash`, one a line; `postrider user add` writes it.",
	"auth.certificates":            "Which client certificates log in as whom (AUTH EXTERNAL); needs `tls.client_ca`.",
	"auth.certificates[].subject":  "DNS name, address or URI among the certificate's subject alternative names, or its common name.",
	"auth.certificates[].identity": "The identity it stands for.",
	"auth.groups":                  "Groups of users, for policies.",
	"auth.groups.*":                "Names of the group's members.",
	"auth.max_failures":            "Failed AUTH commands in a session before it is closed with 421.",

	"submission":                              "Bounds of what clients may take up.",
	"submission.max_connections":              "Connections at once, in all; beyond: 421. While more than three quarters are taken, a client has 10 seconds to log in.",
	"submission.max_connections_per_address":  "Connections at once from one address.",
	"submission.max_connections_per_identity": "Connections at once of one identity.",
	"submission.max_message_size":             "Largest message; beyond: 552 5.3.4.",
	"submission.max_recipients":               "Recipients in one transaction; beyond: 452 4.5.3.",
	"submission.max_header_size":              "Largest header of a message.",
	"submission.command_timeout":              "How long a session may wait for its next command.",
	"submission.data_timeout":                 "How long content may pause.",
	"submission.message_timeout":              "How long the whole content of a message may take.",
	"submission.session_timeout":              "How long a session may last.",

	"policies":                        "Rules about who may send what. The first that matches applies. Without this key every authenticated identity may use any sender; with it, who matches none may send as its own address only.",
	"policies[].name":                 "What refusals and the log call it.",
	"policies[].match":                "Conditions; all that are given must hold, and without any the rule matches everyone.",
	"policies[].match.user":           "Identities: user names, with `*` for any octets.",
	"policies[].match.group":          "Groups of `auth.groups`, or of the system's user with `auth: peer`. Where no listener has that, each must be in `auth.groups`.",
	"policies[].match.listener":       "Names of listeners.",
	"policies[].match.network":        "Networks or addresses the client connects from.",
	"policies[].senders":              "Patterns of addresses it may use as reverse-path and in the header From. Without this key: any.",
	"policies[].recipients":           "Whom it may write to.",
	"policies[].recipients.allow":     "Patterns of recipients; if given, others are refused.",
	"policies[].recipients.deny":      "Patterns of recipients that are refused, asked first.",
	"policies[].limits":               "What one identity may use up.",
	"policies[].limits.messages":      "Messages in a period; beyond: 450 4.7.1.",
	"policies[].limits.bytes":         "Octets of content in a period; beyond: 450 4.7.1.",
	"policies[].limits.recipients":    "Recipients in one transaction; beyond: 452 4.5.3.",
	"policies[].limits.size":          "Largest message as it is sent to us; beyond: 552 5.3.4.",
	"policies[].limits.connections":   "Connections at once of one identity.",
	"policies[].environment":          "What becomes of the mail: `deliver`; `allowlist` (only to `recipients.allow`); `redirect` (all of it to `redirect_to`); `capture` (kept until an operator releases it).",
	"policies[].redirect_to":          "Addresses that get the mail under `environment: redirect`.",
	"policies[].rewrite":              "Changes of the sender.",
	"policies[].rewrite.reverse_path": "Address that replaces the reverse-path. Reports go there.",
	"policies[].rewrite.from":         "Address that replaces the header From; the old one becomes Reply-To if there is none.",
	"policies[].bounces":              "Where failure reports go: `sender`, `none`, or an address.",

	"routes":                           "Where mail goes. The first that matches applies; the last one, `mx`, is built in and delivers to the recipient domain's MX hosts.",
	"routes[].name":                    "What the log, metrics and queue commands call it. One word without a slash.",
	"routes[].match":                   "Conditions; all that are given must hold, and without any the route takes everything.",
	"routes[].match.recipient_domain":  "Domains of recipients; `.example.com` stands for the subdomains of example.com.",
	"routes[].match.sender":            "Patterns of reverse-paths.",
	"routes[].match.identity":          "Identities that submitted it.",
	"routes[].match.listener":          "Names of listeners it came in by.",
	"routes[].smarthosts":              "Hosts to hand the mail to, tried in order until one takes it. Without this key: MX delivery. An item is a URL or a mapping.",
	"routes[].smarthosts[].url":        "`smtp://host` (port 25), `submission://host` (587) or `submissions://host` (465, TLS from the first octet), with `user@` and `:port` where needed.",
	"routes[].smarthosts[].priority":   "Lower ones are tried first.",
	"routes[].smarthosts[].weight":     "Share among those of equal priority; 0 only if no other is left.",
	"routes[].username":                "User name to log in with, where a URL has none.",
	"routes[].password":                "Password to log in with. Better in a file: `password_file`.",
	"routes[].password_file":           "File with the password alone.",
	"routes[].mechanisms":              "SASL mechanisms that may be used: `SCRAM-SHA-256`, `CRAM-MD5`, `PLAIN`, `LOGIN`.",
	"routes[].tls":                     "`none`; `opportunistic` (if offered, unverified, else in clear); `require` (encrypted, unverified); `verify` (encrypted, certificate verified). `dane` is not available in this version.",
	"routes[].ca_file":                 "PEM file with the authorities that certificates are verified against.",
	"routes[].allow_insecure_auth":     "Log in also where the password may travel in clear (`tls: none` or `opportunistic`).",
	"routes[].destination_concurrency": "Attempts at once to one destination of this route: to its smarthosts, or to each domain of a route without.",
	"routes[].messages":                "Pace of the whole route: messages in a period.",
	"routes[].destination_messages":    "Pace of each destination of this route: messages in a period, to its smarthosts together, or to each domain of a route without.",

	"delivery":                            "Sending in general.",
	"delivery.port":                       "Port of MX hosts and address literals; another one is for tests and unusual networks. On 25 a loopback address in the DNS of a domain is no mail server (`localhost` itself is).",
	"delivery.tls":                        "As `routes[].tls`, for MX delivery.",
	"delivery.concurrency":                "Attempts at once, in all. One identity has at most three quarters of them, so that others need not wait for it.",
	"delivery.destination_concurrency":    "Attempts at once to one destination, once it has shown that it can take them.",
	"delivery.destination_messages":       "Messages in a period to each destination: `1000/hour`. Beyond they wait; those to others don't.",
	"delivery.recipients_per_transaction": "Recipients in one transaction to a next hop.",
	"delivery.connect_timeout":            "How long a connection to one address may take.",
	"delivery.idle_timeout":               "How long a connection is kept for further messages.",
	"delivery.address_literals":           "Deliver to `user@[192.0.2.1]`.",
	"delivery.ipv6":                       "Use IPv6.",

	"dns":         "Name resolution.",
	"dns.servers": "Resolvers to ask, in this order; the port may be left out (53).",
	"dns.timeout": "How long one question may take.",

	"retry":            "The clock of deferred mail.",
	"retry.intervals":  "Pauses between attempts; the last one repeats. Each is jittered.",
	"retry.lifetime":   "How long delivery is tried before the message returns to its sender.",
	"retry.warn_after": "When the sender is told of the delay; `0` for never. Never by default too where `retry.lifetime` is not longer.",

	"queue":           "Bounds of the queue.",
	"queue.max_bytes": "Content that may wait; beyond: 452 4.3.1. Not less than `submission.max_message_size`.",
	"queue.min_free":  "Free space on the disk below which nothing is accepted: 452 4.3.1.",
	"queue.memory":    "The storage engine's part of `memory`, and not more than that, for caches and write buffers.",

	"admin":         "Health and metrics over HTTP.",
	"admin.address": "`host:port` to listen on; `\"\"` for none. There is no login: keep it inside.",
	"admin.pprof":   "Serve profiles of the running process under `/debug/pprof/`, for `go tool pprof`. They show memory, so only for whom you trust.",

	"log":        "What goes to stderr.",
	"log.format": "`json`, `text`, or `postfix` (for tools that read Postfix's log).",
	"log.level":  "`debug`, `info`, `warn` or `error`.",
}

// otherwise tells, in words, the default of keys whose default is no constant.
var otherwise = map[string]string{
	"hostname":                         "the system's FQDN, as it is at the start",
	"listeners":                        "required",
	"listeners[].name":                 "the address",
	"listeners[].address":              "required",
	"listeners[].tls":                  "`starttls`; `none` on unix sockets",
	"listeners[].auth":                 "`required`",
	"listeners[].identity":             "`local`",
	"listeners[].bare_newlines":        "`refuse`",
	"tls.certificate":                  "self-signed, made in `state_dir`",
	"tls.key":                          "self-signed, made in `state_dir`",
	"auth.users_file":                  "`users` in `state_dir`; none with `auth.certificates`, or where no listener has `auth: required`",
	"auth.certificates[].subject":      "required",
	"auth.certificates[].identity":     "required",
	"policies[].name":                  "`policies[N]`, N counting from 0",
	"policies[].senders":               "any",
	"policies[].environment":           "`deliver`",
	"policies[].bounces":               "`sender`",
	"routes[].name":                    "`routes[N]`, N counting from 0",
	"routes[].smarthosts":              "MX delivery",
	"routes[].smarthosts[].url":        "required",
	"routes[].smarthosts[].priority":   "the place in the list",
	"routes[].smarthosts[].weight":     "`1`",
	"routes[].mechanisms":              "the strongest offered",
	"routes[].tls":                     "`verify` with a password, else `opportunistic`; MX delivery: `delivery.tls`",
	"routes[].ca_file":                 "the system's",
	"routes[].destination_concurrency": "`delivery.destination_concurrency`",
	"routes[].destination_messages":    "`delivery.destination_messages`; with smarthosts `messages`, if given",
	"queue.memory":                     "3/8 of `memory`",
	"dns.servers":                      "those of /etc/resolv.conf",
}

// keys yields the path and the type of every key, in the order of the types.
func keys() iter.Seq2[string, reflect.Type] {
	return func(yield func(string, reflect.Type) bool) {
		walk("", typeOf[Config](), yield)
	}
}

func walk(path string, t reflect.Type, yield func(string, reflect.Type) bool) bool {
	if path != "" && path[len(path)-1] != ']' && !yield(path, t) {
		return false
	}
	if _, ok := scalars[t]; ok {
		return true
	}
	switch t.Kind() {
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Struct {
			return walk(path+"[]", t.Elem(), yield)
		}
	case reflect.Map:
		return walk(path+".*", t.Elem(), yield)
	case reflect.Struct:
		for i := range t.NumField() {
			if key := keyOf(t.Field(i)); key != "" && !walk(join(path, key), t.Field(i).Type, yield) {
				return false
			}
		}
	}
	return true
}
