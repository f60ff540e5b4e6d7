//go:build unix

package bridge

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestTheRuntimeFolderIsPrivate(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "a", "run")
	if err := os.MkdirAll(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	h := newHost(t, Options{Dir: dir})
	info, err := os.Stat(dir)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if info, err := os.Stat(h.shim); err != nil || info.Mode().Perm()&0o077 != 0 {
		t.Errorf("shim: %v, %v", info, err)
	}
}

// A worker's folder may be too deep for the 103 bytes of a socket's address.
func TestADeepRuntimeFolder(t *testing.T) {
	t.Parallel()
	deep := filepath.Join(t.TempDir(), strings.Repeat("deep/", 30))
	h := newHost(t, Options{Dir: deep})
	if h.socketDir == deep || !socketFolderFits(h.socketDir) {
		t.Fatalf("sockets are in %s", h.socketDir)
	}
	if info, err := os.Stat(h.socketDir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info, err)
	}
	collect(t, start(t, h, Spec{Source: []byte(publishesOne)})).mustSucceed(t)

	// A worker that dies leaves the folder and the note. The next one sweeps it and uses
	// it again: guests may look for it there.
	left := h.socketDir
	dead, err := listen(left)
	if err != nil {
		t.Fatal(err)
	}
	dead.(*unixListener).SetUnlinkOnClose(false)
	if err := dead.Close(); err != nil {
		t.Fatal(err)
	}
	next := newHost(t, Options{Dir: deep})
	if next.socketDir != left {
		t.Errorf("sockets are in %s, and were in %s", next.socketDir, left)
	}
	if sockets, _ := os.ReadDir(left); len(sockets) > 0 {
		t.Errorf("the dead worker's sockets are still there: %v", sockets)
	}
	h.removeDir, h.noteOfElse = "", "" // it is the dead worker
	if err := next.Close(); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{next.socketDir, filepath.Join(deep, socketsElsewhere)} {
		if _, err := os.Stat(path); !os.IsNotExist(err) {
			t.Errorf("%s is left: %v", path, err)
		}
	}
}

func TestTheSweepSparesWhatIsNotADeadSocket(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h := newHost(t, Options{Dir: dir})
	alive, err := listen(h.socketDir)
	if err != nil {
		t.Fatal(err)
	}
	defer alive.Close()
	file := filepath.Join(dir, "guest-notes.sock")
	if err := os.WriteFile(file, []byte("not a socket"), 0o600); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(file)
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, "guest-dead.sock"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	dead.Close()
	second, err := NewHost(Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	for path, want := range map[string]bool{alive.Address(): true, file: true, filepath.Join(dir, "guest-dead.sock"): false} {
		if _, err := os.Lstat(path); (err == nil) != want {
			t.Errorf("%s: there is %v, want %v", path, err == nil, want)
		}
	}
}

func TestShimsOfOtherVersionsAreCleared(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	old := filepath.Join(dir, "shim-0123456789abcdef")
	if err := os.MkdirAll(old, 0o700); err != nil {
		t.Fatal(err)
	}
	h := newHost(t, Options{Dir: dir})
	if _, err := os.Stat(old); err != nil {
		t.Errorf("the old shim is gone while guests may use it: %v", err)
	}
	earlier, err := NewHost(Options{Dir: dir})
	if err == nil {
		err = earlier.Close()
	}
	if _, gone := os.Stat(old); err != nil || !os.IsNotExist(gone) {
		t.Errorf("the old shim is there after a good end: %v, %v", err, gone)
	}
	// A file that somebody changed is put right again.
	if err := os.WriteFile(h.shim, []byte("raise SystemExit('tampered')\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	collect(t, start(t, newHost(t, Options{Dir: dir}), Spec{Source: []byte(publishesOne)})).mustSucceed(t)
}

func TestWrongOptionsAreRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, options := range map[string]Options{
		"no folder":           {},
		"a shim that is not":  {Dir: dir, Shim: filepath.Join(dir, "none.py")},
		"a folder as a shim":  {Dir: dir, Shim: dir},
		"a frame of nothing":  {Dir: dir, Limits: Limits{Frame: 1}},
		"a frame above 2 GiB": {Dir: dir, Limits: Limits{Frame: 1 << 31}},
		"a negative window":   {Dir: dir, Limits: Limits{Window: -1}},
		"a negative job time": {Dir: dir, Limits: Limits{Total: -time.Second}},
	} {
		t.Run(name, func(t *testing.T) {
			if h, err := NewHost(options); err == nil {
				h.Close()
				t.Error("it was taken")
			}
		})
	}
}

func TestTheGuestsEnvironment(t *testing.T) {
	t.Parallel()
	inherited := []string{"HOME=/home/someone", "PYTHONPATH=/elsewhere", "VIRTUAL_ENV=/venv", "NOTIFY_SOCKET=/run/systemd",
		"PYTHONHASHSEED=random", "BRIDGE_TOKEN=of another guest", MarkerVariable + "=of another guest"}
	env := guestEnvironment(inherited, Spec{JobID: 7, Env: []string{"EXTRA=1"}, Source: []byte("x = 1")}, "/socket", "mark", "token", false)
	want := []string{"HOME=/home/someone", "PYTHONHASHSEED=random", "PYTHONUNBUFFERED=1", "PYTHONFAULTHANDLER=1",
		"PYTHONIOENCODING=utf-8:backslashreplace", "EXTRA=1", MarkerVariable + "=mark", "BRIDGE_SOCKET=/socket", "BRIDGE_TOKEN=token"}
	if !slices.Equal(env, want) {
		t.Errorf("got  %q\nwant %q", env, want)
	}
	legacy := guestEnvironment(nil, Spec{JobID: 1<<64 - 1, FileVersionID: -3, FilePath: "/p", Source: []byte("x = 1")}, "/s", "m", "t", true)
	for _, want := range []string{"BRIDGE_PLUGIN_CODE=eCA9IDE=", "BRIDGE_FILE_PATH=/p", "BRIDGE_JOB_ID=18446744073709551615", "BRIDGE_FILE_VERSION_ID=-3"} {
		if !slices.Contains(legacy, want) {
			t.Errorf("%s is missing in %q", want, legacy)
		}
	}
}
