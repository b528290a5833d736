package config

import (
	_ "embed"
	"slices"
)

//go:embed starter.yaml
var starter []byte

// Starter returns a commented configuration file to begin with.
func Starter() []byte { return slices.Clone(starter) }
