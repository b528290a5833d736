package config

import "slices"

// suggest returns `; did you mean "x"?` for the word nearest to what was written,
// or nothing if none is near.
func suggest(written string, words []string) string {
	best, distance := "", 3
	for _, w := range words {
		if d := editDistance(written, w); d < distance && d < len(w) {
			best, distance = w, d
		}
	}
	if best == "" {
		return ""
	}
	return `; did you mean "` + best + `"?`
}

// editDistance counts the insertions, deletions and replacements that turn a into
// b (Levenshtein), octet by octet.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], slices.Min([]int{row[j] + 1, row[j+1] + 1, diagonal + cost})
		}
	}
	return row[len(b)]
}
