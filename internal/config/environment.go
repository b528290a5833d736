package config

import (
	"cmp"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// EnvPrefix begins every environment variable that is ours. EnvFile names the
// configuration file.
const (
	EnvPrefix = "POSTRIDER_"
	EnvFile   = "POSTRIDER_CONFIG"
)

// serviceLinks match the variables ("NAME=value") that Kubernetes puts into every
// container for a service called "postrider" or "postrider-...": they are not for us.
// One whose name ends in PORT alone could also be a key's; its value tells.
var serviceLinks = regexp.MustCompile(`^POSTRIDER_([A-Z0-9]+_)*(` +
	`SERVICE_HOST=|SERVICE_PORT(_[A-Z0-9_]+)?=|PORT=(tcp|udp|sctp)://|PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?=)`)

// override is one environment variable that sets a key.
type override struct {
	variable, value string
	path            []string // lower case; digits are places in a list
}

// overrides picks our variables from environ, outer keys before inner ones, so
// that POSTRIDER_LISTENERS may be corrected by POSTRIDER_LISTENERS__0__TLS.
func overrides(environ []string) []override {
	var all []override
	for _, pair := range environ {
		name, value, _ := strings.Cut(pair, "=")
		if !strings.HasPrefix(name, EnvPrefix) || name == EnvFile || serviceLinks.MatchString(pair) {
			continue
		}
		path := strings.Split(strings.ToLower(strings.TrimPrefix(name, EnvPrefix)), "__")
		all = append(all, override{variable: name, value: value, path: path})
	}
	slices.SortStableFunc(all, func(a, b override) int {
		return slices.CompareFunc(a.path, b.path, comparePlaces)
	})
	return all
}

// comparePlaces orders path elements: numbers by value, words by letter.
func comparePlaces(a, b string) int {
	m, errA := strconv.Atoi(a)
	n, errB := strconv.Atoi(b)
	if errA == nil && errB == nil {
		return cmp.Compare(m, n)
	}
	return strings.Compare(a, b)
}

// overlay lays the environment over root, which may grow, and returns it.
func overlay(root *node, environ []string, f *faults) *node {
	for _, o := range overrides(environ) {
		if root == nil || root.shape == shapeNull {
			root = &node{shape: shapeMapping}
		}
		if root.shape != shapeMapping {
			return root // a fault of the file, found when it is decoded
		}
		o.apply(root, f)
	}
	return root
}

// apply puts the value of o where its path leads in root. The types say what the
// path may be.
func (o override) apply(root *node, f *faults) {
	at := position{variable: o.variable}
	here, t, path := root, typeOf[Config](), ""
	for i, word := range o.path {
		last := i == len(o.path)-1
		for t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		_, single := scalars[t]
		switch {
		case !single && t.Kind() == reflect.Slice:
			n, err := strconv.Atoi(word)
			if err != nil && o.misspelt(f, path) {
				return
			}
			if err != nil || n < 0 || n > len(here.items) {
				f.add(at, path, "%q is not a place in the list, which has %d items (the first is 0)", word, len(here.items))
				return
			}
			here.shape, path, t = shapeSequence, index(path, n), t.Elem()
			if n == len(here.items) {
				here.items = append(here.items, &node{position: at})
			}
			if last {
				if value := o.node(t, f, path); value != nil {
					here.items[n] = value
				}
				return
			}
			here = here.items[n]
		case !single && (t.Kind() == reflect.Struct || t.Kind() == reflect.Map):
			next := t
			if t.Kind() == reflect.Map {
				next = t.Elem()
			} else if field, ok := fieldOf(t, word); ok {
				next = t.Field(field).Type
			} else {
				if !o.misspelt(f, join(path, word)) {
					f.unknown(at, path, word, keysOf(t))
				}
				return
			}
			if t == typeOf[Smarthost]() && here.shape == shapeScalar { // the short form, of which more is said
				here.set(here.position, "url", &node{position: here.position, shape: shapeScalar, text: here.text})
			}
			path, t = join(path, word), next
			here.shape = shapeMapping
			if last {
				if value := o.node(t, f, path); value != nil {
					here.set(at, word, value)
				}
				return
			}
			child := here.lookup(word)
			if child == nil {
				child = &node{position: at}
				here.set(at, word, child)
			}
			here = child
		default:
			f.add(at, path, "is a single value; nothing lies below it")
			return
		}
	}
}

// node reads the variable's value for a key of type t: text as it is for single
// values, else YAML in flow style; a list may also be written with commas. It
// returns nil after noting a fault.
func (o override) node(t reflect.Type, f *faults, path string) *node {
	at := position{variable: o.variable}
	text := strings.TrimSpace(o.value)
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	flow := strings.HasPrefix(text, "{") || strings.HasPrefix(text, "[")
	if _, single := scalars[t]; single || t == typeOf[Smarthost]() && !flow {
		return &node{position: at, shape: shapeScalar, text: o.value}
	}
	if t.Kind() == reflect.Slice && !flow {
		list := &node{position: at, shape: shapeSequence}
		for item := range strings.SplitSeq(text, ",") {
			if item = strings.TrimSpace(item); item != "" {
				list.items = append(list.items, &node{position: at, shape: shapeScalar, text: item})
			}
		}
		return list
	}
	inner := &faults{}
	n := parseYAML([]byte(o.value), inner)
	for _, e := range inner.list {
		f.add(at, path, "%s", e.Problem)
	}
	if n == nil || len(inner.list) > 0 {
		return nil
	}
	n.from(at)
	return n
}

// from stamps the position on n and everything below it.
func (n *node) from(at position) {
	n.position = at
	for i := range n.entries {
		n.entries[i].position = at
		n.entries[i].value.from(at)
	}
	for _, item := range n.items {
		item.from(at)
	}
}
