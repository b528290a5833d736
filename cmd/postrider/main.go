// Command postrider is an authenticated outbound SMTP relay with a durable queue.
// This package is its command line and nothing else: it reads flags, calls the
// rooms below, and turns errors into one sentence and an exit code (sysexits.h).
package main

import "os"

func main() {
	p := &program{
		stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr,
		environ: os.Environ(), exit: os.Exit,
	}
	os.Exit(p.run(os.Args[1:]))
}
