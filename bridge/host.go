package bridge

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// Options say how a host runs its guests.
type Options struct {
	// Dir is a private folder for sockets and the shim. It is created with mode
	// 0700, also when it exists with another one. When its path is too long for a
	// socket's address (28 bytes are needed behind it, of 103), sockets go to
	// a fresh folder under os.TempDir, which the file sockets-elsewhere in Dir names.
	Dir string
	// Shim is the path of a shim of the field to run in place of the worker's own.
	// It may speak version 1 or 2.
	Shim   string
	Limits Limits
	// Patience is how long a guest waits for another worker when this one dies; 0 = it
	// dies too. Linux only, and not for a shim of the field.
	Patience time.Duration
	// Warm guests are not for a shim of the field.
	Warm Warm
	// Logger is told of refused connections, and of warm interpreters.
	Logger *slog.Logger
}

// Limits bound what a guest can cost. A field that is 0 has the default that its
// comment names.
type Limits struct {
	Connect time.Duration // until the guest has connected: 30 s; below 0: no limit
	Silence time.Duration // nothing from a guest that could send: 10 min; below 0: no limit
	Total   time.Duration // the whole job: 0 = no limit
	Frame   int64         // bytes of one frame: 256 MiB; at most 2 GiB - 1
	Output  int           // bytes kept of stdout and stderr together: 64 KiB
	Window  int           // batches that a guest may be ahead of Acknowledge: 4
	// Version 2 guests cut what a plugin yields into batches of at most this size.
	SliceRows  int // 65,536
	SliceBytes int // 4 MiB
}

func (l Limits) withDefaults() (Limits, error) {
	setDefault(&l.Connect, 30*time.Second)
	setDefault(&l.Silence, 10*time.Minute)
	setDefault(&l.Frame, 256<<20)
	setDefault(&l.Output, 64<<10)
	setDefault(&l.Window, 4)
	setDefault(&l.SliceRows, 64<<10)
	setDefault(&l.SliceBytes, 4<<20)
	switch {
	case l.Total < 0:
		return l, fmt.Errorf("bridge limits: a job time of %s", l.Total)
	case l.Frame < 1<<10 || l.Frame > 1<<31-1:
		return l, fmt.Errorf("bridge limits: a frame limit of %d bytes: it is between 1 KiB and 2 GiB - 1", l.Frame)
	case l.Output < 1 || l.Window < 1 || l.SliceRows < 1 || l.SliceBytes < 1:
		return l, fmt.Errorf("bridge limits: output %d, window %d, slice rows %d, slice bytes %d: each is at least 1",
			l.Output, l.Window, l.SliceRows, l.SliceBytes)
	}
	if int64(l.SliceBytes) > l.Frame/2 {
		l.SliceBytes = int(l.Frame / 2) // room for the schema and for estimates that were low
	}
	return l, nil
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Host starts guests. One per worker process; its methods may be called from
// any goroutine.
type Host struct {
	limits     Limits
	patience   time.Duration // 0: guests die with the worker
	keepLate   time.Duration // after which a guest keeps batches on the disk, too
	dir        string
	marker     string          // how the markers of all its processes begin
	strays     map[string]bool // markers of what was there before
	logger     *slog.Logger
	shim       string // what the interpreter is given to run
	custom     bool   // the shim is not ours
	socketDir  string
	removeDir  string // the folder to remove at the end, when sockets are elsewhere
	noteOfElse string // the file that names it
	launcher   *launcher
	warm       *warmPool // nil: every guest starts cold
	learned    *learned  // nil: imports are not learned
	census     census

	starting sync.WaitGroup // calls of Start

	mu     sync.Mutex
	guests map[*Guest]struct{}
	closed bool
}

//go:embed guest/shim.py guest/casparian_guest/*.py
var embedded embed.FS

// NewHost prepares the runtime folder: the shim is written, and sockets that a
// dead worker left are removed.
func NewHost(o Options) (*Host, error) {
	limits, err := o.Limits.withDefaults()
	if err != nil {
		return nil, err
	}
	if o.Dir == "" {
		return nil, errors.New("bridge: no runtime folder is given")
	}
	warm, err := o.Warm.withDefaults()
	if err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("bridge folder %s: %w", o.Dir, err)
	}
	if err := privateFolder(dir); err != nil {
		return nil, err
	}
	h := &Host{
		limits: limits, dir: dir, logger: o.Logger, custom: o.Shim != "", keepLate: KeepLate,
		guests: make(map[*Guest]struct{}),
	}
	if canOutlive && !h.custom {
		h.patience = max(0, o.Patience)
	}
	if h.logger == nil {
		h.logger = slog.New(slog.DiscardHandler)
	}
	if h.custom {
		if h.shim, err = filepath.Abs(o.Shim); err != nil {
			return nil, fmt.Errorf("guest shim %s: %w", o.Shim, err)
		}
		if info, err := os.Stat(h.shim); err != nil {
			return nil, fmt.Errorf("guest shim: %w", err)
		} else if !info.Mode().IsRegular() {
			return nil, fmt.Errorf("guest shim %s is not a file", h.shim)
		}
	} else if h.shim, err = installShim(dir); err != nil {
		return nil, err
	}
	if h.marker, err = sharedMarker(dir); err != nil {
		return nil, err
	}
	if err := h.findStrays(); err != nil {
		return nil, err
	}
	if err := h.placeSockets(dir); err != nil {
		return nil, err
	}
	h.launcher = newLauncher()
	if warm.Interpreters > 0 && !h.custom {
		h.warm = newWarmPool(warm, h.logger, h.startForkServer)
		if warm.Learn {
			h.learned = openLearned(dir)
		}
	}
	return h, nil
}

