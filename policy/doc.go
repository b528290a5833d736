// Package policy answers whether someone is who they say they are, and whether
// they may do what they ask. Every question has a definite answer: nil, or a
// *mail.Error that can be sent to the client as it is. A rule refuses with 5yz; a
// limit that time or another transaction lifts refuses with 4yz.
//
// What always holds: a back end that can't answer lets nobody in (454 4.7.0);
// what a client reads never tells whether a user exists; nothing here touches the
// queue. A Policy is immutable; a reload swaps it whole, only the counters of its
// limits live on.
//
// Nothing here is written to disk but an edited users file, which a crash leaves
// old or new and never half. Counters and remembered passwords are forgotten with
// the process. Nothing runs between questions, so there is nothing to shut down.
package policy
