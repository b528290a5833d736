// Package eventlog is the log view of what happens: each mail.Event and each line
// of the program's own becomes one line on stderr, as JSON, as text, or in the
// manner of Postfix.
//
// What always holds: under the JSON format every line is a JSON object; keys are
// those users were promised; a line never holds content or a password, and no
// line end that a peer sent. Record never waits for stderr: lines go to a bounded
// buffer that one goroutine writes; what does not fit is counted, and the count
// is logged when there is room again. Close writes what is left; a crash loses
// what had not been written, some milliseconds at most.
package eventlog
