package policy

import "testing"

// TestVerifiersOfOthers: hashes that other programs made.
func TestVerifiersOfOthers(t *testing.T) {
	for _, row := range []struct{ reason, stored, password string }{
		{"crypt(3)", "$2b$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a", "secret"},
		{"htpasswd -B writes $2y$", "$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a", "secret"},
		{"argon2id, test vector of the reference implementation", "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4", "password"},
		{"SCRAM, the example of RFC 7677 as PostgreSQL stores it", "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=", "pencil"},
	} {
		v, err := parseVerifier(row.stored)
		if err != nil {
			t.Errorf("%s: %v", row.reason, err)
			continue
		}
		if !v.Verify(row.password) || v.Verify(row.password+" ") || v.Verify("") {
			t.Errorf("%s: the password is not the password, or others are too", row.reason)
		}
		if v.String() != row.stored {
			t.Errorf("%s: written %s", row.reason, v)
		}
	}
}
