package delivery

import (
	"context"
	"errors"
	"slices"

	"github.com/postrider/postrider/internal/mail"
	"github.com/postrider/postrider/queue"
)

// exhausted is the end of an attempt in which no host would have the message.
func (t *attempt) exhausted() {
	if len(t.failures) == 0 {
		t.failures = []failure{{
			ruling: ruling{verdict: queue.Defer, fault: queue.Unreachable},
			reason: "route gives no host to try",
		}}
	}
	f := worst(t.failures)
	if t.route.Smarthost {
		f.ruling.fault = routeFault(t.failures, f.ruling.fault)
	}
	t.event.Host, t.event.Reply = f.host, f.reply
	t.blame(f)
	t.everyone(f.result())
}

// routeFault is the fault of a smarthost route of which no host would have this
// message, where the worst of their faults is f. A host that found fault with nothing
// but the message works for all others, and so does the route.
func routeFault(failures []failure, f queue.Fault) queue.Fault {
	if f != queue.Unreachable && f != queue.RouteFault {
		return f
	}
	if slices.ContainsFunc(failures, func(f failure) bool { return f.ruling.fault == queue.NoFault }) {
		return queue.NoFault
	}
	return queue.RouteFault
}

// worst chooses, among the failures of all hosts, the one that stands for them.
// Unknown is temporary: a bounce needs every host to have refused for good. Among
// the others a host that has enough of this sender comes first, because it works for
// others; then a fault of the route, because it needs a person; then a host that
// works and is busy; then one that can't be reached.
func worst(failures []failure) failure {
	rank := func(f failure) int {
		switch {
		case f.ruling.verdict == queue.Bounce:
			return 0
		case f.ruling.fault == queue.SenderRefused:
			return 5
		case f.ruling.fault == queue.RouteFault:
			return 4
		case f.ruling.fault == queue.Throttled:
			return 3
		case f.ruling.fault == queue.Unreachable:
			return 2
		}
		return 1
	}
	w := failures[0]
	for _, f := range failures[1:] {
		if rank(f) > rank(w) {
			w = f
		}
	}
	return w
}

// noPlan is for a route that gives no hosts.
func (t *attempt) noPlan(err error) {
	f := failure{ruling: ruling{verdict: queue.Defer, fault: queue.Unreachable}, reason: err.Error()}
	if e, ok := errors.AsType[*mail.Error](err); ok {
		f.reply, f.reason = e.Reply, ""
	}
	switch {
	case t.route.Smarthost:
		f.ruling.fault = queue.RouteFault
	case f.reply.Permanent():
		f.ruling = ruling{verdict: queue.Bounce}
	}
	t.event.Reply, t.event.Err = f.reply, err
	t.blame(f)
	t.everyone(f.result())
}

// interrupted is for an attempt that was stopped before the message left. Being
// told to stop is nobody's fault; running out of time is worth a delay.
func (t *attempt) interrupted(ctx context.Context) {
	cause := context.Cause(ctx)
	if errors.Is(ctx.Err(), context.Canceled) {
		t.unsettled(queue.Again, "attempt was interrupted: "+cause.Error())
		return
	}
	t.unsettled(queue.Defer, "attempt took too long: "+cause.Error())
}

// unsettled gives those that have no result yet a verdict that is nobody's fault.
func (t *attempt) unsettled(v queue.Verdict, reason string) {
	for _, i := range t.todo {
		if r := &t.results[i]; *r == (queue.Result{}) {
			*r = queue.Result{Verdict: v, Host: t.event.Host, Reason: reason}
		}
	}
}

// outcome is what the queue is told.
func (t *attempt) outcome() queue.Outcome {
	o := queue.Outcome{Results: t.results, Fault: t.fault, Event: t.event, InDoubt: t.doubt(), Wait: t.wait}
	o.Event.Phases = t.phases.list
	if t.fault != queue.NoFault {
		o.FaultReply, o.FaultReason = t.faultBy.reply, t.faultBy.reason
	}
	return o
}

// doubt names the host that may have the message: as of this attempt, or of an earlier
// one as long as anybody waits. A host that puts them off has not said that it lost it.
func (t *attempt) doubt() string {
	if t.inDoubt == "" && t.awaited() {
		return t.a.Delivery.InDoubt
	}
	return t.inDoubt
}

// awaited reports whether anybody waits for another attempt.
func (t *attempt) awaited() bool {
	return slices.ContainsFunc(t.results, func(r queue.Result) bool { return r.Verdict == queue.Defer || r.Verdict == queue.Again })
}
