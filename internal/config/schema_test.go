package config

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"testing"

	"github.com/goccy/go-yaml"
)

// fits checks a value against the part of JSON Schema that Schema uses, and
// returns what is wrong with it.
func fits(schema map[string]any, v any, path string) string {
	if all, ok := schema["anyOf"].([]any); ok {
		last := ""
		for _, one := range all {
			if last = fits(one.(map[string]any), v, path); last == "" {
				return ""
			}
		}
		return last
	}
	if words, ok := schema["enum"].([]any); ok && !slices.Contains(words, v) {
		return fmt.Sprintf("%s: %v is not among %v", path, v, words)
	}
	if c, ok := schema["const"]; ok && c != v {
		return fmt.Sprintf("%s: %v is not %v", path, v, c)
	}
	switch kind := schema["type"]; v := v.(type) {
	case map[string]any:
		if kind != "object" {
			return path + ": a mapping"
		}
		return fitsObject(schema, v, path)
	case []any:
		if kind != "array" {
			return path + ": a list"
		}
		if least, ok := schema["minItems"].(float64); ok && len(v) < int(least) {
			return path + ": too few items"
		}
		for i, item := range v {
			if wrong := fits(schema["items"].(map[string]any), item, index(path, i)); wrong != "" {
				return wrong
			}
		}
	case string:
		pattern, _ := schema["pattern"].(string)
		if kind != nil && kind != "string" || !regexp.MustCompile(pattern).MatchString(v) {
			return fmt.Sprintf("%s: %q", path, v)
		}
	case float64:
		if kind != nil && kind != "integer" && kind != "number" {
			return fmt.Sprintf("%s: a number", path)
		}
	case bool:
		if kind != "boolean" {
			return fmt.Sprintf("%s: a truth value", path)
		}
	}
	return ""
}

func fitsObject(schema, v map[string]any, path string) string {
	properties, _ := schema["properties"].(map[string]any)
	for key, value := range v {
		sub, ok := properties[key].(map[string]any)
		if !ok {
			if sub, ok = schema["additionalProperties"].(map[string]any); !ok {
				return join(path, key) + ": unknown key"
			}
		}
		if wrong := fits(sub, value, join(path, key)); wrong != "" {
			return wrong
		}
	}
	required, _ := schema["required"].([]any)
	for _, key := range required {
		if _, ok := v[key.(string)]; !ok {
			return join(path, key.(string)) + ": missing"
		}
	}
	return ""
}

func TestSchema(t *testing.T) {
	text, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	var schema map[string]any
	if err := json.Unmarshal(text, &schema); err != nil {
		t.Fatal(err)
	}
	if schema["$schema"] != "https://json-schema.org/draft/2020-12/schema" {
		t.Errorf("$schema is %v", schema["$schema"])
	}
	check := func(text string) string {
		asJSON, err := yaml.YAMLToJSON([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		var v any
		if err := json.Unmarshal(asJSON, &v); err != nil {
			t.Fatal(err)
		}
		return fits(schema, v, "")
	}
	printed, err := Print(Default())
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"the example": example, "the embedded default": string(embedded), "the starter file": string(Starter()), "what is printed": string(printed)} {
		if wrong := check(text); wrong != "" {
			t.Errorf("%s does not fit: %s", name, wrong)
		}
	}
	for why, text := range map[string]string{
		"an unknown key":           "listeners: [{address: a, tsl: none}]",
		"no listeners":             "log: {level: info}",
		"an empty list of them":    "listeners: []",
		"a word that is no choice": "listeners: [{address: a, tls: start}]",
		"a bad duration":           "{listeners: [{address: a}], shutdown_timeout: soon}",
		"a bad size":               "{listeners: [{address: a}], queue: {max_bytes: much}}",
		"text for a number":        "{listeners: [{address: a}], delivery: {port: \"25\"}}",
	} {
		if check(text) == "" {
			t.Errorf("%s fits", why)
		}
	}
}

// An editor shows what a key does where it stands.
func TestSchemaDescribes(t *testing.T) {
	text, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	var schema struct {
		Properties struct {
			Retry struct {
				Properties map[string]struct{ Description string }
			}
		}
	}
	if err := json.Unmarshal(text, &schema); err != nil {
		t.Fatal(err)
	}
	if got := schema.Properties.Retry.Properties["lifetime"].Description; got != describe["retry.lifetime"] {
		t.Errorf("retry.lifetime is described as %q", got)
	}
}
