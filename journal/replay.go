package journal

import (
	"errors"

	"go.etcd.io/bbolt"
)

// replay folds the log into the state it stands for: from the snapshot on, where one
// fits, else from the beginning. It checks each record's place in the chain before it
// believes what the record says. from is the number of the snapshot's record, 0 where
// there was none.
func (s *store) replay() (state State, head link, from uint64, err error) {
	err = s.view(func(tx *bbolt.Tx) error {
		before := s.origin()
		snapshot, at, err := readSnapshot(tx)
		if err == nil {
			state, before, from = snapshot, at, at.Seq
		} else if !errors.Is(err, errNoSnapshot) {
			return err
		}
		state, head, err = fold(tx, state, before)
		return err
	})
	if err != nil {
		return State{}, link{}, 0, err
	}
	return state, head, from, nil
}

// foldWhole folds the log from its beginning.
func (s *store) foldWhole() (state State, head link, err error) {
	err = s.view(func(tx *bbolt.Tx) error {
		state, head, err = fold(tx, State{}, s.origin())
		return err
	})
	return state, head, err
}

// fold applies the records behind one to the state that this one led to.
func fold(tx *bbolt.Tx, state State, before link) (State, link, error) {
	head, err := readEnd(tx)
	if err != nil {
		return State{}, link{}, err
	}
	apply := func(record envelope, raw []byte, err error) error {
		if err != nil || raw == nil {
			return err
		}
		event, err := record.decodeEvent()
		if err != nil {
			return err
		}
		if state, err = Apply(state, event); err != nil {
			return corrupt(record.seq, err, "it cannot follow the records before it")
		}
		return nil
	}
	confirm := confirmer{chain: chainFrom(before)}
	confirm.chain.whole = true
	cursor := tx.Bucket(logBucket).Cursor()
	for key, raw := cursor.Seek(seqKey(before.Seq + 1)); key != nil; key, raw = cursor.Next() {
		seq, err := seqOf(key, confirm.chain.seq)
		if err != nil {
			return State{}, link{}, err
		}
		if err := apply(confirm.next(entry{seq, raw})); err != nil {
			return State{}, link{}, err
		}
		if isGap(raw) {
			state.Events = seq
		}
	}
	if err := apply(confirm.end(head)); err != nil {
		return State{}, link{}, err
	}
	return state, head, confirm.chain.forgets(state)
}
