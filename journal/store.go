package journal

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// Format is the version of the file's layout: buckets, keys, record, chain. Format 1
// had no gaps; such a file stays what it is until it is compacted.
const Format = 2

const (
	fileName    = "journal.db"
	newFileName = "journal.db.new"
)

var (
	metaBucket = []byte("meta")
	logBucket  = []byte("log")
	blobBucket = []byte("blobs")

	formatKey  = []byte("format")
	idKey      = []byte("id")
	createdKey = []byte("created")
	headKey    = []byte("head")
	// compactedKey has the number of the last JobsForgotten that the file was
	// compacted for.
	compactedKey = []byte("compacted")
)

// Info is what the file says of itself.
type Info struct {
	Path    string
	Format  int
	ID      string // 32 hex digits, drawn when the journal was created
	Created time.Time
	Records uint64 // in the log
	Head    Digest // of the last record; of the id while there is none
}

// store is the bbolt file. All of bbolt is called from here, where its panics and
// the memory faults of its mapping become errors.
type store struct {
	path string
	// mu is held for writing while the file is replaced.
	mu   sync.RWMutex
	db   *bbolt.DB // nil when the file could not be opened again
	disk *diskCalls
	info Info // Records and Head as of the opening
	// stale: see checkPages.
	stale bool
	// file is what db works on.
	file *os.File
	// broken is set when bbolt panicked where it holds locks of its own: nothing may
	// be asked of it again, not even to close.
	broken atomic.Bool
}

// boltOptions: the list of free pages is written with every commit. Leaving it out
// would save a page per commit, and cost a scan of the whole file at each start and
// after each refused write; that scan also runs in a goroutine of bbolt's own,
// where a panic cannot be recovered from. The map is not made large beforehand:
// readers copy out in short transactions, so that the file can always grow.
func boltOptions(d *diskCalls) *bbolt.Options {
	return &bbolt.Options{
		Timeout:      lockWait, // only a tool of bbolt's own can be in the way here
		FreelistType: bbolt.FreelistMapType,
		NoStatistics: true,
		OpenFile:     d.openFile,
	}
}

