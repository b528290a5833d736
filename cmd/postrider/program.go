package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/relay/admin"
)

// program is one call of the command line with its surroundings.
type program struct {
	stdin          *os.File
	stdout, stderr io.Writer
	environ        []string
	exit           func(int) // for --help

	// configFile is what -c names.
	configFile string
}

// commands is what the command line takes.
type commands struct {
	Config string `short:"c" name:"config" placeholder:"FILE" help:"Configuration file. Default: $$POSTRIDER_CONFIG, ./postrider.yaml, /etc/postrider/postrider.yaml, an embedded default."`

	Serve   serveCommand   `cmd:"" help:"Run the relay in the foreground."`
	Queue   queueCommands  `cmd:"" help:"Look at the queue and change what is in it."`
	Explain explainCommand `cmd:"" help:"Tell what would happen to a message, without sending one."`
	Conf    configCommands `cmd:"" name:"config" help:"Check, print or begin a configuration."`
	User    userCommands   `cmd:"" help:"Change the users file."`
	Version versionCommand `cmd:"" help:"Print version, commit and Go version."`
}

// run does what args say and returns the exit code.
func (p *program) run(args []string) int {
	var c commands
	parser, err := kong.New(&c,
		kong.Name("postrider"),
		kong.Description("Postrider takes mail from senders it can name, keeps it in a durable queue and delivers it."),
		kong.Writers(p.stdout, p.stderr),
		kong.Exit(p.exit),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
	)
	if err != nil {
		return p.fail(err)
	}
	call, err := parser.Parse(args)
	if err != nil {
		return p.fail(usageError{err.Error()})
	}
	p.configFile = c.Config
	return p.fail(call.Run(p))
}

// load reads the configuration that the command line and the environment name.
func (p *program) load() (*config.Config, error) {
	return config.Load(p.configFile, p.environ)
}

// ask has do talk to the daemon that runs with our configuration. SIGINT and
// SIGTERM end it.
func (p *program) ask(do func(context.Context, *admin.Client) error) error {
	c, err := config.Loader{Bystander: true}.Load(p.configFile, p.environ)
	if err != nil {
		return err
	}
	client := admin.NewClient(c.StateDir)
	defer client.Close()
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer cancel()
	return do(ctx, client)
}

// fail reports err, if there is one, and returns the exit code for it.
func (p *program) fail(err error) int {
	if err == nil {
		return exitOK
	}
	var quiet reported
	if !errors.As(err, &quiet) {
		for line := range strings.Lines(err.Error()) {
			fmt.Fprintf(p.stderr, "postrider: %s\n", strings.TrimRight(line, "\n"))
		}
	}
	var usage usageError
	if errors.As(err, &usage) {
		fmt.Fprintln(p.stderr, "postrider: `postrider --help` lists commands and flags")
	}
	return exitCode(err)
}
