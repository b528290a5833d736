package mail

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func TestIDs(t *testing.T) {
	now := time.Date(2026, 11, 22, 5, 0, 0, 123e6, time.UTC)
	a, b, later := NewID(now), NewID(now), NewID(now.Add(time.Millisecond))
	if a == b {
		t.Error("two messages of one ID")
	}
	if a.Compare(later) >= 0 || FirstID(now).Compare(a) > 0 || FirstID(now.Add(time.Millisecond)).Compare(a) <= 0 {
		t.Error("IDs don't sort by arrival")
	}
	if !a.Time().Equal(now) {
		t.Errorf("arrived %v, not %v", a.Time(), now)
	}
	for _, s := range []string{a.String(), strings.ToLower(a.String())} {
		if again, err := ParseID(s); again != a || err != nil {
			t.Errorf("%s read again is %s, %v", s, again, err)
		}
	}
	text, _ := json.Marshal(a)
	var again ID
	if err := json.Unmarshal(text, &again); err != nil || again != a || len(text) != 28 {
		t.Errorf("%s read again is %s, %v", text, again, err)
	}
	for _, s := range []string{"", "01J", strings.Repeat("U", 26), a.String() + "0", "../../../../etc/passwd0000", "8ZZZZZZZZZZZZZZZZZZZZZZZZZ"} {
		if _, err := ParseID(s); err == nil {
			t.Errorf("%q is an ID", s)
		}
	}
	if a.IsZero() || !(ID{}).IsZero() {
		t.Error("zero")
	}
}
