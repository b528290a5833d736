package relay

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// decoyKeySize is in octets.
const decoyKeySize = 32

// loadDecoyKey reads the key of what clients see of users who don't exist
// (policy.AuthOptions) from the state directory, and makes it if there is none. It has
// to outlive the process: salts that change at a restart are nobody's.
func loadDecoyKey(stateDir string) ([]byte, error) {
	file := filepath.Join(stateDir, "decoy-key")
	key, err := os.ReadFile(file)
	switch {
	case err == nil && len(key) >= decoyKeySize:
		return key, nil
	case err == nil && len(key) > 0: // perhaps another replica's, so it is left alone
		return nil, fmt.Errorf("%s: %d octets, where a key has at least %d", file, len(key), decoyKeySize)
	case err == nil, errors.Is(err, fs.ErrNotExist):
		key = make([]byte, decoyKeySize)
		rand.Read(key) // never fails (crypto/rand)
		err = replace(file, key, 0o600)
	}
	if err != nil {
		return nil, fmt.Errorf("key of decoys: %w", err)
	}
	return key, nil
}
