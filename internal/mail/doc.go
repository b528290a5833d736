// Package mail is the vocabulary of Postrider: the nouns of RFC 5321 and RFC
// 5598 as Go types, with nothing behind them that does input or output.
//
// What always holds: a Domain is a lower-case A-label or an address literal; an
// Address keeps its local part as it was meant, without quotes, and String puts
// them back; a zero Path is the null reverse-path; a Reply has a code between
// 200 and 599 or is the zero Reply, which means that there was none.
//
// Every other room may import this one; it imports none of ours.
package mail
