package config

import (
	"slices"
	"testing"
)

func TestChanged(t *testing.T) {
	a, b := Default(), Default()
	if got := Changed(a, b); len(got) != 0 {
		t.Errorf("nothing has changed, but %q", got)
	}
	b.Log.Level, b.Listeners[0].AllowInsecureAuth, b.Source = LogDebug, false, "another.yaml"
	if got := Changed(a, b); !slices.Equal(got, []string{"listeners", "log"}) {
		t.Errorf("changed: %q", got)
	}
}
