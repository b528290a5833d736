package config

// StringList is a list that may be written as a single string.
type StringList []string
