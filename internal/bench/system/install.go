package system

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// packages name the Debian package of each command that a measurement needs.
var packages = map[string]string{
	"postfix":     "postfix",
	"smtp-source": "postfix",
	"smtp-sink":   "postfix",
	"saslpasswd2": "sasl2-bin",
	"strace":      "strace",
}

// Install makes sure that the commands are there, by apt-get where one is
// missing. It never leaves a Postfix running: the package asks debconf, and is
// told to configure nothing.
func Install(ctx context.Context, commands ...string) error {
	// Administrators' commands are not in everybody's path.
	if err := os.Setenv("PATH", os.Getenv("PATH")+":/usr/sbin:/sbin"); err != nil {
		return err
	}
	var missing []string
	for _, command := range commands {
		if _, err := exec.LookPath(command); err != nil && !slices.Contains(missing, packages[command]) {
			missing = append(missing, packages[command])
		}
	}
	if len(missing) == 0 {
		return nil
	}
	if os.Geteuid() != 0 {
		return fmt.Errorf("%s missing: run as root, or install by hand", strings.Join(missing, ", "))
	}
	answers := exec.CommandContext(ctx, "debconf-set-selections")
	answers.Stdin = strings.NewReader("postfix postfix/main_mailer_type select No configuration\n")
	steps := []*exec.Cmd{
		answers,
		exec.CommandContext(ctx, "apt-get", "update", "-q"),
		exec.CommandContext(ctx, "apt-get", append([]string{"install", "-q", "-y", "--no-install-recommends"}, missing...)...),
	}
	for _, step := range steps {
		step.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if out, err := step.CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w\n%s", step.Args[0], err, out)
		}
	}
	return nil
}

// CanRunPostfix tells why this user can't run Postfix, if so: its master must
// start as root.
func CanRunPostfix() error {
	if os.Geteuid() != 0 {
		return errors.New("only root can run Postfix: run the benchmark as root, or with -systems postrider")
	}
	return nil
}

// PostfixVersion is for the report.
func PostfixVersion(ctx context.Context) string {
	out, err := exec.CommandContext(ctx, "postconf", "-hd", "mail_version").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}