// openStore opens an existing journal file. The caller holds the lock.
func openStore(d *diskCalls, path string, readOnly bool) (*store, error) {
	s := &store{path: path, disk: d}
	if err := s.checkShape(); err != nil {
		return nil, err
	}
	if err := s.openBolt(readOnly); err != nil {
		return nil, err
	}
	if err := s.view(func(tx *bbolt.Tx) error { return s.readInfo(tx) }); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// openBolt lets bbolt open the file.
func (s *store) openBolt(readOnly bool) error {
	options := boltOptions(s.disk)
	options.ReadOnly = readOnly
	options.OpenFile = func(path string, flag int, perm os.FileMode) (file *os.File, err error) {
		s.file, err = s.disk.openFile(path, flag, perm)
		return s.file, err
	}
	panicked, err := guard(func() (err error) {
		s.db, err = bbolt.Open(s.path, 0o600, options)
		return err
	})
	switch {
	case panicked:
		s.broken.Store(true)
		return errors.Join(at(s.path, err), s.close())
	case errors.Is(err, berrors.ErrTimeout):
		return &LockedError{Path: s.path}
	}
	return err
}

func (s *store) checkShape() error {
	file, err := s.disk.openFile(s.path, os.O_RDONLY, 0)
	if err != nil {
		return err
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file", s.path)
	}
	if err != nil {
		return errors.Join(err, file.Close())
	}
	var damage error
	s.stale, damage = checkPages(file, info.Size())
	if damage != nil {
		damage = at(s.path, corrupt(0, damage, "its pages do not hold together"))
	}
	return errors.Join(damage, file.Close())
}

// currentInfo is the info with the log as it is now.
func (s *store) currentInfo() (Info, error) {
	var info Info
	err := s.view(func(tx *bbolt.Tx) error {
		head, err := readHead(tx)
		info = s.info
		info.Records, info.Head = head.Seq, head.Digest
		return err
	})
	return info, err
}

// readInfo checks the buckets and reads what the file says of itself.
func (s *store) readInfo(tx *bbolt.Tx) error {
	meta := tx.Bucket(metaBucket)
	if meta == nil {
		return corrupt(0, nil, "it has no bucket %q", metaBucket)
	}
	format, err := strconv.Atoi(string(meta.Get(formatKey)))
	if err != nil || format < 1 {
		return corrupt(0, err, "its format version is not readable")
	}
	if format > Format {
		return newer(0, "its format is %d, this worker knows up to %d", format, Format)
	}
	for _, name := range [][]byte{logBucket, blobBucket} {
		if tx.Bucket(name) == nil {
			return corrupt(0, nil, "it has no bucket %q", name)
		}
	}
	created, err := time.Parse(time.RFC3339Nano, string(meta.Get(createdKey)))
	if err != nil {
		return corrupt(0, err, "its time of creation is not readable")
	}
	head, err := readHead(tx)
	if err != nil {
		return err
	}
	s.info = Info{Path: s.path, Format: format, ID: string(meta.Get(idKey)), Created: created,
		Records: head.Seq, Head: head.Digest}
	return nil
}

// origin is the link before the first record.
func (s *store) origin() link { return link{Digest: DigestOf([]byte(s.info.ID))} }

func readHead(tx *bbolt.Tx) (head link, err error) {
	if err := decodeStrictly(tx.Bucket(metaBucket).Get(headKey), &head); err != nil {
		return link{}, corrupt(0, err, "the head of the log is not readable")
	}
	return head, nil
}

func putHead(tx *bbolt.Tx, head link) error {
	encoded, err := json.Marshal(head)
	if err != nil {
		return err
	}
	return tx.Bucket(metaBucket).Put(headKey, encoded)
}

// seqKey is the key of a record: big-endian, so that keys sort as numbers do.
func seqKey(seq uint64) []byte { return binary.BigEndian.AppendUint64(nil, seq) }

// view runs fn in a read transaction. fn must be short: a file that has to grow
// waits for it.
func (s *store) view(fn func(tx *bbolt.Tx) error) error {
	return s.transact(false, fn)
}

// update runs fn in a write transaction and commits it.
func (s *store) update(fn func(tx *bbolt.Tx) error) error {
	return s.transact(true, func(tx *bbolt.Tx) error {
		if err := fn(tx); err != nil {
			return err
		}
		return s.disk.commit(tx)
	})
}

// transact works with an explicit transaction because bbolt's own Update and View
// read pages again to roll back after a panic, and may panic once more with their
// locks held.
func (s *store) transact(writable bool, fn func(tx *bbolt.Tx) error) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.broken.Load() {
		return at(s.path, corrupt(0, nil, "an earlier access has failed"))
	}
	begun := false
	panicked, err := guard(func() error {
		tx, err := s.db.Begin(writable)
		if err != nil {
			return err
		}
		begun = true
		defer tx.Rollback() // of no effect once committed
		return fn(tx)
	})
	if panicked && (writable || !begun) {
		s.broken.Store(true)
	}
	if errors.Is(err, berrors.ErrDatabaseNotOpen) {
		return ErrClosed
	}
	return at(s.path, err)
}

// guard runs fn, which calls bbolt, and turns a panic into a *CorruptError. A page
// that cannot be read (a bad sector, a file that was cut short while mapped) is a
// memory fault, which is made a panic, too.
func guard(fn func() error) (panicked bool, err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if cause := recover(); cause != nil {
			panicked, err = true, corrupt(0, fmt.Errorf("%v", cause), "its pages cannot be read")
		}
	}()
	return false, fn()
}

// close closes the file. When bbolt is broken only the file is let go of: the
// mapping stays until the process ends, which a broken journal soon brings about.
func (s *store) close() error {
	switch {
	case s.db == nil: // it was closed to be replaced, and could not be opened again
		return nil
	case s.broken.Load():
		return errors.Join(unlock(s.file), s.file.Close())
	}
	return s.db.Close()
}
