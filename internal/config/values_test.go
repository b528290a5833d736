package config

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"
)

func TestDurations(t *testing.T) {
	for _, tc := range []struct {
		text    string
		want    time.Duration
		printed string
		why     string
	}{
		{"5d", 120 * time.Hour, "5d", "days"},
		{"2w", 14 * day, "14d", "weeks"},
		{"1w1d", 8 * day, "8d", "largest unit first"},
		{"1d12h", 36 * time.Hour, "1d12h", "a day and a part"},
		{"36h", 36 * time.Hour, "1d12h", "the same in hours"},
		{"90s", 90 * time.Second, "1m30s", "as time.Duration has it"},
		{"1h", time.Hour, "1h", "without 0m0s"},
		{"1h30m", 90 * time.Minute, "1h30m", "without 0s"},
		{"10m", 10 * time.Minute, "10m", "a zero that belongs to the number"},
		{"250ms", 250 * time.Millisecond, "250ms", "small"},
		{"0", 0, "0s", "zero needs no unit"},
	} {
		got, err := ParseDuration(tc.text)
		if err != nil || got != tc.want || FormatDuration(got) != tc.printed {
			t.Errorf("%q: %v printed %q, %v; want %v printed %q: %s", tc.text, got, FormatDuration(got), err, tc.want, tc.printed, tc.why)
		}
	}
	for text, why := range map[string]string{
		"": "nothing", "5": "no unit", "-5m": "negative", "+5m": "a sign", "5m-3m": "a difference", "12h1d": "the larger unit last",
		"5 d": "a space", "d": "no number", "1.5d": "part of a day", "1d-1h": "a sign inside", "99999999999w": "beyond all bounds", "106751d24h": "beyond what a Duration holds",
	} {
		if got, err := ParseDuration(text); err == nil {
			t.Errorf("%q is %v: %s", text, got, why)
		}
	}
}

func TestSizes(t *testing.T) {
	for _, tc := range []struct {
		text    string
		want    Size
		printed string
	}{
		{"25MiB", 25 << 20, "25MiB"}, {"25mib", 25 << 20, "25MiB"}, {"10 GiB", 10 << 30, "10GiB"}, {"1TiB", 1 << 40, "1TiB"},
		{"10MB", 10e6, "10MB"}, {"1kb", 1000, "1KB"}, {"4096", 4096, "4KiB"}, {"1001B", 1001, "1001"}, {"0", 0, "0"},
	} {
		got, err := ParseSize(tc.text)
		if err != nil || got != tc.want || got.String() != tc.printed {
			t.Errorf("%q: %d printed %q, %v; want %d printed %q", tc.text, got, got, err, tc.want, tc.printed)
		}
	}
	for text, why := range map[string]string{
		"": "nothing", "MiB": "no number", "1.5GiB": "a fraction", "-1": "negative", "10M": "neither MB nor MiB", "9999999TiB": "beyond 63 bits", "1 MiB 2": "two numbers",
	} {
		if got, err := ParseSize(text); err == nil {
			t.Errorf("%q is %d: %s", text, got, why)
		}
	}
}

func TestRates(t *testing.T) {
	for text, want := range map[string]Rate{
		"1000/hour": {1000, time.Hour}, "30/minute": {30, time.Minute}, "5/second": {5, time.Second}, "1/day": {1, day}, "50/10m": {50, 10 * time.Minute},
	} {
		got, err := ParseRate(text)
		if err != nil || got != want || got.String() != text {
			t.Errorf("%q: %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "1000", "1000/", "/hour", "0/hour", "10/0s", "10/fortnight", "99999999999/day", "1 000/hour"} {
		if got, err := ParseRate(text); err == nil {
			t.Errorf("%q is %v", text, got)
		}
	}
	if got, err := ParseSizeRate("1GiB/day"); err != nil || got != (SizeRate{1 << 30, day}) {
		t.Errorf("1GiB/day: %v, %v", got, err)
	}
}

// A secret stays one however it is printed.
func TestSecretIsNeverPrinted(t *testing.T) {
	s := Secret("hunter2")
	asJSON, err := json.Marshal(map[string]any{"password": s, "route": Route{Password: s}})
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{fmt.Sprint(s), fmt.Sprintf("%s %v %+v %#v %q", s, s, s, s, s), fmt.Sprintf("%+v %#v", Route{Password: s}, Route{Password: s}), string(asJSON)} {
		if containsText([]byte(text), "hunter2") {
			t.Errorf("printed: %s", text)
		}
	}
}

func TestSmarthostURLs(t *testing.T) {
	for url, want := range map[string]Smarthost{
		"smtp://mail.example.com":              {Host: "mail.example.com", Port: 25},
		"smtp://mail.example.com:2525":         {Host: "mail.example.com", Port: 2525},
		"submission://u@mail.example.com":      {Host: "mail.example.com", Port: 587, Username: "u"},
		"submissions://u%40x@MAIL.example.com": {Host: "mail.example.com", Port: 465, Username: "u@x", Implicit: true},
		"smtps://mail.example.com/":            {Host: "mail.example.com", Port: 465, Implicit: true},
		"smtp://[2001:db8::1]:26":              {Host: "2001:db8::1", Port: 26},
		"smtp://192.0.2.1":                     {Host: "192.0.2.1", Port: 25},
		"smtp://bücher.example":                {Host: "xn--bcher-kva.example", Port: 25},
	} {
		got := Smarthost{URL: url}
		err := got.parseURL()
		want.URL = url
		if err != nil || got != want {
			t.Errorf("%s: %+v, %v, want %+v", url, got, err, want)
		}
	}
}

func TestSuggestions(t *testing.T) {
	keys := []string{"listeners", "tls", "log", "queue"}
	for written, want := range map[string]string{
		"listner": `; did you mean "listeners"?`, "listener": `; did you mean "listeners"?`, "tsl": `; did you mean "tls"?`, "quueue": `; did you mean "queue"?`, "policies": "", "x": "",
	} {
		if got := suggest(written, keys); got != want {
			t.Errorf("%s: %q, want %q", written, got, want)
		}
	}
}
