package queue

import "slices"

// pending returns the indices of d's recipients that still want an answer.
func (d *Delivery) pending() []int {
	p := make([]int, 0, len(d.Recipients))
	for i := range d.Recipients {
		if !d.Recipients[i].State.Final() && d.Recipients[i].State != Dead {
			p = append(p, d.Recipients[i].Index)
		}
	}
	return p
}

// scheduled reports whether d is tried by itself, without an operator.
func (d *Delivery) scheduled() bool { return d.State == Active || d.State == Deferred }

// recipient returns the state of the recipient with the given index.
func (d *Delivery) recipient(index int) *RecipientState {
	for i := range d.Recipients {
		if d.Recipients[i].Index == index {
			return &d.Recipients[i]
		}
	}
	return nil
}

// count returns how many recipients are in state s.
func (d *Delivery) count(s State) (n int) {
	for i := range d.Recipients {
		if d.Recipients[i].State == s {
			n++
		}
	}
	return n
}

// clone returns a copy that may be changed.
func (d *Delivery) clone() *Delivery {
	c := *d
	c.Recipients = slices.Clone(d.Recipients)
	return &c
}
