package config

import (
	"encoding/json"
	"maps"
	"reflect"
	"strings"
)

// Schema returns a JSON Schema (draft 2020-12) of the file, for editors. It tells
// keys, types and words; what depends on several keys only Load can tell.
func Schema() ([]byte, error) {
	s := schemaOf("", typeOf[Config]())
	s["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	s["title"] = "Postrider configuration"
	return json.MarshalIndent(s, "", "  ")
}

func schemaOf(path string, t reflect.Type) map[string]any {
	s := shapeSchema(path, t)
	if text := describe[path]; text != "" {
		s["description"] = strings.ReplaceAll(text, "`", "")
	}
	return s
}

func shapeSchema(path string, t reflect.Type) map[string]any {
	if one, ok := scalars[t]; ok {
		return maps.Clone(one.schema)
	}
	switch t.Kind() {
	case reflect.Pointer:
		return shapeSchema(path, t.Elem())
	case reflect.Map:
		return map[string]any{"type": "object", "additionalProperties": schemaOf(path+".*", t.Elem())}
	case reflect.Slice:
		list := map[string]any{"type": "array", "items": schemaOf(path+"[]", t.Elem())}
		if t == typeOf[StringList]() {
			return map[string]any{"anyOf": []any{map[string]any{"type": "string"}, list}}
		}
		if path == "listeners" {
			list["minItems"] = 1
		}
		return list
	}
	properties := make(map[string]any)
	for i := range t.NumField() {
		if key := keyOf(t.Field(i)); key != "" {
			properties[key] = schemaOf(join(path, key), t.Field(i).Type)
		}
	}
	mapping := map[string]any{"type": "object", "additionalProperties": false, "properties": properties}
	switch t {
	case typeOf[Config]():
		mapping["required"] = []string{"listeners"}
	case typeOf[Listener]():
		mapping["required"] = []string{"address"}
	case typeOf[CertificateIdentity]():
		mapping["required"] = []string{"subject", "identity"}
	case typeOf[Smarthost]():
		mapping["required"] = []string{"url"}
		return map[string]any{"anyOf": []any{map[string]any{"type": "string", "format": "uri"}, mapping}}
	}
	return mapping
}
