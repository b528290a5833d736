package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/policy"
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
	// called is what was called, such as "postrider queue list".
	called string
	// dir is the state directory, once it has been asked for.
	dir string
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
	call, err := parser.Parse(customary(args))
	p.called = parser.Model.Name
	if err != nil {
		return p.fail(usageError{p.usageText(err)})
	}
	p.configFile, p.called = c.Config, call.Selected().FullPath()
	return p.fail(call.Run(p))
}

// customary understands what other programs take: help for --help, and --version.
func customary(args []string) []string {
	if len(args) == 0 {
		return args
	}
	switch args[0] {
	case "help":
		return append(slices.Clone(args[1:]), "--help")
	case "--version":
		return []string{"version"}
	}
	return args
}

// usageText returns what is wrong with a call. What stands in the place of a
// command and is none is called so.
func (p *program) usageText(err error) string {
	var call *kong.ParseError
	if !errors.As(err, &call) || call.Context == nil {
		return err.Error()
	}
	node := call.Context.Selected()
	if node == nil {
		node = call.Context.Model.Node
	} else {
		p.called = node.FullPath()
	}
	text := err.Error()
	switch {
	case strings.HasSuffix(text, "(<EOL>)"):
		flag, _, _ := strings.Cut(text, ":")
		return flag + " needs a value"
	case len(node.Children) == 0:
		return text
	case strings.HasPrefix(text, "expected "):
		var names []string
		for _, child := range node.Children {
			names = append(names, child.Name)
		}
		return "a command is missing: " + strings.Join(names, ", ")
	}
	return strings.Replace(text, "unexpected argument ", "unknown command ", 1)
}

// load reads the configuration that the command line and the environment name,
// with everything it refers to.
func (p *program) load() (*config.Config, error) {
	return config.Loader{Users: readUsers}.Load(p.configFile, p.environ)
}

// readUsers reads a users file as the relay would.
func readUsers(file string) error {
	_, err := policy.LoadUsers(file)
	return err
}

// bystand reads the configuration for a command that does not run the relay and
// does not ask for its name.
func (p *program) bystand() (*config.Config, error) {
	return config.Loader{Bystander: true, Hostname: "localhost"}.Load(p.configFile, p.environ)
}

// stateDir returns the state directory of the configuration, which may be broken
// elsewhere: who runs a relay must get at its queue just then.
func (p *program) stateDir() (string, error) {
	if p.dir != "" {
		return p.dir, nil
	}
	dir, err := config.StateDir(p.configFile, p.environ)
	if dir == "" {
		return "", err
	}
	if err != nil {
		p.say("warning: the configuration is broken; going on with its state_dir, " + dir)
		p.say(err.Error())
	}
	p.dir = dir
	return dir, nil
}

// say writes text to stderr, each of its lines under our name.
func (p *program) say(text string) {
	for line := range strings.Lines(text) {
		fmt.Fprintf(p.stderr, "postrider: %s\n", strings.TrimRight(line, "\n"))
	}
}

// ask has do talk to the daemon that runs with our configuration.
func (p *program) ask(do func(context.Context, *admin.Client) error) error {
	dir, err := p.stateDir()
	if err != nil {
		return err
	}
	client := admin.NewClient(dir)
	defer client.Close()
	return do(context.Background(), client)
}

// fail reports err, if there is one, and returns the exit code for it.
func (p *program) fail(err error) int {
	if err == nil {
		return exitOK
	}
	var quiet reported
	if !errors.As(err, &quiet) {
		p.say(err.Error())
	}
	var usage usageError
	if errors.As(err, &usage) {
		p.say("`" + p.called + " --help` tells what it takes")
	}
	return exitCode(err)
}
