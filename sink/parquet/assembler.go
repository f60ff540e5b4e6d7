package parquet

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/casparian-flow/casparian-worker/ops/crashpoint"
	"github.com/casparian-flow/casparian-worker/ops/disk"
	"github.com/casparian-flow/casparian-worker/sink"
	"github.com/casparian-flow/casparian-worker/sink/rowgroup"
)

// assembler owns the staged file: where each row group lies, what is durable,
// and the footer. Nothing behind end counts; the next row group overwrites it.
type assembler struct {
	path   string // absolute, for messages
	create func() (*disk.File, error)
	// syncNames makes the file's own name durable.
	syncNames func() error
	file      *disk.File // nil until the first row group is complete
	named     bool       // the file's name is durable
	unsynced  error      // why a sync failed: what the file holds cannot be known

	createdBy string // of the file's metadata
	end       int64
	rows      int64
	groups    []rowGroup

	// What the last checkpoint covers.
	checkpointed int // row groups
	last         flushed
}

// begin creates the file if this is its first row group, and gives the place
// for the bytes of a finished group, behind the end.
func (a *assembler) begin() (io.Writer, error) {
	if a.file == nil {
		file, err := a.create()
		if err != nil {
			return nil, err
		}
		a.file = file
		if err := a.write([]byte(magic), 0); err != nil {
			return nil, err
		}
		a.end = int64(len(magic))
	}
	return &segment{assembler: a, at: a.end}, nil
}

// segment is the file behind its end, as a stream.
type segment struct {
	assembler *assembler
	at        int64
}

func (s *segment) Write(p []byte) (int, error) {
	if err := s.assembler.write(p, s.at); err != nil {
		return 0, err
	}
	s.at += int64(len(p))
	return len(p), nil
}

func (a *assembler) write(p []byte, at int64) error {
	crashpoint.Reach(crashpoint.SinkWriteBefore)
	if _, err := a.file.WriteAt(p, at); err != nil {
		return fmt.Errorf("write %d bytes to staged file %s: %w", len(p), a.path, err)
	}
	crashpoint.Reach(crashpoint.SinkWriteAfter)
	return nil
}

// worthHastening is how long a row group is, in bytes, that is not better written
// together with the footer.
const worthHastening = 256 << 10

// place takes a finished row group that was written behind the end. The disk begins
// with a long one at once: a sync, of which there are few, finds most of the file written.
func (a *assembler) place(group rowGroup) {
	group.Start = a.end
	if group.Length >= worthHastening {
		a.file.Hasten(group.Start, group.Length)
	}
	a.end += group.Length
	a.rows += group.Rows
	a.groups = append(a.groups, group)
}

// checkpoint writes the metadata of everything placed since the last one behind
// it, and gives the token, which is good once the file is synced. There must be
// something new.
func (a *assembler) checkpoint(schema func() ([]byte, error), token flushed) (flushed, error) {
	block := checkpoint{Previous: a.last.Checkpoint, Groups: a.groups[a.checkpointed:]}
	if a.checkpointed == 0 {
		var err error
		if block.Schema, err = schema(); err != nil {
			return flushed{}, err
		}
	}
	bytes, checksum, err := block.marshal()
	if err != nil {
		return flushed{}, fmt.Errorf("checkpoint of %s: %w", a.path, err)
	}
	if err := a.write(bytes, a.end); err != nil {
		return flushed{}, err
	}
	token.Checkpoint, token.Checksum = a.end, checksum
	a.end += int64(len(bytes))
	token.End, token.Rows = a.end, a.rows
	a.checkpointed, a.last = len(a.groups), token
	return token, nil
}

