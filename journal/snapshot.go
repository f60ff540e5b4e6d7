package journal

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"maps"
	"reflect"
	"slices"

	"github.com/benbjohnson/immutable"
	"github.com/klauspost/compress/s2"
	"go.etcd.io/bbolt"
)

// A snapshot is the folded state as of one record, kept in the journal's own file so
// that a start need not fold what came before. It is a cache and nothing else: the
// fold of the log is the truth, and a snapshot that does not fit (the record is not
// the one that it was made behind, its bytes are not those that were written, another
// version of the worker made it) is passed over, and the log is folded whole.
//
// The bucket has the key "about" and, numbered from 0, chunks of jobs: JSON, one job
// a line, each chunk an S2 block (an extension of Snappy).

var (
	snapshotBucket = []byte("snapshot")
	aboutKey       = []byte("about")
)

const (
	snapshotChunk = 256 << 10 // bytes after which a chunk is cut, before compression
	// A snapshot is due after so many records, and not before a quarter as many
	// records as there are jobs: writing it costs as much as there are jobs.
	snapshotEvery = 25_000

	// foldVersion is raised when [Apply] gives another state for the same events.
	foldVersion = 1
)

// snapshotAbout says what the snapshot is of, and holds what is not of a job.
type snapshotAbout struct {
	At   link   `json:"at"`   // the last record that is in it
	Fold Digest `json:"fold"` // see foldDigest
	Jobs int    `json:"jobs"`
	Sum  Digest `json:"sum"` // over all chunks

	State        State         `json:"state"` // its plain fields
	Environments []Environment `json:"environments"`
}

// errNoSnapshot: there is none that fits.
var errNoSnapshot = errors.New("no snapshot fits")

// snapshotDue tells whether so many records behind the last snapshot are worth one.
func snapshotDue(behind uint64, jobs int) bool {
	return behind >= snapshotEvery && behind >= uint64(jobs)/4
}

// writeSnapshot replaces the snapshot. at is the record that led to the state.
func writeSnapshot(tx *bbolt.Tx, state State, at link) error {
	if tx.Bucket(snapshotBucket) != nil {
		if err := tx.DeleteBucket(snapshotBucket); err != nil {
			return err
		}
	}
	bucket, err := tx.CreateBucket(snapshotBucket)
	if err != nil {
		return err
	}
	bucket.FillPercent = 1
	about := snapshotAbout{
		At: at, Fold: foldDigest, Jobs: state.JobCount(),
		State:        state,
		Environments: slices.Collect(state.Environments()),
	}
	chunks := chunkWriter{bucket: bucket, sum: sha256.New()}
	lines := json.NewEncoder(&chunks.buf)
	lines.SetEscapeHTML(false)
	for job := range state.Jobs() {
		if err := lines.Encode(job); err != nil {
			return fmt.Errorf("snapshot of job %d: %w", job.ID, err)
		}
		if err := chunks.cut(snapshotChunk); err != nil {
			return err
		}
	}
	if err := chunks.cut(1); err != nil {
		return err
	}
	about.Sum = Digest(hex.EncodeToString(chunks.sum.Sum(nil)))
	encoded, err := json.Marshal(about)
	if err != nil {
		return err
	}
	return bucket.Put(aboutKey, encoded)
}

type chunkWriter struct {
	bucket *bbolt.Bucket
	buf    bytes.Buffer
	sum    hash.Hash
	count  uint64
}

// cut stores what was written as a chunk, if it has at least so many bytes.
func (w *chunkWriter) cut(size int) error {
	if w.buf.Len() < size {
		return nil
	}
	content := s2.Encode(nil, w.buf.Bytes())
	w.buf.Reset()
	w.sum.Write(content)
	w.count++
	return w.bucket.Put(seqKey(w.count-1), content)
}

// readSnapshot gives the state of the snapshot and the record that it stands behind.
// Any error means that there is none to go by.
func readSnapshot(tx *bbolt.Tx) (State, link, error) {
	bucket := tx.Bucket(snapshotBucket)
	if bucket == nil {
		return State{}, link{}, errNoSnapshot
	}
	var about snapshotAbout
	if err := decodeStrictly(bucket.Get(aboutKey), &about); err != nil || about.Fold != foldDigest {
		return State{}, link{}, errNoSnapshot
	}
	if raw := tx.Bucket(logBucket).Get(seqKey(about.At.Seq)); raw == nil || DigestOf(raw) != about.At.Digest {
		return State{}, link{}, errNoSnapshot
	}
	sum := sha256.New()
	for i := uint64(0); ; i++ {
		chunk := bucket.Get(seqKey(i))
		if chunk == nil {
			break
		}
		sum.Write(chunk)
	}
	if hex.EncodeToString(sum.Sum(nil)) != string(about.Sum) {
		return State{}, link{}, errNoSnapshot
	}
	state := about.State
	for _, environment := range about.Environments {
		state = state.withEnvironment(environment)
	}
	jobs := immutable.NewMapBuilder[uint64, *Job](nil)
	var plain []byte
	for i := uint64(0); ; i++ {
		chunk := bucket.Get(seqKey(i))
		if chunk == nil {
			break
		}
		var err error
		if plain, err = s2.Decode(plain[:cap(plain)], chunk); err != nil {
			return State{}, link{}, errNoSnapshot
		}
		lines := json.NewDecoder(bytes.NewReader(plain))
		for {
			job := new(Job)
			if err := lines.Decode(job); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				return State{}, link{}, errNoSnapshot
			}
			jobs.Set(job.ID, job)
			state = state.nowListed(job)
		}
	}
	if jobs.Len() != about.Jobs {
		return State{}, link{}, errNoSnapshot
	}
	if jobs.Len() > 0 {
		state.jobs = jobs.Map()
	}
	return state, about.At, nil
}

// foldDigest tells one fold from another: by foldVersion, by the events that are
// known, and by the fields of what is folded into.
var foldDigest = func() Digest {
	sum := sha256.New()
	_ = binary.Write(sum, binary.BigEndian, uint64(foldVersion))
	for _, kind := range slices.Sorted(maps.Keys(schemas)) {
		fmt.Fprintf(sum, "%s v%d\n", kind, schemas[kind].version)
	}
	for _, typ := range []reflect.Type{reflect.TypeFor[State](), reflect.TypeFor[Job](), reflect.TypeFor[Environment]()} {
		writeShape(sum, typ, map[reflect.Type]bool{})
	}
	return Digest(hex.EncodeToString(sum.Sum(nil)))
}()

// writeShape spells out the fields of a type and of the types of this package that
// they have.
func writeShape(out io.Writer, typ reflect.Type, seen map[reflect.Type]bool) {
	for typ.Kind() == reflect.Pointer || typ.Kind() == reflect.Slice {
		typ = typ.Elem()
	}
	if typ.Kind() != reflect.Struct || seen[typ] || typ.PkgPath() != reflect.TypeFor[State]().PkgPath() {
		return
	}
	seen[typ] = true
	for field := range typ.Fields() {
		fmt.Fprintf(out, "%s.%s %s %q\n", typ, field.Name, field.Type, field.Tag)
		writeShape(out, field.Type, seen)
	}
}
