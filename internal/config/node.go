package config

// position is where a value was written: a line of the file, or an environment
// variable. The zero position is that of a default.
type position struct {
	line     int
	variable string
}

// shape is what a node looks like, before anyone asks what it means.
type shape uint8

const (
	shapeNull shape = iota
	shapeScalar
	shapeMapping
	shapeSequence
)

// String names the shape for people.
func (s shape) String() string {
	return [...]string{"nothing", "a single value", "a mapping", "a list"}[s]
}

// node is a value as it was written, from the file or from the environment, which
// is laid over the file before anything is given a type. So a fault names its
// place wherever the value came from.
type node struct {
	position
	shape shape
	// text is a scalar's, without quotes; quoted says that it had some, and so
	// can't be meant as a number or a truth value.
	text   string
	quoted bool
	// entries are a mapping's, in order; items a sequence's.
	entries []entry
	items   []*node
}

// entry is one key of a mapping.
type entry struct {
	position
	key   string
	value *node
}

// lookup returns the value of key in a mapping, or nil.
func (n *node) lookup(key string) *node {
	for i := range n.entries {
		if n.entries[i].key == key {
			return n.entries[i].value
		}
	}
	return nil
}

// set puts value under key, in the place of what was there.
func (n *node) set(at position, key string, value *node) {
	for i := range n.entries {
		if n.entries[i].key == key {
			n.entries[i].value = value
			n.entries[i].position = at
			return
		}
	}
	n.entries = append(n.entries, entry{position: at, key: key, value: value})
}
