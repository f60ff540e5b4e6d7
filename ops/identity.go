package ops

import (
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Identity gives the worker's name towards the Sentinel: the configured one, or
// the one kept in the state folder, which is made at the first start. It has to
// stay the same over restarts, since the Sentinel never forgets an identity and
// would give jobs to one that is gone (observed).
func Identity(stateDir, configured string) (string, error) {
	kept, err := keptIdentity(stateDir)
	if err != nil {
		return "", err
	}
	id := cmp.Or(configured, kept)
	if id == "" {
		id = newIdentity()
	}
	if id == kept {
		return id, nil
	}
	return id, writeFile(identityFile(stateDir), []byte(id+"\n"))
}

func identityFile(stateDir string) string { return filepath.Join(stateDir, "worker-id") }

// keptIdentity is the name of the worker that used the state folder last, "" if
// none did.
func keptIdentity(stateDir string) (string, error) {
	kept, err := os.ReadFile(identityFile(stateDir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("read the worker's identity: %w", err)
	}
	return strings.TrimSpace(string(kept)), nil
}

// newIdentity is readable for a person and unique for a fleet of cloned machines.
func newIdentity() string {
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "worker"
	}
	host = strings.ToValidUTF8(host[:min(len(host), 64)], "")
	var unique [4]byte
	rand.Read(unique[:]) // never fails
	return host + "-" + hex.EncodeToString(unique[:])
}

// writeFile replaces a small file so that a crash leaves the old or the new one.
func writeFile(path string, content []byte) error {
	temporary, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	defer os.Remove(temporary.Name())
	_, err = temporary.Write(content)
	err = errors.Join(err, temporary.Sync(), temporary.Close())
	if err != nil {
		return err
	}
	if err := os.Rename(temporary.Name(), path); err != nil {
		return err
	}
	folder, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer folder.Close()
	_ = folder.Sync() // Windows has no such thing; the rename itself is atomic
	return nil
}
