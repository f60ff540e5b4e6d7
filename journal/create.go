package journal

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"path/filepath"
	"strconv"
	"time"

	"go.etcd.io/bbolt"

	"github.com/casparian-flow/casparian-worker/ops/crashpoint"
)

// createStore makes an empty journal under a temporary name and gives it its own
// name only when it is whole and durable. The caller holds the lock.
func createStore(d *diskCalls, folder string, now time.Time) error {
	temporary, final := filepath.Join(folder, newFileName), filepath.Join(folder, fileName)
	if err := removeIfThere(d, temporary); err != nil {
		return err
	}
	var random [16]byte
	rand.Read(random[:])
	s, err := fillNewStore(d, temporary, hex.EncodeToString(random[:]), now, boltOptions(d))
	if err == nil {
		err = s.close()
	}
	if err != nil {
		return errors.Join(err, removeIfThere(d, temporary))
	}
	crashpoint.Reach(crashpoint.JournalCreateBefore)
	if err := d.rename(temporary, final); err != nil {
		return err
	}
	crashpoint.Reach(crashpoint.JournalCreateAfter)
	return d.syncFolder(folder)
}

// createCopy makes an empty journal of the same identity, to be filled from another.
// Nothing in it is durable before its sync.
func createCopy(from *store, path string) (*store, error) {
	if err := removeIfThere(from.disk, path); err != nil {
		return nil, err
	}
	options := boltOptions(from.disk)
	options.NoSync, options.NoGrowSync = true, true
	return fillNewStore(from.disk, path, from.info.ID, from.info.Created, options)
}

func fillNewStore(d *diskCalls, path, id string, created time.Time, options *bbolt.Options) (*store, error) {
	db, err := bbolt.Open(path, 0o600, options)
	if err != nil {
		return nil, err
	}
	s := &store{path: path, db: db, disk: d, info: Info{Path: path, Format: Format, ID: id, Created: created}}
	err = s.update(func(tx *bbolt.Tx) error {
		for _, name := range [][]byte{metaBucket, logBucket, blobBucket} {
			if _, err := tx.CreateBucket(name); err != nil {
				return err
			}
		}
		meta := tx.Bucket(metaBucket)
		if err := meta.Put(formatKey, strconv.AppendInt(nil, Format, 10)); err != nil {
			return err
		}
		if err := meta.Put(idKey, []byte(id)); err != nil {
			return err
		}
		if err := meta.Put(createdKey, created.UTC().AppendFormat(nil, time.RFC3339Nano)); err != nil {
			return err
		}
		return putHead(tx, s.origin())
	})
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return s, nil
}