func privateFolder(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("bridge folder: %w", err)
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return fmt.Errorf("bridge folder must be the worker's own: %w", err)
	}
	return nil
}

// socketsElsewhere holds the path of the folder under os.TempDir, for the next
// worker to sweep.
const socketsElsewhere = "sockets-elsewhere"

func (h *Host) placeSockets(dir string) error {
	if err := sweepSockets(dir); err != nil {
		return err
	}
	note := filepath.Join(dir, socketsElsewhere)
	earlier := ""
	if text, err := os.ReadFile(note); err == nil {
		earlier = strings.TrimSpace(string(text))
	}
	if socketFolderFits(dir) {
		sweepElsewhere(earlier)
		h.socketDir = dir
		return nil
	}
	if usableElsewhere(earlier) { // guests of an earlier worker look for this one there
		if err := sweepSockets(earlier); err != nil {
			return err
		}
		h.socketDir, h.removeDir, h.noteOfElse = earlier, earlier, note
		return nil
	}
	elsewhere, err := os.MkdirTemp("", elsewherePrefix) // mode 0700
	if err != nil {
		return fmt.Errorf("bridge folder for sockets: %w", err)
	}
	if !socketFolderFits(elsewhere) {
		_ = os.Remove(elsewhere)
		return fmt.Errorf("bridge folder: neither %s nor %s is short enough for a socket; set TMPDIR to a shorter path", dir, elsewhere)
	}
	if err := os.WriteFile(note, []byte(elsewhere+"\n"), 0o600); err != nil {
		_ = os.Remove(elsewhere)
		return fmt.Errorf("bridge folder: %w", err)
	}
	h.socketDir, h.removeDir, h.noteOfElse = elsewhere, elsewhere, note
	return nil
}

// elsewherePrefix is short: on macOS os.TempDir alone takes half of an address.
const elsewherePrefix = "casp-guests-"

// usableElsewhere tells whether the folder that an earlier worker used is still
// there, and nobody else's.
func usableElsewhere(folder string) bool {
	if !strings.HasPrefix(filepath.Base(folder), elsewherePrefix) || !socketFolderFits(folder) {
		return false
	}
	info, err := os.Lstat(folder)
	return err == nil && info.IsDir() && info.Mode().Perm() == 0o700 && ours(info)
}

// sweepElsewhere empties the folder that an earlier worker used. It removes
// nothing but dead sockets and the empty folder, whatever the note says.
func sweepElsewhere(folder string) {
	if !strings.HasPrefix(filepath.Base(folder), elsewherePrefix) {
		return
	}
	if info, err := os.Lstat(folder); err != nil || !info.IsDir() {
		return
	}
	if err := sweepSockets(folder); err == nil {
		_ = os.Remove(folder)
	}
}

