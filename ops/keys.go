package ops

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/casparian-flow/casparian-worker/protocol/link/curve"
)

// GenerateKeys makes a pair of CURVE keys: the secret one in the file path, which
// only its owner may read, and the public one in path.pub, each a line of Z85 as
// libzmq has it. It never writes over a file. It gives the public key.
func GenerateKeys(path string) (public string, err error) {
	for _, name := range []string{path, path + ".pub"} {
		if _, err := os.Lstat(name); !errors.Is(err, fs.ErrNotExist) {
			if err == nil {
				err = errors.New("it is there already, and no key is written over")
			}
			return "", fmt.Errorf("generate keys: %s: %w", name, err)
		}
	}
	pair, err := curve.Generate()
	if err != nil {
		return "", err
	}
	if err := writeNew(path, pair.SecretText(), 0o600); err != nil {
		return "", fmt.Errorf("generate keys: %w", err)
	}
	if err := writeNew(path+".pub", pair.Public.Text(), 0o644); err != nil {
		return "", errors.Join(fmt.Errorf("generate keys: %w", err), os.Remove(path))
	}
	return pair.Public.Text(), nil
}

// writeNew writes a line into a file that must not be there.
func writeNew(path, line string, mode fs.FileMode) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = file.WriteString(line + "\n")
	if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}
