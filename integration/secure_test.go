//go:build linux

package integration

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/casparian-flow/casparian-worker/integration/harness"
	"github.com/casparian-flow/casparian-worker/integration/parts"
	"github.com/casparian-flow/casparian-worker/protocol"
	"github.com/casparian-flow/casparian-worker/protocol/link/curve"
)

// An operator makes keys, gives the public one to a libzmq ROUTER that lets nobody
// else in, asks the doctor, and starts the worker: its IDENTIFY arrives.
func TestWorkerComesInWithItsKey(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	key := filepath.Join(folder, "worker.key")
	if output, err := exec.Command(harness.Binary(t, true), "keys", "generate", key).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v", output, err)
	}
	public, err := os.ReadFile(key + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	server, err := curve.Generate()
	if err != nil {
		t.Fatal(err)
	}
	endpoint, messages := startSecureRouter(t, map[string]any{
		"public": server.Public.Text(), "secret": server.SecretText(), "clients": []string{strings.TrimSpace(string(public))}})
	security := []string{"--curve-server-key", server.Public.Text(), "--curve-secret-key-file", key}

	output, err := exec.Command(harness.Binary(t, true), append([]string{"doctor", "--connect", endpoint, "--plugins", "sales",
		"--state-dir", folder, "--output", folder, "--venvs-dir", folder,
		"--uv", filepath.Join(filepath.Dir(parts.Python(t)), "uv")}, security...)...).CombinedOutput()
	if err != nil || !strings.Contains(string(output), "a ROUTER answers") || !strings.Contains(string(output), "security       CURVE\n") {
		t.Errorf("the doctor (%v) says:\n%s", err, output)
	}
	lonely(t, endpoint, security...)
	select {
	case frames := <-messages:
		message, err := protocol.Decode(frames)
		if err != nil || message.Payload.Op() != protocol.OpIdentify {
			t.Errorf("the first message is %v, %v", message, err)
		}
	case <-time.After(harness.Patience):
		t.Fatal("no message came")
	}
}

// startSecureRouter starts the link's own ROUTER on libzmq, with CURVE.
func startSecureRouter(t *testing.T, keys map[string]any) (endpoint string, messages <-chan [][]byte) {
	t.Helper()
	config, err := json.Marshal(map[string]any{"bind": "tcp://127.0.0.1:*", "curve": keys})
	if err != nil {
		t.Fatal(err)
	}
	router := exec.Command(parts.Python(t), filepath.Join(parts.Root(t), "protocol/link/testdata/router.py"), string(config))
	router.Stderr = os.Stderr
	hold, err := router.StdinPipe() // its end would end the router
	if err != nil {
		t.Fatal(err)
	}
	reports, err := router.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := router.Start(); err != nil {
		t.Fatal(err)
	}
	got, read := make(chan [][]byte, 100), make(chan struct{})
	t.Cleanup(func() {
		_ = router.Process.Kill()
		<-read
		hold.Close()
		_ = router.Wait() // a killed process has an error
	})
	lines := bufio.NewReader(reports)
	first, _ := lines.ReadBytes('\n') // of a router that does not start, nothing
	var begun struct{ Endpoint string }
	if err := json.Unmarshal(first, &begun); err != nil {
		close(read)
		t.Fatalf("the router says %q: %v", first, err)
	}
	go func() {
		defer close(read)
		for {
			line, err := lines.ReadBytes('\n')
			if err != nil {
				return
			}
			var report struct{ Frames [][]byte }
			if json.Unmarshal(line, &report) == nil && len(report.Frames) > 0 {
				select {
				case got <- report.Frames:
				default: // enough came
				}
			}
		}
	}()
	return begun.Endpoint, got
}
