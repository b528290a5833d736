package config

import (
	"slices"
	"strings"
)

// suggest returns `; did you mean "x"?` for the word nearest to what was written,
// or nothing if none is near.
func suggest(written string, words []string) string {
	best := nearest(written, words)
	if best == "" {
		return ""
	}
	return `; did you mean "` + best + `"?`
}

// outdented returns a hint for a key at the top level that belongs below another
// one, or nothing.
func outdented(key string) string {
	var parents []string
	for known := range describe {
		if parent, name, ok := strings.Cut(known, "."); ok && name == key {
			parents = append(parents, strings.TrimSuffix(parent, "[]"))
		}
	}
	if len(parents) == 0 {
		return ""
	}
	slices.Sort(parents)
	return "; it belongs below " + strings.Join(parents, " or ") + ", indented"
}

// nearest returns the word that was meant, as far as that can be told: two slips
// of the finger in a word of six octets or more, one in a shorter one. Of short
// words any two are near each other, and a hint that is no help misleads.
func nearest(written string, words []string) string {
	best, distance := "", 3
	for _, w := range words {
		allowed := 1
		if min(len(written), len(w)) >= 6 {
			allowed = 2
		}
		if d := editDistance(strings.ToLower(written), w); d < distance && d <= allowed && d < len(w) {
			best, distance = w, d
		}
	}
	return best
}

// editDistance counts the insertions, deletions, replacements and exchanges of
// neighbours that turn a into b, octet by octet (the restricted distance of
// Damerau and Levenshtein).
func editDistance(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}
