// Package bounce writes the reports that tell a sender what became of a message:
// that it failed, is late, was delivered or was handed on (RFC 3464), with the
// internationalized forms of RFC 6533 where the original needs them.
//
// It is pure: a Report in, a mail and its envelope out, nothing kept and nothing
// asked. The same Report gives the same octets. What always holds: a report has
// the null reverse-path, so that no report is ever made about it; nothing that a
// peer or a sender wrote can start a line, a field or a part of its own; no line
// of ours is longer than 998 octets; the original is streamed, never held.
package bounce
