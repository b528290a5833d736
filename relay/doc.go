// Package relay is the runtime: it builds every room from the configuration,
// starts them in order, swaps what a reload changes, and stops them in reverse.
//
// The order is the promise. Open takes the state directory and recovers the
// queue; Start runs the queue, then the operator's doors (control socket, health
// and metrics), and opens the listeners last, so that nothing is accepted before
// it can be kept. Stop closes in reverse: sessions finish their transactions,
// attempts at delivery are settled, the spool is synced and closed. A relay that
// is killed instead loses nothing that was acknowledged; it only repeats the
// attempts that ran.
//
// A reload builds the new rules whole, from the file, the users, certificates and
// keys, before the first of them is put in force. If anything is wrong with them
// the old rules stay.
package relay
