package queue

import "iter"

// ring is a first-in first-out queue in a circular buffer. The zero ring is
// empty and ready.
type ring[T any] struct {
	buf  []T // a power of two long
	head int
	n    int
}

func (r *ring[T]) len() int { return r.n }

// all goes through the ring from its head.
func (r *ring[T]) all() iter.Seq[T] {
	return func(yield func(T) bool) {
		for i := range r.n {
			if !yield(r.buf[(r.head+i)&(len(r.buf)-1)]) {
				return
			}
		}
	}
}

func (r *ring[T]) push(v T) {
	if r.n == len(r.buf) {
		grown := make([]T, max(2*len(r.buf), 4))
		for i := range r.n {
			grown[i] = r.buf[(r.head+i)&(len(r.buf)-1)]
		}
		r.buf, r.head = grown, 0
	}
	r.buf[(r.head+r.n)&(len(r.buf)-1)] = v
	r.n++
}

func (r *ring[T]) pop() (v T, ok bool) {
	if r.n == 0 {
		return v, false
	}
	var zero T
	v, r.buf[r.head] = r.buf[r.head], zero
	r.head = (r.head + 1) & (len(r.buf) - 1)
	r.n--
	return v, true
}
