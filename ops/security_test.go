package ops

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/casparian-flow/casparian-worker/protocol/link/curve"
)

func write(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func checked(t *testing.T, args ...string) (Config, error) {
	t.Helper()
	config, _, err := load(t, append([]string{"--connect", "tcp://127.0.0.1:5555"}, args...)...)
	if err == nil {
		err = config.Resolve()
	}
	if err == nil {
		err = config.Check()
	}
	return config, err
}

func TestKeysAndPasswordsComeFromFilesOrVariables(t *testing.T) {
	server, err := curve.Generate()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "worker.key")
	public, err := GenerateKeys(path)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}

	config, err := checked(t, "--curve-server-key", server.Public.Text(), "--curve-secret-key-file", path)
	client, plain, cerr := config.credentials()
	if err := errors.Join(err, cerr); err != nil || plain != nil || client.Server != server.Public || client.Keys.Public.Text() != public {
		t.Errorf("from a file: %v, %v, %v", client, plain, err)
	}
	t.Run("a key from a variable", func(t *testing.T) {
		t.Setenv("CASPARIAN_CURVE_SECRET_KEY", string(secret))
		config, err := checked(t, "--curve-server-key", server.Public.Text())
		client, _, cerr := config.credentials()
		if err := errors.Join(err, cerr); err != nil || client.Keys.Public.Text() != public {
			t.Errorf("%v, %v", client, err)
		}
		if shown := config.Value("CASPARIAN_CURVE_SECRET_KEY"); shown != "(hidden)" {
			t.Errorf("it is shown as %q", shown)
		}
	})
	t.Run("no key: one is made", func(t *testing.T) {
		config, err := checked(t, "--curve-server-key", server.Public.Text())
		client, _, cerr := config.credentials()
		if err := errors.Join(err, cerr); err != nil || client.Keys.Public == (curve.Key{}) || client.Keys.Public.Text() == public {
			t.Errorf("%v, %v", client, err)
		}
	})
	t.Run("a password", func(t *testing.T) {
		config, err := checked(t, "--plain-username", "w", "--plain-password-file", write(t, "password", "geheim\n"))
		client, plain, cerr := config.credentials()
		if err := errors.Join(err, cerr); err != nil || client != nil || plain.Username != "w" || plain.Password != "geheim" {
			t.Errorf("%v, %v, %v", client, plain, err)
		}
	})
}

func TestSecurityThatCannotWorkIsRefusedByName(t *testing.T) {
	server, err := curve.Generate()
	if err != nil {
		t.Fatal(err)
	}
	key, garbage := write(t, "key", server.SecretText()), write(t, "garbage", "no-key-at-all")
	good := []string{"--curve-server-key", server.Public.Text()}
	for _, c := range []struct {
		name     string
		args     []string
		variable string // CASPARIAN_CURVE_SECRET_KEY
		want     string
	}{
		{"no key", []string{"--curve-server-key", "short"}, "", "curve-server-key"},
		{"a file of the key", []string{"--curve-server-key", key}, "", "is a file"},
		{"no file", append(good, "--curve-secret-key-file", "/nowhere/key"), "", "curve-secret-key-file"},
		{"a file without a key", append(good, "--curve-secret-key-file", garbage), "", "curve-secret-key-file"},
		{"a variable without a key", good, "no-key-at-all", "CASPARIAN_CURVE_SECRET_KEY"},
		{"a key twice", append(good, "--curve-secret-key-file", key), server.SecretText(), "CASPARIAN_CURVE_SECRET_KEY"},
		{"a key for no server", []string{"--curve-secret-key-file", key}, "", "curve-server-key"},
		{"both mechanisms", append(good, "--plain-username", "w", "--plain-password-file", key), "", "plain-username"},
		{"no password", []string{"--plain-username", "w"}, "", "plain-password-file"},
		{"no name", []string{"--plain-password-file", key}, "", "plain-username"},
		{"a long name", []string{"--plain-username", strings.Repeat("w", 256), "--plain-password-file", key}, "", "plain-username"},
		{"CURVE is required", []string{"--connect", "tcp://sentinel:5555", "--require-curve"}, "", "require-curve"},
		{"for every address", []string{"--connect", "tcp://127.0.0.1:1,tcp://10.0.0.7:1", "--require-curve=true"}, "", "require-curve"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.variable != "" {
				t.Setenv("CASPARIAN_CURVE_SECRET_KEY", c.variable)
			}
			_, err := checked(t, c.args...)
			var option *OptionError
			if !errors.As(err, &option) || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v", err)
			}
			for _, secret := range []string{"no-key-at-all", server.SecretText()} {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("the message tells the secret: %v", err)
				}
			}
		})
	}
}

func TestAnAddressThatLeavesTheMachineIsExposed(t *testing.T) {
	for address, exposed := range map[string]bool{
		"tcp://127.0.0.1:1": false, "tcp://[::1]:1": false, "tcp://localhost:1": false, "ipc:///run/s": false,
		"tcp://10.0.0.1:1": true, "tcp://sentinel:1": true, "tcp://[fe80::1]:1": true,
	} {
		config := Config{Connect: List{"tcp://127.0.0.1:1", address}}
		if got := config.Exposed(); (got != "") != exposed || exposed && !strings.Contains(got, address) {
			t.Errorf("%s: %q", address, got)
		}
		config.CurveServerKey = "given"
		if got := config.Exposed(); got != "" {
			t.Errorf("%s with CURVE: %q", address, got)
		}
	}
}

func TestNoKeyIsWrittenOver(t *testing.T) {
	for _, there := range []string{"k", "k.pub"} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, there), []byte("precious"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := GenerateKeys(filepath.Join(dir, "k")); err == nil || !strings.Contains(err.Error(), "there already") {
			t.Errorf("%s is there: %v", there, err)
		}
		files, err := os.ReadDir(dir)
		if content, _ := os.ReadFile(filepath.Join(dir, there)); err != nil || string(content) != "precious" || len(files) != 1 {
			t.Errorf("%s now holds %q, of %d files", there, content, len(files))
		}
	}
}
