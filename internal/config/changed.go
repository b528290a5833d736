package config

import "reflect"

// Changed returns the top-level keys whose values differ between two
// configurations, in the order of the types. A secret counts as part of the key it
// belongs to; what other files hold (users, certificates) is in no configuration.
func Changed(a, b *Config) []string {
	var keys []string
	old, now := reflect.ValueOf(a).Elem(), reflect.ValueOf(b).Elem()
	for i := range old.NumField() {
		key := keyOf(old.Type().Field(i))
		if key != "" && !reflect.DeepEqual(old.Field(i).Interface(), now.Field(i).Interface()) {
			keys = append(keys, key)
		}
	}
	return keys
}
