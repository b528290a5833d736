package report

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write golden files anew")

// sample is two cases of two systems, with a run lost to noise and one to an
// error.
func sample() Set {
	run := func(name, system string, round int, rate, cpu, foreign float64) Run {
		return Run{Profile: "relay", Case: name, System: system, Round: round,
			Values: map[string]float64{"delivered": rate, "cpu": cpu, "foreign": foreign, "busy": 0.9}}
	}
	set := Set{
		run("10 KB x10", "postrider", 1, 5000, 0.2, 0.01),
		run("10 KB x10", "postfix", 1, 800, 2.5, 0.02),
		run("10 KB x10", "postrider", 2, 6000, 0.25, 0.03),
		run("10 KB x10", "postfix", 2, 1000, 2.0, 0.3),
		run("1 MB x10", "postrider", 1, 80, 9.5, 0),
		run("1 MB x10", "postfix", 1, 40, 19, 0),
	}
	for i := range set {
		set[i].Judge(nil, 100, 100, 0.1)
	}
	set[5].Judge(errors.New("smtp-source: exit status 1\nmore of it"), 100, 0, 0.1)
	return set
}

func TestTable(t *testing.T) {
	golden(t, "table.md", sample().Table("postrider", "postfix"))
}

func TestPlot(t *testing.T) {
	svg := sample().Plot("Messages a second <end to end>", "delivered")
	golden(t, "plot.svg", svg)
	if strings.Contains(svg, "%!") {
		t.Error("a format went wrong")
	}
	d := xml.NewDecoder(strings.NewReader(svg))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("not well-formed: %v", err)
		}
	}
}

func TestBudgets(t *testing.T) {
	golden(t, "budgets.md", Budgets([]Budget{
		{What: "rate", Limit: 5, AtLeast: true, Unit: "times", Measured: []float64{7, 5.1}},
		{What: "rate of the worst case decides", Limit: 5, AtLeast: true, Unit: "times", Measured: []float64{7, 4.9}},
		{What: "memory", Limit: 30, Unit: "MiB", Measured: []float64{30}},
		{What: "start", Limit: 100, Unit: "ms", Measured: []float64{20, 101}},
		{What: "binary", Limit: 30, Unit: "MiB"},
	}))
}

func TestJudgeHasOneRule(t *testing.T) {
	tests := []struct {
		reason      string
		err         error
		wanted, got int
		foreign     float64
		dropped     string
	}{
		{"a good run counts", nil, 10, 10, 0.1, ""},
		{"a refusal is no measurement", errors.New("refused"), 10, 10, 0, "refused"},
		{"nor is a loss", nil, 10, 9, 0, "9 of 10 arrived"},
		{"nor a repetition", nil, 10, 11, 0, "11 of 10 arrived"},
		{"others were busy", nil, 10, 10, 0.11, "others used 11 % of the machine"},
	}
	for _, tt := range tests {
		t.Run(tt.reason, func(t *testing.T) {
			r := Run{Values: map[string]float64{"foreign": tt.foreign}}
			r.Judge(tt.err, tt.wanted, tt.got, 0.1)
			if r.Dropped != tt.dropped {
				t.Errorf("dropped for %q, want %q", r.Dropped, tt.dropped)
			}
		})
	}
}

func TestDroppedRunsStayInJSONAndCountNowhere(t *testing.T) {
	var file bytes.Buffer
	environment := Environment{CPU: "a CPU", Cores: 2, Postfix: "3.7.11"}
	if err := sample().WriteJSON(&file, environment); err != nil {
		t.Fatal(err)
	}
	read, env, err := ReadJSON(&file)
	if err != nil {
		t.Fatal(err)
	}
	if env != environment || !reflect.DeepEqual(read, sample()) {
		t.Errorf("read %+v %+v", env, read)
	}
	if got := read.Case("10 KB x10").System("postfix").Values("delivered"); len(got) != 1 || got[0] != 800 {
		t.Errorf("values that count: %v, want the quiet run's 800 only", got)
	}
}

func TestMetricsAreDistinct(t *testing.T) {
	seen := map[string]bool{}
	for _, m := range Metrics {
		if seen[m.Key] || m.Means == "" {
			t.Errorf("metric %q is there twice or says nothing", m.Key)
		}
		seen[m.Key] = true
	}
}

// The manual explains each column in the very words of Metrics.
func TestManualExplainsEveryColumn(t *testing.T) {
	manual, err := os.ReadFile("../../../docs/performance.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range Metrics {
		if line := "\n| " + m.Column + " | " + m.Means + " |\n"; m.Column != "" && !strings.Contains(string(manual), line) {
			t.Errorf("docs/performance.md lacks the line%s", line)
		}
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs; got:\n%s", name, got)
	}
}
