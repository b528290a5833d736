package main

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/postrider/postrider/internal/bench/meter"
)

// options are the command line.
type options struct {
	profiles []profile
	systems  []string
	backlogs []int
	full     bool
	count    int
	rounds   int
	dir      string
	out      string
	binary   string
	foreign  float64
	extra    string // YAML for Postrider's configuration
}

// wants tells whether a system is to be measured.
func (o options) wants(system string) bool { return slices.Contains(o.systems, system) }

func parseOptions(args []string) (options, error) {
	var o options
	var profileNames, systemNames, backlogs, extraFile string
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.StringVar(&profileNames, "profile", "all", "what to measure, by commas: "+strings.Join(names(), ", "))
	f.StringVar(&systemNames, "systems", "", "what to compare, by commas: postrider, postfix, postfix-tuned (default: the first and the last; all with -full)")
	f.BoolVar(&o.full, "full", false, "all connection counts and sizes, a million deferred; takes hours")
	f.IntVar(&o.count, "count", 0, "messages of 10 KB a run (default 3000, or 10000 with -full); other sizes follow")
	f.IntVar(&o.rounds, "rounds", 0, "times each system has its turn (default 2, or 5 with -full)")
	f.StringVar(&backlogs, "backlog", "", "messages deferred, by commas (default 10000, or 100000,1000000 with -full)")
	f.Float64Var(&o.foreign, "foreign", meter.MaxForeign, "share of the machine that others may use during a run that counts")
	f.StringVar(&o.dir, "dir", "/var/tmp", "where queues are made; must be on a disk")
	f.StringVar(&o.out, "out", "dist/bench", "where tables, plots and runs.json go")
	f.StringVar(&o.binary, "binary", "", "a postrider to measure instead of building one")
	f.StringVar(&extraFile, "extra", "", "a file of YAML to add to Postrider's configuration")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", f.Arg(0))
	}
	o.setDefaults(&systemNames, &backlogs)
	if o.count < 1 || o.rounds < 1 {
		return o, fmt.Errorf("-count and -rounds must be positive")
	}
	if extraFile != "" {
		b, err := os.ReadFile(extraFile)
		if err != nil {
			return o, err
		}
		o.extra = string(b)
	}
	return o, o.parseLists(profileNames, systemNames, backlogs)
}

func (o *options) setDefaults(systemNames, backlogs *string) {
	choose := func(quick, full string) string {
		if o.full {
			return full
		}
		return quick
	}
	if *systemNames == "" {
		*systemNames = choose("postrider,postfix-tuned", "postrider,postfix,postfix-tuned")
	}
	if *backlogs == "" {
		*backlogs = choose("10000", "100000,1000000")
	}
	if o.count == 0 {
		o.count, _ = strconv.Atoi(choose("3000", "10000"))
	}
	if o.rounds == 0 {
		o.rounds, _ = strconv.Atoi(choose("2", "5"))
	}
}

func (o *options) parseLists(profileNames, systemNames, backlogs string) error {
	for name := range strings.SplitSeq(profileNames, ",") {
		if name == "all" {
			o.profiles = profiles
			continue
		}
		i := slices.IndexFunc(profiles, func(p profile) bool { return p.name == name })
		if i < 0 {
			return fmt.Errorf("no profile %q; there are %s", name, strings.Join(names(), ", "))
		}
		o.profiles = append(o.profiles, profiles[i])
	}
	known := []string{"postrider", "postfix", "postfix-tuned"}
	for name := range strings.SplitSeq(systemNames, ",") {
		if !slices.Contains(known, name) {
			return fmt.Errorf("no system %q; there are %s", name, strings.Join(known, ", "))
		}
		o.systems = append(o.systems, name)
	}
	for text := range strings.SplitSeq(backlogs, ",") {
		n, err := strconv.Atoi(text)
		if err != nil || n < backlogParts {
			return fmt.Errorf("-backlog: %q is not a number of at least %d", text, backlogParts)
		}
		o.backlogs = append(o.backlogs, n)
	}
	return nil
}
