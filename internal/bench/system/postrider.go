package system

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"text/template"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// Postrider is the program in this tree, as BuildPostrider built it.
type Postrider struct {
	Binary string
	// Extra is more configuration, in YAML, for experiments.
	Extra string
}

// BuildPostrider builds the static binary from the tree that dir lies in.
func BuildPostrider(ctx context.Context, dir string) (string, error) {
	binary := filepath.Join(dir, "postrider")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", binary,
		"github.com/postrider/postrider/cmd/postrider")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build postrider: %w\n%s", err, out)
	}
	return binary, nil
}

// Name implements Kind.
func (p *Postrider) Name() string { return "postrider" }

var postriderConfig = template.Must(template.New("postrider.yaml").Parse(`hostname: relay.example
state_dir: {{.Dir}}/state
listeners:
  - address: {{.Address}}
    tls: none
    auth: none
{{- if .Auth}}
  - address: {{.AuthAddress}}
    tls: starttls
    auth: required
tls: { certificate: {{.Dir}}/cert.pem, key: {{.Dir}}/key.pem }
{{- end}}
auth: { users_file: {{.Dir}}/users }
submission:
  max_connections: 1000
  max_connections_per_address: 1000
  max_connections_per_identity: 1000
  max_recipients: 1000
{{- if .Next}}
routes:
  - name: bench
    smarthosts: ["smtp://{{.Next}}"]
    tls: none
{{- else}}
dns: { servers: ["{{.Resolver}}"] }
{{- end}}
delivery:
  destination_concurrency: 50 # as many as Postfix gets when tuned
{{- if not .Next}}
  port: {{.DestinationPort}}
{{- end}}
queue: { max_bytes: 60GiB, min_free: 512MiB }
admin: { address: "{{.Admin}}" }
{{.Extra}}
`))

func (p *Postrider) configure(r *Relay) error {
	if r.Auth {
		if err := writeCertificate(r.Dir, "relay.example"); err != nil {
			return err
		}
	}
	hash, err := bcrypt.GenerateFromPassword([]byte(User.Password), bcrypt.DefaultCost)
	if err != nil {
		return err
	}
	users := fmt.Sprintf("%s:%s\n", User.User, hash)
	if err := os.WriteFile(filepath.Join(r.Dir, "users"), []byte(users), 0o600); err != nil {
		return err
	}
	var text strings.Builder
	err = postriderConfig.Execute(&text, struct {
		*Relay
		Admin, Extra string
	}{r, r.admin, p.Extra})
	if err != nil {
		return err
	}
	return os.WriteFile(p.config(r), []byte(text.String()), 0o600)
}

func (p *Postrider) config(r *Relay) string { return filepath.Join(r.Dir, "postrider.yaml") }

func (p *Postrider) command(r *Relay) *exec.Cmd {
	return exec.Command(p.Binary, "serve", "-c", p.config(r))
}

func (p *Postrider) ready(ctx context.Context, r *Relay) error {
	for {
		err := p.probe(ctx, r)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(time.Millisecond):
		}
	}
}

func (p *Postrider) probe(ctx context.Context, r *Relay) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.admin+"/readyz", nil)
	if err != nil {
		return err
	}
	reply, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer reply.Body.Close()
	if reply.StatusCode != http.StatusOK {
		return fmt.Errorf("/readyz: %s", reply.Status)
	}
	return nil
}

func (p *Postrider) end(_ context.Context, r *Relay) error {
	return r.cmd.Process.Signal(syscall.SIGTERM)
}

func (p *Postrider) flush(ctx context.Context, r *Relay) error {
	out, err := exec.CommandContext(ctx, p.Binary, "queue", "retry", "--all", "-c", p.config(r)).CombinedOutput()
	if err != nil {
		return fmt.Errorf("postrider queue retry: %w: %.300s", err, out)
	}
	return nil
}
