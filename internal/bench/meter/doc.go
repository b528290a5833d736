// Package meter reads what a running system uses: CPU seconds, memory, and the
// writes and flushes of the disk below its queue, all from Linux's /proc and
// cgroup files.
//
// A system under test is a Target: a cgroup, where one can be made, so that the
// CPU of children that have ended counts too, or else a process tree. A Window
// is the time between two readings; it also tells how much of the machine was
// used by neither the target nor the load tools, which is what makes a run
// worthless and is the only reason for which one is dropped.
package meter
