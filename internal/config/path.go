package config

import "strconv"

// join returns the path of key below path: "retry" and "lifetime" make
// "retry.lifetime".
func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// index returns the path of the i-th item of a list: "listeners[0]".
func index(path string, i int) string {
	return path + "[" + strconv.Itoa(i) + "]"
}
