package report

import (
	"encoding/json"
	"fmt"
	"io"
)

// Environment is where the runs were made.
type Environment struct {
	Date       string  `json:"date"`
	Commit     string  `json:"commit"`
	CPU        string  `json:"cpu"`
	Cores      int     `json:"cores"`
	MemoryGiB  float64 `json:"memory_gib"`
	Kernel     string  `json:"kernel"`
	FileSystem string  `json:"file_system"`
	Accounting string  `json:"cpu_accounting"`
	Go         string  `json:"go"`
	Postfix    string  `json:"postfix"`
	Command    string  `json:"command"`
}

// document is the JSON file.
type document struct {
	Environment Environment `json:"environment"`
	Metrics     []Metric    `json:"metrics"`
	Runs        Set         `json:"runs"`
}

// WriteJSON writes everything there is to know.
func (s Set) WriteJSON(w io.Writer, env Environment) error {
	e := json.NewEncoder(w)
	e.SetIndent("", " ")
	return e.Encode(document{Environment: env, Metrics: Metrics, Runs: s})
}

// ReadJSON reads what WriteJSON wrote.
func ReadJSON(r io.Reader) (Set, Environment, error) {
	var d document
	if err := json.NewDecoder(r).Decode(&d); err != nil {
		return nil, Environment{}, fmt.Errorf("read runs: %w", err)
	}
	return d.Runs, d.Environment, nil
}

// String describes the environment in a paragraph.
func (e Environment) String() string {
	return fmt.Sprintf("%s, %s, %d cores, %.0f GiB, Linux %s, %s, CPU counted by %s.\nPostrider %s, %s; Postfix %s.\n`%s`\n",
		e.Date, e.CPU, e.Cores, e.MemoryGiB, e.Kernel, e.FileSystem, e.Accounting, e.Commit, e.Go, e.Postfix, e.Command)
}
