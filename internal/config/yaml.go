package config

import (
	"bytes"
	"errors"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// maxDepth is how deep the file may nest. No key is deeper than 4.
const maxDepth = 16

// parseYAML reads one YAML document into a node. Only the plain part of YAML is
// taken: no anchors, aliases, tags or merge keys, so that every value stands
// where it acts. It returns nil after noting a fault if there is no telling what
// the rest means.
func parseYAML(text []byte, f *faults) *node {
	text = bytes.TrimPrefix(text, []byte("\ufeff")) // as some editors begin a file
	file, err := parser.ParseBytes(text, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		var syntax yaml.Error
		if errors.As(err, &syntax) && syntax.GetToken() != nil {
			f.add(position{line: syntax.GetToken().Position.Line}, "", "not YAML: %s", remedied(oneLine(syntax.GetMessage())))
		} else {
			f.add(position{}, "", "not YAML: %s", oneLine(err.Error()))
		}
		return nil
	}
	var body ast.Node
	for _, doc := range file.Docs {
		if doc == nil || doc.Body == nil {
			continue
		}
		if _, comment := doc.Body.(*ast.CommentGroupNode); comment {
			continue
		}
		if body != nil {
			f.add(lineOf(doc.Body), "", "a second YAML document; the configuration is one")
			return nil
		}
		body = doc.Body
	}
	r := &yamlReader{faults: f}
	return r.node(body, "", 0)
}

// oneLine makes one line of what the library says, and tabs in it visible.
func oneLine(s string) string {
	return strings.Join(strings.Fields(strings.ReplaceAll(s, "'\t'", "tab")), " ")
}

// remedied adds to what the library says what a writer may do about it.
func remedied(text string) string {
	switch {
	case strings.Contains(text, "tab"):
		return text + "; indent with spaces"
	case strings.Contains(text, "not allowed in this context"):
		return text + "; look at the indentation of this line and of the one before"
	case strings.Contains(text, "reserved character"):
		return text + "; put the value in quotes"
	}
	return text
}

func lineOf(n ast.Node) position {
	if t := n.GetToken(); t != nil && t.Position != nil {
		return position{line: t.Position.Line}
	}
	return position{}
}

// yamlReader turns the syntax tree of the library into nodes.
type yamlReader struct {
	faults *faults
}

func (r *yamlReader) node(n ast.Node, path string, depth int) *node {
	if n == nil {
		return &node{}
	}
	at := lineOf(n)
	if depth > maxDepth {
		r.faults.add(at, path, "nested too deep")
		return &node{position: at}
	}
	switch n := n.(type) {
	case *ast.NullNode, *ast.CommentGroupNode:
		return &node{position: at}
	case *ast.MappingNode:
		return r.mapping(n, n.Values, path, depth)
	case *ast.MappingValueNode:
		return r.mapping(n, []*ast.MappingValueNode{n}, path, depth)
	case *ast.SequenceNode:
		list := &node{position: at, shape: shapeSequence}
		for i, v := range n.Values {
			list.items = append(list.items, r.node(v, index(path, i), depth+1))
		}
		return list
	case *ast.StringNode:
		return &node{position: at, shape: shapeScalar, text: n.Value, quoted: isQuoted(n)}
	case *ast.LiteralNode:
		return &node{position: at, shape: shapeScalar, text: n.Value.Value, quoted: true}
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return &node{position: at, shape: shapeScalar, text: n.GetToken().Value}
	}
	r.faults.add(at, path, "anchors, aliases, tags and merge keys are not taken here; write the value itself")
	return &node{position: at}
}

// isQuoted reports whether a string was written in quotes. The token's origin
// begins with the white space before it.
func isQuoted(n *ast.StringNode) bool {
	origin := strings.TrimLeft(n.GetToken().Origin, " \t\r\n")
	return strings.HasPrefix(origin, `"`) || strings.HasPrefix(origin, "'")
}

func (r *yamlReader) mapping(n ast.Node, values []*ast.MappingValueNode, path string, depth int) *node {
	m := &node{position: lineOf(n), shape: shapeMapping}
	seen := make(map[string]int)
	for _, v := range values {
		key, ok := v.Key.(ast.Node)
		if !ok || v.Key.IsMergeKey() {
			r.faults.add(lineOf(v), path, "anchors, aliases, tags and merge keys are not taken here; write the value itself")
			continue
		}
		at := lineOf(key)
		name := keyName(key)
		if len(m.entries) == 0 {
			m.position = at
		}
		full := join(path, name)
		if first, dup := seen[name]; dup {
			r.faults.add(at, full, "stands twice; it was first set in line %d", first)
			continue
		}
		seen[name] = at.line
		child := r.node(v.Value, full, depth+1)
		if child.line == 0 || child.shape != shapeScalar {
			child.position = at
		}
		m.entries = append(m.entries, entry{position: at, key: name, value: child})
	}
	return m
}

func keyName(key ast.Node) string {
	if s, ok := key.(*ast.StringNode); ok {
		return s.Value
	}
	return key.GetToken().Value
}
