package config

import (
	"bytes"
	"fmt"
	"reflect"

	"github.com/goccy/go-yaml"
)

// Print writes c as YAML that Load reads again, with every key that has a value
// and secrets masked. A secret from a file is left out, its file is named.
func Print(c *Config) ([]byte, error) {
	var b bytes.Buffer
	source := c.Source
	if source == "" {
		source = "the embedded default"
	}
	fmt.Fprintf(&b, "# The configuration in force: %s, the environment and defaults.\n", source)
	tree := printStruct(reflect.ValueOf(c).Elem(), reflect.ValueOf(defaults()).Elem())
	e := yaml.NewEncoder(&b, yaml.IndentSequence(true))
	if err := e.Encode(tree); err != nil {
		return nil, fmt.Errorf("printing the configuration: %w", err)
	}
	return b.Bytes(), nil
}

// printStruct returns the keys of v that are set, or have a default that is not
// nothing.
func printStruct(v, standard reflect.Value) yaml.MapSlice {
	var m yaml.MapSlice
	for i := range v.NumField() {
		key := keyOf(v.Type().Field(i))
		field, usual := v.Field(i), standard.Field(i)
		switch {
		case key == "" || field.IsZero() && usual.IsZero():
		case field.Type() == typeOf[Secret]() && v.FieldByName("PasswordFile").String() != "":
		default:
			m = append(m, yaml.MapItem{Key: key, Value: printValue(field, usual)})
		}
	}
	return m
}

func printValue(v, standard reflect.Value) any {
	if s, ok := scalars[v.Type()]; ok {
		if s.bare {
			return v.Interface()
		}
		return s.print(v)
	}
	switch v.Kind() {
	case reflect.Pointer:
		return printValue(v.Elem(), reflect.Zero(v.Type().Elem()))
	case reflect.Slice:
		list := make([]any, v.Len())
		for i := range list {
			list[i] = printItem(v.Index(i), i)
		}
		return list
	case reflect.Map:
		m := make(map[string]any, v.Len())
		for name, value := range v.Seq2() {
			m[name.String()] = printValue(value, reflect.Zero(value.Type()))
		}
		return m // encoded in the order of its names
	default:
		return printStruct(v, standard)
	}
}

// printItem prints an item of a list; a smarthost in the short form where that
// says it all.
func printItem(v reflect.Value, place int) any {
	if s, ok := v.Interface().(Smarthost); ok {
		if s.Weight == 1 && s.Priority == place {
			return s.URL
		}
		return yaml.MapSlice{
			{Key: "url", Value: s.URL}, {Key: "priority", Value: s.Priority}, {Key: "weight", Value: s.Weight},
		}
	}
	return printValue(v, reflect.Zero(v.Type()))
}
