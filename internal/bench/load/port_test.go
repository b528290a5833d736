package load

import "testing"

// Ports of receivers that go and come back must not be taken by connections.
func TestFreePorts(t *testing.T) {
	ephemeral, err := firstEphemeral()
	if err != nil {
		t.Fatal(err)
	}
	ports, err := FreePorts(50)
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[uint16]bool)
	for _, p := range ports {
		if int(p) >= ephemeral || seen[p] {
			t.Errorf("port %d of %v, connections begin at %d", p, ports, ephemeral)
		}
		seen[p] = true
	}
}
