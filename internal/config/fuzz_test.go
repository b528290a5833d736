package config

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"
)

// Whatever a file holds, loading it ends in a configuration or in faults with a
// place, and what loads is printed as something that loads to the same.
func FuzzLoad(f *testing.F) {
	f.Add([]byte(example), "POSTRIDER_RETRY__LIFETIME=2d")
	f.Add(embedded, "POSTRIDER_LISTENERS__0__AUTH=none")
	f.Add(starter, "POSTRIDER_LISTENERS=[{address: \":1\"}]")
	for _, tc := range broken {
		f.Add([]byte(tc.text), "")
	}
	f.Fuzz(func(t *testing.T, text []byte, variable string) {
		load := func(text []byte, environ ...string) (*Config, error) {
			return Loader{Bystander: true}.build(text, environ, "f.yaml", &faults{file: "f.yaml"})
		}
		// The system's name is not what is tried here, and must not be looked up.
		c, err := load(text, variable, "POSTRIDER_HOSTNAME=relay.example.com")
		if err != nil {
			var all Errors
			if !errors.As(err, &all) || len(all) == 0 || strings.Contains(all.Error(), "\n\n") {
				t.Fatalf("error %T %v", err, err)
			}
			return
		}
		printed, err := Print(c)
		if err != nil {
			t.Fatal(err)
		}
		for i := range c.Routes {
			if r := &c.Routes[i]; r.PasswordFile == "" && r.Password != "" {
				printed = bytes.Replace(printed, []byte("password: \""+mask+"\""), []byte("password: letmein"), 1)
				r.Password = "letmein"
			}
		}
		again, err := load(printed)
		if err != nil {
			t.Fatalf("%v\n%s", err, printed)
		}
		if alike(c, again); !reflect.DeepEqual(c, again) {
			t.Fatalf("before %+v\nafter  %+v\n%s", c, again, printed)
		}
	})
}

// Every value that a parser takes is printed as something that means the same.
func FuzzValues(f *testing.F) {
	for _, s := range []string{"25MiB", "1000/hour", "1GiB/day", "1w2d3h4m5s", "0", "10.0.0.0/8", "::1", "[::1]:53", "a@example.com",
		`"a b"@example.com`, "starttls", "true", "65535", "9223372036854775807", "1.5h", "50/10m", "99999999999999999TiB"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for typ, s := range scalars {
			if typ == typeOf[Secret]() {
				continue // printed masked
			}
			v, err := s.parse(text)
			if err != nil {
				continue
			}
			printed := s.print(v)
			again, err := s.parse(printed)
			if err != nil || again.Interface() != v.Interface() {
				t.Errorf("%v: %q is %v, printed %q, which is %v, %v", typ, text, v, printed, again, err)
			}
		}
		_ = checkPattern(text)
		_ = (&Smarthost{URL: text}).parseURL()
	})
}
