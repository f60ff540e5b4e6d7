package venv

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

// System is the hash under which the machine's own Python goes. Newer
// Sentinels send it in place of a real hash.
const System = "system"

// HashLockfile gives the env_hash of a lockfile: SHA-256 of its text, in
// lower-case hex.
func HashLockfile(content string) string {
	sum := sha256.Sum256([]byte(content))
	return hex.EncodeToString(sum[:])
}

// HashError says that a name cannot be an env_hash. Nothing on disk was touched.
type HashError struct {
	Hash string // as it came; it may be long and hold anything
}

func (e *HashError) Error() string {
	shown, more := e.Hash, ""
	if len(shown) > 80 {
		shown, more = shown[:80], "…"
	}
	return fmt.Sprintf("env_hash %q%s is neither %q nor the 64 lower-case hex digits of a SHA-256", shown, more, System)
}

// checkHash lets through `system` and a hex SHA-256 and nothing else, so that a
// hash can be used as a file name: it holds no separator, no dots and no NUL.
func checkHash(hash string) error {
	if hash == System {
		return nil
	}
	if len(hash) != hex.EncodedLen(sha256.Size) {
		return &HashError{Hash: hash}
	}
	for i := range len(hash) {
		c := hash[i]
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return &HashError{Hash: hash}
		}
	}
	return nil
}

// maxName is the longest folder name that Lookup takes.
const maxName = 128

// checkName lets through the name of any folder that an environment may have been
// put under by hand: one path element of letters, digits, '.', '_' and '-' that
// does not begin with a dot. Only what this worker builds must be named by a hash.
func checkName(name string) error {
	if name == "" || len(name) > maxName || name[0] == '.' {
		return &HashError{Hash: name}
	}
	for i := range len(name) {
		c := name[i]
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && c != '.' && c != '_' && c != '-' {
			return &HashError{Hash: name}
		}
	}
	return nil
}

// short is the part of a hash that people are shown.
func short(hash string) string {
	if len(hash) > 12 {
		return hash[:12]
	}
	return hash
}
