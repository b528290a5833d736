package system

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"text/template"
)

// Postfix is Debian's Postfix with its own configuration and queue.
type Postfix struct {
	// Tuned raises the limits one would raise on a relay; without, it runs
	// with the defaults of the distribution.
	Tuned bool
}

// Name implements Kind.
func (p *Postfix) Name() string {
	if p.Tuned {
		return "postfix-tuned"
	}
	return "postfix"
}

// mainCf holds what a relay on loopback needs and otherwise the defaults. The
// limit on connections of one client is lifted for the load tool alone.
var mainCf = template.Must(template.New("main.cf").Parse(`compatibility_level = 3.6
queue_directory = {{.Dir}}/spool
data_directory = {{.Dir}}/data
maillog_file_prefixes = {{.Dir}}
maillog_file = {{.Dir}}/maillog/mail.log
myhostname = relay.example
mydestination =
alias_maps =
alias_database =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_peername_lookup = no
smtpd_client_connection_count_limit = 0
bounce_queue_lifetime = 1d
{{- if .Next}}
relayhost = {{.Relayhost}}
{{- else}}
transport_maps = texthash:{{.Dir}}/etc/transport
{{- end}}
{{- if .Tuned}}
default_process_limit = 200
default_destination_concurrency_limit = 50
smtp_destination_concurrency_limit = 50
initial_destination_concurrency = 50
in_flow_delay = 0
qmgr_message_active_limit = 50000
qmgr_message_recipient_limit = 50000
smtpd_client_event_limit_exceptions = 127.0.0.0/8
{{- end}}
{{- if .Auth}}
smtpd_tls_cert_file = {{.Dir}}/etc/cert.pem
smtpd_tls_key_file = {{.Dir}}/etc/key.pem
smtpd_tls_auth_only = yes
smtpd_sasl_path = smtpd
cyrus_sasl_config_path = {{.Dir}}/etc/sasl
{{- end}}
`))

// authService is the submission listener: TLS offered, mail only after AUTH.
const authService = `%s inet n - n - - smtpd
  -o smtpd_tls_security_level=may
  -o smtpd_sasl_auth_enable=yes
  -o smtpd_relay_restrictions=permit_sasl_authenticated,reject
`

func (p *Postfix) configure(r *Relay) error {
	etc := p.etc(r)
	for _, dir := range []string{etc, "spool", "data", "maillog"} {
		if !filepath.IsAbs(dir) {
			dir = filepath.Join(r.Dir, dir)
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	if err := giveToPostfix(filepath.Join(r.Dir, "data")); err != nil {
		return err
	}
	var main strings.Builder
	host, port, _ := strings.Cut(r.Next, ":")
	err := mainCf.Execute(&main, struct {
		*Relay
		Tuned     bool
		Relayhost string
	}{r, p.Tuned, "[" + host + "]:" + port})
	if err != nil {
		return err
	}
	master, err := masterCf(r)
	if err != nil {
		return err
	}
	files := map[string]string{
		"main.cf":   main.String(),
		"master.cf": master,
		"transport": transportTable(r.DestinationPort),
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(etc, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	if r.Auth {
		return p.configureAuth(etc)
	}
	return nil
}

// transportTable sends each destination's mail to its address.
func transportTable(port uint16) string {
	var text strings.Builder
	for i := range Destinations {
		domain, address := Destination(i)
		fmt.Fprintf(&text, "%s smtp:[%s]:%d\n", domain, address, port)
	}
	return text.String()
}

func (p *Postfix) etc(r *Relay) string { return filepath.Join(r.Dir, "etc") }

var (
	smtpdLine   = regexp.MustCompile(`(?m)^smtp\s+inet\s.*$`)
	chrootField = regexp.MustCompile(`(?m)^([a-z]\S*\s+[a-z-]+\s+[n-]\s+[y-]\s+)[y-](\s)`)
)

// masterCf is the distribution's, with the SMTP listener on our port and without
// chroot, whose tree only the package's scripts fill.
func masterCf(r *Relay) (string, error) {
	b, err := os.ReadFile("/usr/share/postfix/master.cf.dist")
	if err != nil {
		return "", err
	}
	text := chrootField.ReplaceAllString(string(b), "${1}n${2}")
	text = smtpdLine.ReplaceAllString(text, r.Address+" inet n - n - - smtpd")
	if !strings.Contains(text, "\npostlog") {
		text += "postlog unix-dgram n - n - 1 postlogd\n"
	}
	if r.Auth {
		text += fmt.Sprintf(authService, r.AuthAddress)
	}
	return text, nil
}

// configureAuth makes certificate and password database. Cyrus SASL reads the
// password in clear from a local file, so Postfix pays for no hashing.
func (p *Postfix) configureAuth(etc string) error {
	if err := writeCertificate(etc, "relay.example"); err != nil {
		return err
	}
	sasl := filepath.Join(etc, "sasl")
	if err := os.MkdirAll(sasl, 0o755); err != nil {
		return err
	}
	database := filepath.Join(sasl, "db")
	text := "pwcheck_method: auxprop\nauxprop_plugin: sasldb\nmech_list: PLAIN\nsasldb_path: " + database + "\n"
	if err := os.WriteFile(filepath.Join(sasl, "smtpd.conf"), []byte(text), 0o644); err != nil {
		return err
	}
	name, realm, _ := strings.Cut(User.User, "@")
	add := exec.Command("saslpasswd2", "-p", "-c", "-f", database, "-u", realm, name)
	add.Stdin = strings.NewReader(User.Password + "\n")
	if out, err := add.CombinedOutput(); err != nil {
		return fmt.Errorf("saslpasswd2: %w: %s", err, out)
	}
	return giveToPostfix(database)
}

func (p *Postfix) command(r *Relay) *exec.Cmd {
	return exec.Command("postfix", "-c", p.etc(r), "start-fg")
}

func (p *Postfix) ready(context.Context, *Relay) error { return nil }

func (p *Postfix) end(ctx context.Context, r *Relay) error {
	if out, err := exec.CommandContext(ctx, "postfix", "-c", p.etc(r), "stop").CombinedOutput(); err != nil {
		return fmt.Errorf("postfix stop: %w: %.300s", err, out)
	}
	return nil
}

func (p *Postfix) flush(ctx context.Context, r *Relay) error {
	if out, err := exec.CommandContext(ctx, "postqueue", "-c", p.etc(r), "-f").CombinedOutput(); err != nil {
		return fmt.Errorf("postqueue -f: %w: %.300s", err, out)
	}
	return nil
}

// giveToPostfix makes the user that Postfix's daemons run as the owner.
func giveToPostfix(path string) error {
	u, err := user.Lookup("postfix")
	if err != nil {
		return err
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return err
	}
	return os.Chown(path, uid, -1)
}
