package main

import (
	"encoding/json"
	"io"
)

// newEncoder returns what writes for --json: one value a line. Angle brackets
// stay as they are: addresses have them, and nobody puts this into a web page.
func newEncoder(w io.Writer) *json.Encoder {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e
}
