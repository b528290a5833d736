package relay

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestDiffer(t *testing.T) {
	dir := t.TempDir()
	file, other, link := filepath.Join(dir, "file"), filepath.Join(dir, "other"), filepath.Join(dir, "link")
	put := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put(file, "one")
	put(other, "two")
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	files := []string{file, link, filepath.Join(dir, "late")}
	for _, row := range []struct {
		why    string
		change func()
		want   bool
	}{
		{"nothing happened", func() {}, false},
		{"another size", func() { put(file, "longer") }, true},
		{"same size, written again", func() { os.Chtimes(file, time.Time{}, time.Now().Add(time.Minute)) }, true},
		{"another file of the same name", func() { put(file+".new", "longer"); os.Rename(file+".new", file) }, true},
		{"a link that points elsewhere, as Kubernetes mounts secrets", func() { os.Remove(link); os.Symlink(other, link) }, true},
		{"a file that appears", func() { put(filepath.Join(dir, "late"), "late") }, true},
		{"a file that vanishes", func() { os.Remove(file) }, true},
	} {
		before := stat(files)
		row.change()
		if got := differ(before, stat(files)); got != row.want {
			t.Errorf("%s: differ is %v", row.why, got)
		}
	}
	if differ(stat([]string{file}), stat([]string{other})) {
		t.Error("a file that is only watched from now on counts as changed")
	}
}
