package config

import "testing"

// An operator must reach the daemon although its file has been broken since, and
// never another daemon.
func TestStateDirOfBrokenFiles(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, row := range []struct {
		why, text string
		environ   []string
		want      string
	}{
		{"nothing is wrong", "state_dir: ./s\nlisteners: [{address: \":1\"}]\n", nil, "./s"},
		{"another key is wrong", "state_dir: ./s\nlisteners: nonsense\n", nil, "./s"},
		{"the file is no YAML", "listeners: [\nstate_dir: './s' # here\n", nil, "./s"},
		{"the file names none", "listeners: nonsense\n", nil, "/var/lib/postrider"},
		{"the environment goes before", "state_dir: ./s\nlisteners: nonsense\n", []string{"POSTRIDER_STATE_DIR=./e"}, "./e"},
		{"only the environment is sound", "{", []string{"POSTRIDER_STATE_DIR=./e"}, "./e"},
		{"the file is no YAML and names none", "listeners: [\n", nil, ""},
		{"the key itself is wrong", "state_dir: [a]\n", nil, ""},
		{"the key itself is misspelt", "state_dri: ./s\n", nil, ""},
		{"the environment alone is wrong", "state_dir: ./s\nlisteners: [{address: \":1\"}]\n", []string{"POSTRIDER_LOG__LEVEL=loud"}, "./s"},
	} {
		write(t, "f.yaml", row.text)
		dir, err := StateDir("f.yaml", row.environ)
		if dir != row.want {
			t.Errorf("%s: %q, want %q", row.why, dir, row.want)
		}
		if sound := row.why == "nothing is wrong"; sound != (err == nil) {
			t.Errorf("%s: %v", row.why, err)
		}
	}
	if dir, err := StateDir("missing.yaml", nil); dir != "" || err == nil {
		t.Errorf("a file that is missing: %q, %v", dir, err)
	}
	if dir, err := StateDir("missing.yaml", []string{"POSTRIDER_STATE_DIR=./e"}); dir != "./e" || err == nil {
		t.Errorf("a file that is missing, with the environment: %q, %v", dir, err)
	}
}
