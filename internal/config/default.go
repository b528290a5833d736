package config

import (
	_ "embed"
	"time"
)

// embedded is the configuration without a file.
//
//go:embed default.yaml
var embedded []byte

// Default returns the embedded default: what is in force without a file and
// without variables.
func Default() *Config {
	c, err := Loader{Bystander: true}.parse(nil, "")
	if err != nil {
		panic("config: the embedded default: " + err.Error())
	}
	return c
}

// defaults returns what holds for every key that is not set. What depends on
// other keys is filled in by complete.
func defaults() *Config {
	return &Config{
		StateDir: "/var/lib/postrider",
		Auth:     Auth{MaxFailures: 3},
		Submission: Submission{
			MaxConnections:            2000,
			MaxConnectionsPerAddress:  500,
			MaxConnectionsPerIdentity: 500,
			MaxMessageSize:            25 << 20,
			MaxRecipients:             1000,
			MaxHeaderSize:             256 << 10,
			CommandTimeout:            5 * time.Minute, // RFC 5321 4.5.3.2.7
			DataTimeout:               3 * time.Minute, // RFC 5321 4.5.3.2.5
			MessageTimeout:            time.Hour,
			SessionTimeout:            6 * time.Hour,
		},
		Delivery: Delivery{
			Port:                     25,
			TLS:                      RouteTLSOpportunistic,
			Concurrency:              200,
			DestinationConcurrency:   20,
			RecipientsPerTransaction: 100, // RFC 5321 4.5.3.1.8: every server takes as many
			ConnectTimeout:           30 * time.Second,
			IdleTimeout:              5 * time.Second,
			AddressLiterals:          true,
			IPv6:                     true,
		},
		DNS: DNS{Timeout: 5 * time.Second},
		Retry: Retry{
			Intervals: []time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour, 4 * time.Hour},
			Lifetime:  5 * day,
			WarnAfter: 4 * time.Hour,
		},
		Queue:           Queue{MaxBytes: 10 << 30, MinFree: 512 << 20},
		Admin:           Admin{Address: "127.0.0.1:8025"},
		Log:             Log{Format: LogJSON, Level: LogInfo},
		ShutdownTimeout: 25 * time.Second,
		Memory:          64 << 20,
	}
}
