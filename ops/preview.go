package ops

import (
	"context"
	_ "embed"
	"fmt"
	"io"
	"net/url"
	"os/exec"
	"time"
)

//go:embed preview.py
var previewScript string

// previewTime is how long showing the files may take.
const previewTime = time.Minute

// Preview shows Parquet files with the pyarrow of the environment that made them:
// another program's reader than the writer's own.
func Preview(ctx context.Context, interpreter string, artifacts []string, out io.Writer) error {
	args := []string{"-c", previewScript}
	for _, artifact := range artifacts {
		u, err := url.Parse(artifact)
		if err != nil {
			return fmt.Errorf("show %s: %w", artifact, err)
		}
		args = append(args, u.Path)
	}
	ctx, cancel := context.WithTimeout(ctx, previewTime)
	defer cancel()
	command := exec.CommandContext(ctx, interpreter, args...)
	command.Stdout, command.Stderr = out, out
	command.WaitDelay = time.Second
	if err := command.Run(); err != nil {
		return fmt.Errorf("show the files with %s: %w", interpreter, err)
	}
	return nil
}