// installShim writes the shim into a folder that is named after its content, so
// that workers of several versions can share dir, and Python its compiled files.
// It returns the path of shim.py.
func installShim(dir string) (string, error) {
	sum := sha256.New()
	var names []string
	err := fs.WalkDir(embedded, "guest", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := embedded.ReadFile(path)
		names = append(names, path)
		fmt.Fprintf(sum, "%s %d\n", path, len(content))
		_, _ = sum.Write(content)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("read the embedded guest shim: %w", err)
	}
	folder := filepath.Join(dir, "shim-"+hex.EncodeToString(sum.Sum(nil))[:16])
	for _, name := range names {
		content, err := embedded.ReadFile(name)
		if err != nil {
			return "", fmt.Errorf("read the embedded guest shim: %w", err)
		}
		path := filepath.Join(folder, filepath.FromSlash(strings.TrimPrefix(name, "guest/")))
		if err := replaceFile(path, content); err != nil {
			return "", fmt.Errorf("install the guest shim: %w", err)
		}
	}
	return filepath.Join(folder, "shim.py"), nil
}

// replaceFile writes content unless it is there already, in one step: a guest
// of another worker may be reading it.
func replaceFile(path string, content []byte) error {
	if present, err := os.ReadFile(path); err == nil && string(present) == string(content) {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	fresh := path + "." + randomName()[:8]
	if err := os.WriteFile(fresh, content, 0o600); err != nil {
		return err
	}
	if err := os.Rename(fresh, path); err != nil {
		_ = os.Remove(fresh)
		return err
	}
	return nil
}

// removeOtherShims clears away the shims of earlier versions, at the end: guests that
// an earlier worker started may go on with one of them. What cannot be removed does
// no harm.
func removeOtherShims(dir, current string) {
	old, _ := filepath.Glob(filepath.Join(dir, "shim-*"))
	for _, folder := range old {
		if filepath.Base(folder) != current {
			_ = os.RemoveAll(folder)
		}
	}
}

// Start starts a guest, warm or cold. The context bounds this call alone; the
// guest lives until [Guest.Close]. Failures to start are [*GuestError].
func (h *Host) Start(ctx context.Context, spec Spec) (*Guest, error) {
	if h.custom {
		if err := checkSourceFits(spec.Source); err != nil {
			return nil, err
		}
	}
	return h.add(ctx, func() (*Guest, error) { return h.launch(ctx, spec) })
}

// add makes a guest one of the host's, and begins to listen to it.
func (h *Host) add(ctx context.Context, make func() (*Guest, error)) (*Guest, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		return nil, errors.New("start a guest: the host is closed")
	}
	h.starting.Add(1)
	h.mu.Unlock()
	defer h.starting.Done()
	g, err := make()
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	h.guests[g] = struct{}{}
	h.mu.Unlock()
	g.begin()
	return g, nil
}

// learn keeps what a job imported.
func (h *Host) learn(spec Spec, imports []string) {
	if h.learned == nil || len(imports) == 0 || spec.Plugin == "" {
		return
	}
	if err := h.learned.saw(placeKey{spec.Interpreter, spec.Plugin}, imports); err != nil {
		h.logger.Warn("what a plugin imports is not kept", "plugin", spec.Plugin, "error", err)
	}
}

// Prepare has a warm interpreter started for an environment whose jobs are
// expected. It does not wait, and does nothing where guests start cold.
func (h *Host) Prepare(interpreter string) {
	if h.warm != nil {
		h.warm.prepare(interpreter)
	}
}

// Warm lists the warm interpreters, and the environments whose guests start cold
// though they should not.
func (h *Host) Warm() []WarmStatus {
	if h.warm == nil {
		return nil
	}
	return h.warm.status()
}

func (h *Host) forget(g *Guest) {
	h.mu.Lock()
	delete(h.guests, g)
	h.mu.Unlock()
}

// Close closes all guests and removes what the host put under os.TempDir. The
// shim stays in Dir, for the next start.
func (h *Host) Close() error {
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		return nil
	}
	h.closed = true
	h.mu.Unlock()
	if h.warm != nil {
		h.warm.stopStarting()
	}
	h.starting.Wait()
	h.mu.Lock()
	var guests []*Guest
	for g := range h.guests {
		guests = append(guests, g)
	}
	h.mu.Unlock()

	failures := make([]error, len(guests))
	var all sync.WaitGroup
	for i, g := range guests {
		all.Go(func() { failures[i] = g.Close() })
	}
	all.Wait()
	if h.warm != nil {
		h.warm.close()
	}
	h.launcher.close()
	if !h.custom {
		removeOtherShims(h.dir, filepath.Base(filepath.Dir(h.shim)))
	}
	if h.removeDir != "" {
		failures = append(failures, os.RemoveAll(h.removeDir), os.Remove(h.noteOfElse))
	}
	return errors.Join(failures...)
}
