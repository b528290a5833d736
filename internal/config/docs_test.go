package config

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files and the tables of docs/configuration.md")

const manual = "../../docs/configuration.md"

// table returns the rows of a section of the manual: every key below (and
// including) one of the first level, or the single values of the first level.
func table(section string) string {
	var b strings.Builder
	b.WriteString("| key | default | what it does |\n|---|---|---|\n")
	for path, t := range keys() {
		top, _, nested := strings.Cut(strings.ReplaceAll(path, "[", ".["), ".")
		_, single := scalars[t]
		if top != section && !(section == "general" && !nested && single) {
			continue
		}
		fallback := defaultText(path)
		if fallback == "" {
			fallback = "–"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", path, fallback, strings.ReplaceAll(describe[path], "|", `\|`))
	}
	return b.String()
}

// defaultText returns the default of a key as the manual shows it.
func defaultText(path string) string {
	if words := otherwise[path]; words != "" {
		return words
	}
	v := reflect.ValueOf(defaults()).Elem()
	for word := range strings.SplitSeq(path, ".") {
		if v.Kind() != reflect.Struct {
			return ""
		}
		i, ok := fieldOf(v.Type(), word)
		if !ok {
			if strings.Contains(path, "[]") && isBool(path) {
				return "`false`"
			}
			return ""
		}
		v = v.Field(i)
	}
	s, single := scalars[v.Type()]
	switch {
	case single && (!v.IsZero() || s.bare):
		return "`" + s.print(v) + "`"
	case v.Kind() == reflect.Slice && v.Len() > 0:
		words := make([]string, v.Len())
		for i := range words {
			words[i] = scalars[v.Type().Elem()].print(v.Index(i))
		}
		return "`[" + strings.Join(words, ", ") + "]`"
	}
	return ""
}

func isBool(path string) bool {
	for p, t := range keys() {
		if p == path {
			return t.Kind() == reflect.Bool
		}
	}
	return false
}

// The manual's tables name every key of the types with its true default, and no
// other; the words are those of the JSON Schema.
func TestManualHasEveryKey(t *testing.T) {
	text, err := os.ReadFile(manual)
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile(`(?s)<!-- (table|file) (\S+) -->\n(.*?)<!-- end -->`)
	want := block.ReplaceAllStringFunc(string(text), func(s string) string {
		m := block.FindStringSubmatch(s)
		content := table(m[2])
		if m[1] == "file" {
			content = "```yaml\n" + string(embedded) + "```\n"
		}
		return fmt.Sprintf("<!-- %s %s -->\n%s<!-- end -->", m[1], m[2], content)
	})
	if *update {
		if err := os.WriteFile(manual, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		text = []byte(want)
	}
	if string(text) != want {
		t.Error("the tables of docs/configuration.md are not those of the types; run `go test ./internal/config -update`")
	}
	for path := range keys() {
		if !strings.Contains(want, "| `"+path+"` |") {
			t.Errorf("%s is in no table of the manual", path)
		}
	}
}

func TestEveryKeyIsDescribed(t *testing.T) {
	var known []string
	for path := range keys() {
		known = append(known, path)
		if describe[path] == "" {
			t.Errorf("%s has no description", path)
		}
	}
	for path := range describe {
		if !slices.Contains(known, path) {
			t.Errorf("%s is described, but no key", path)
		}
	}
	for path := range otherwise {
		if !slices.Contains(known, path) {
			t.Errorf("%s has a default in words, but is no key", path)
		}
	}
}

// Every example of the manual is right: all of them together are a file that
// loads.
func TestManualExamplesLoad(t *testing.T) {
	text, err := os.ReadFile(manual)
	if err != nil {
		t.Fatal(err)
	}
	dir := secrets(t)
	_, sections, _ := strings.Cut(string(text), "\n## General")
	var file strings.Builder
	for _, m := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(sections, -1) {
		file.WriteString(m[1])
	}
	path := filepath.Join(dir, "postrider.yaml")
	write(t, path, inDir(file.String(), dir))
	if _, err := Load(path, nil); err != nil {
		t.Error(err)
	}
}
