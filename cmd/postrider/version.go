package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/postrider/postrider/relay/admin"
)

// version is set by the linker in a release: -X main.version=1.2.3.
var version string

// build returns what binary this is, as far as the linker and the Go tool noted
// it.
func build() admin.Build {
	b := admin.Build{Version: version, Commit: "unknown"}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = &debug.BuildInfo{}
	}
	if b.Version == "" {
		b.Version = strings.TrimPrefix(info.Main.Version, "v")
	}
	if b.Version == "" || b.Version == "(devel)" {
		b.Version = "devel"
	}
	modified := ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			b.Commit = s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			modified = "+changes"
		}
	}
	b.Commit += modified
	return b
}

type versionCommand struct{}

// Run prints one line.
func (versionCommand) Run(p *program) error {
	b := build()
	_, err := fmt.Fprintf(p.stdout, "postrider %s, commit %s, %s %s/%s\n", b.Version, b.Commit, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}
