package config

import (
	"reflect"
	"slices"
	"strings"
)

// decoder gives nodes their types. It goes on after a fault, so that one run
// tells all of them.
type decoder struct {
	faults *faults
	// where notes the position of every key that was set, for the checks that
	// follow.
	where map[string]position
}

// value reads n into v, which holds the default.
func (d *decoder) value(n *node, path string, v reflect.Value) {
	if path != "" {
		d.where[path] = n.position
	}
	if slices.Contains(d.faults.unsound, path) {
		return // its fault has been told
	}
	t := v.Type()
	if s, ok := scalars[t]; ok {
		d.scalar(n, path, s, v)
		return
	}
	if n.shape == shapeNull && t.Kind() != reflect.Struct {
		d.faults.add(n.position, path, "has no value; expected %s", expected(t))
		return
	}
	switch t.Kind() {
	case reflect.Pointer:
		p := reflect.New(t.Elem())
		d.value(n, path, p.Elem())
		v.Set(p)
	case reflect.Struct:
		d.structure(n, path, v)
	case reflect.Slice:
		d.list(n, path, v)
	case reflect.Map:
		d.table(n, path, v)
	default:
		panic("config: no way to read a " + t.String())
	}
}

func (d *decoder) scalar(n *node, path string, s scalar, v reflect.Value) {
	switch {
	case n.shape == shapeNull:
		d.faults.add(n.position, path, "has no value; expected %s", expected(v.Type()))
	case n.shape != shapeScalar:
		d.faults.add(n.position, path, "expected %s, found %s", expected(v.Type()), n.shape)
	case s.bare && n.quoted:
		d.faults.add(n.position, path, "%q is text; expected %s without quotes", n.text, expected(v.Type()))
	default:
		parsed, err := s.parse(n.text)
		if err != nil {
			d.faults.add(n.position, path, "%q is %v", n.text, err)
			return
		}
		v.Set(parsed)
	}
}

func (d *decoder) structure(n *node, path string, v reflect.Value) {
	if v.Type() == typeOf[Smarthost]() && n.shape == shapeScalar {
		v.Addr().Interface().(*Smarthost).URL = n.text
		return
	}
	switch n.shape {
	case shapeNull: // all its keys commented out
		return
	case shapeScalar, shapeSequence:
		d.faults.add(n.position, path, "expected %s, found %s", expected(v.Type()), n.shape)
		return
	}
	for _, e := range n.entries {
		full := join(path, e.key)
		i, ok := fieldOf(v.Type(), e.key)
		if !ok {
			d.faults.unknown(e.position, path, e.key, keysOf(v.Type()))
			continue
		}
		d.value(e.value, full, v.Field(i))
	}
}

func (d *decoder) list(n *node, path string, v reflect.Value) {
	if n.shape == shapeScalar && v.Type() == typeOf[StringList]() {
		v.Set(reflect.ValueOf(StringList{n.text}))
		return
	}
	if n.shape != shapeSequence {
		remedy := ""
		item := v.Type().Elem()
		_, single := scalars[item]
		single = single || item == typeOf[Smarthost]()
		switch {
		case n.shape == shapeScalar && single:
			remedy = "; put it in brackets: [...]"
		case n.shape == shapeMapping:
			remedy = `; each item begins with "- "`
		}
		d.faults.add(n.position, path, "expected %s, found %s%s", expected(v.Type()), n.shape, remedy)
		return
	}
	list := reflect.MakeSlice(v.Type(), len(n.items), len(n.items))
	for i, item := range n.items {
		if item.shape == shapeNull {
			d.faults.add(item.position, index(path, i), "has no value; expected %s", expected(v.Type().Elem()))
			continue
		}
		d.value(item, index(path, i), list.Index(i))
	}
	v.Set(list)
}

func (d *decoder) table(n *node, path string, v reflect.Value) {
	if n.shape != shapeMapping {
		d.faults.add(n.position, path, "expected %s, found %s", expected(v.Type()), n.shape)
		return
	}
	table := reflect.MakeMap(v.Type())
	for _, e := range n.entries {
		value := reflect.New(v.Type().Elem()).Elem()
		d.value(e.value, join(path, e.key), value)
		table.SetMapIndex(reflect.ValueOf(e.key), value)
	}
	v.Set(table)
}

// expected names what a type wants to see.
func expected(t reflect.Type) string {
	switch t {
	case typeOf[bool]():
		return "true or false"
	case typeOf[int](), typeOf[uint16]():
		return "a number"
	case typeOf[StringList]():
		return "a single value or a list"
	case typeOf[Smarthost]():
		return "a URL such as smtp://host:25, or a mapping with url, priority and weight"
	}
	if _, ok := scalars[t]; ok {
		return "a single value"
	}
	switch t.Kind() {
	case reflect.Slice:
		return "a list"
	case reflect.Struct:
		return "a mapping with " + strings.Join(keysOf(t), ", ")
	}
	return "a mapping"
}

// keyOf returns the key of a struct's field, or "" for a field that is none.
func keyOf(f reflect.StructField) string {
	if key := f.Tag.Get("yaml"); key != "-" {
		return key
	}
	return ""
}

// keysOf returns the keys of a struct type in their order.
func keysOf(t reflect.Type) []string {
	var keys []string
	for i := range t.NumField() {
		if key := keyOf(t.Field(i)); key != "" {
			keys = append(keys, key)
		}
	}
	return keys
}

func fieldOf(t reflect.Type, key string) (int, bool) {
	for i := range t.NumField() {
		if k := keyOf(t.Field(i)); k != "" && k == key {
			return i, true
		}
	}
	return 0, false
}
