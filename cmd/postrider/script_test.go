package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/smtp"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/postrider/postrider/internal/smtptest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"postrider": main})
}

// TestScripts runs the files in testdata/script, each named for what it shows.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			submission, admin := smtptest.FreeAddress(t), smtptest.FreeAddress(t)
			e.Setenv("SUBMISSION", submission)
			e.Setenv("ADMIN", admin)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"wait-ready": waitReady,
			"submit":     submit,
			"mode":       mode,
			"setup":      setup,
			"exits":      exits,
			"terminate":  terminate,
			"damage":     damageFile,
			"sums":       sums,
		},
	})
}

// exits CODE COMMAND... runs a command that must end with CODE.
func exits(ts *testscript.TestScript, _ bool, args []string) {
	err := ts.Exec(args[1], args[2:]...)
	code := 0
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		code = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if fmt.Sprint(code) != args[0] {
		ts.Fatalf("exit code %d, want %s", code, args[0])
	}
}

// terminate sends SIGTERM to what runs in the background.
func terminate(ts *testscript.TestScript, _ bool, _ []string) {
	for _, c := range ts.BackgroundCmds() {
		ts.Check(c.Process.Signal(syscall.SIGTERM))
	}
}

// setup FILE replaces $SUBMISSION and $ADMIN in a file of the script.
func setup(ts *testscript.TestScript, _ bool, args []string) {
	text := ts.ReadFile(args[0])
	text = strings.NewReplacer("$SUBMISSION", ts.Getenv("SUBMISSION"), "$ADMIN", ts.Getenv("ADMIN")).Replace(text)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(text), 0o600))
}

// wait-ready waits until the daemon answers at $SUBMISSION and by its socket.
func waitReady(ts *testscript.TestScript, _ bool, _ []string) {
	deadline := time.Now().Add(20 * time.Second)
	for time.Now().Before(deadline) {
		conn, err := net.Dial("tcp", ts.Getenv("SUBMISSION"))
		if err == nil {
			conn.Close()
			return
		}
		<-time.After(20 * time.Millisecond)
	}
	ts.Fatalf("no daemon at %s", ts.Getenv("SUBMISSION"))
}

// submit USER PASSWORD FROM TO [SIZE] sends a message to the daemon; ! submit
// expects a refusal.
func submit(ts *testscript.TestScript, neg bool, args []string) {
	address := ts.Getenv("SUBMISSION")
	host, _, _ := net.SplitHostPort(address)
	password := args[1]
	if text, err := os.ReadFile(ts.MkAbs(password)); err == nil {
		password = strings.TrimSpace(string(text))
	}
	size := 0
	if len(args) > 4 {
		var err error
		size, err = strconv.Atoi(args[4])
		ts.Check(err)
	}
	err := send(address, smtp.PlainAuth("", args[0], password, host), args[2], args[3], size)
	switch {
	case err != nil && !neg:
		ts.Fatalf("submit: %v", err)
	case err == nil && neg:
		ts.Fatalf("submit was accepted")
	}
}

// send submits one message in clear; smtp.SendMail would not take the self-signed
// certificate. Its body has at least size octets.
func send(address string, auth smtp.Auth, from, to string, size int) error {
	c, err := smtp.Dial(address)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := errors.Join(c.Hello("script.example"), c.Auth(auth)); err != nil {
		return err
	}
	if err := errors.Join(c.Mail(from), c.Rcpt(to)); err != nil {
		return err
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "From: %s\r\nTo: %s\r\nSubject: test\r\n\r\nbody\r\n%s", from, to, strings.Repeat("and more of it\r\n", size/16))
	return errors.Join(err, w.Close())
}

// mode PERM FILE checks a file's permissions.
func mode(ts *testscript.TestScript, _ bool, args []string) {
	info, err := os.Stat(filepath.Clean(ts.MkAbs(args[1])))
	ts.Check(err)
	if got := fmt.Sprintf("%04o", info.Mode().Perm()); got != args[0] {
		ts.Fatalf("%s has mode %s", args[1], got)
	}
}

// damage cut|flip|remove PATTERN hurts the last file that matches.
func damageFile(ts *testscript.TestScript, _ bool, args []string) {
	files, err := filepath.Glob(ts.MkAbs(args[1]))
	ts.Check(err)
	if len(files) == 0 {
		ts.Fatalf("no file %s", args[1])
	}
	file := files[len(files)-1]
	data, err := os.ReadFile(file)
	ts.Check(err)
	switch args[0] {
	case "remove":
		ts.Check(os.Remove(file))
		return
	case "cut":
		data = data[:len(data)/2]
	case "flip":
		data[len(data)/10] ^= 1
	}
	ts.Check(os.WriteFile(file, data, 0o600))
}

// sums FILE DIR writes names, sizes and sums of all files below DIR
// into FILE, but for the one that says who has the lock.
func sums(ts *testscript.TestScript, _ bool, args []string) {
	var out strings.Builder
	err := filepath.WalkDir(ts.MkAbs(args[1]), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() == "holder" {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		fmt.Fprintf(&out, "%s %d %x\n", path, len(data), sha256.Sum256(data))
		return nil
	})
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(out.String()), 0o600))
}