// seal writes the footer, cuts off what lies behind it, and makes the file
// durable.
func (a *assembler) seal(schema *arrow.Schema, entries []rowgroup.KeyValue) (sealed, error) {
	footer, err := appendFooter(a.end, schema, a.groups, entries, a.createdBy)
	if err != nil {
		return sealed{}, fmt.Errorf("footer of %s: %w", a.path, err)
	}
	if err := a.write(footer, a.end); err != nil {
		return sealed{}, err
	}
	size := a.end + int64(len(footer))
	if err := a.file.Truncate(size); err != nil {
		return sealed{}, fmt.Errorf("truncate staged file %s: %w", a.path, err)
	}
	if err := a.sync(); err != nil {
		return sealed{}, err
	}
	crashpoint.Reach(crashpoint.SinkSealAfter)
	a.end = size
	return sealed{Size: size, Footer: digest(footer), FooterLength: int64(len(footer)), Rows: a.rows}, nil
}

// sync makes the file durable. A failed one is never tried again: the system may
// have dropped the pages, and call the next one a success.
func (a *assembler) sync() error {
	if crashpoint.Broken(crashpoint.SealUnsynced) {
		return nil
	}
	if a.unsynced != nil {
		return a.unsynced
	}
	crashpoint.Reach(crashpoint.SinkSyncBefore)
	if err := a.file.Sync(); err != nil {
		a.unsynced = fmt.Errorf("make staged file %s durable: %w", a.path, err)
		return a.unsynced
	}
	if !a.named {
		if err := a.syncNames(); err != nil {
			return err
		}
		a.named = true
	}
	crashpoint.Reach(crashpoint.SinkSyncAfter)
	return nil
}

// resume takes up a file at a token: it cuts off what lies behind the durable
// end. A file that is shorter, or says something else, is damaged.
func (a *assembler) resume(file *disk.File, token flushed) (schema []byte, err error) {
	damaged := func(reason string, args ...any) ([]byte, error) {
		return nil, &sink.DamageError{Path: a.path, Reason: fmt.Sprintf(reason, args...)}
	}
	info, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("look at staged file %s: %w", a.path, err)
	}
	if info.Size() < token.End {
		return damaged("it has %d bytes and %d were durable", info.Size(), token.End)
	}
	schema, groups, err := readCheckpoints(file, token)
	if err != nil {
		return damaged("%v", err)
	}
	crashpoint.Reach(crashpoint.SinkResumeBefore)
	if err := file.Truncate(token.End); err != nil {
		return nil, fmt.Errorf("truncate staged file %s: %w", a.path, err)
	}
	crashpoint.Reach(crashpoint.SinkResumeAfter)
	a.file, a.named = file, true
	a.end, a.rows, a.groups = token.End, token.Rows, groups
	a.checkpointed, a.last = len(groups), token
	return schema, nil
}

// reopen opens the staged file of a token. A missing one is damage: the token
// says that it was durable.
func (o *outputRoot) reopen(name string) (*os.File, error) {
	info, err := o.root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &sink.DamageError{Path: o.absolute(name), Reason: "it is missing"}
	}
	if err != nil {
		return nil, o.explain("look at staged file", name, err)
	}
	if !info.Mode().IsRegular() {
		return nil, &sink.DamageError{Path: o.absolute(name), Reason: "it is not a file"}
	}
	file, err := o.openFile(name, os.O_RDWR)
	if err != nil {
		return nil, o.explain("open staged file", name, err)
	}
	return file, nil
}

// stage creates the staged file and its folder. A stray file of the same name
// (another state directory wrote to the same root) is removed, not opened: it
// could be a link to something else.
func (o *outputRoot) stage(name string) (*os.File, error) {
	if err := o.makeFolder(filepath.Dir(name)); err != nil {
		return nil, err
	}
	if err := o.remove(name); err != nil {
		return nil, err
	}
	crashpoint.Reach(crashpoint.SinkStageBefore)
	file, err := o.openFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL)
	if err != nil {
		return nil, o.explain("create staged file", name, err)
	}
	crashpoint.Reach(crashpoint.SinkStageAfter)
	return file, nil
}

func digest(footer []byte) string {
	sum := sha256.Sum256(footer)
	return hex.EncodeToString(sum[:])
}
