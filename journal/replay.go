package journal

import (
	"go.etcd.io/bbolt"
)

// replay folds the whole log into the state it stands for. It checks each record's
// place in the chain before it believes what the record says.
func (s *store) replay() (state State, head link, err error) {
	err = s.view(func(tx *bbolt.Tx) error {
		if head, err = readEnd(tx); err != nil {
			return err
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
		confirm := confirmer{chain: chainFrom(s.origin())}
		cursor := tx.Bucket(logBucket).Cursor()
		for key, raw := cursor.First(); key != nil; key, raw = cursor.Next() {
			seq, err := seqOf(key, confirm.chain.seq)
			if err != nil {
				return err
			}
			if err := apply(confirm.next(entry{seq, raw})); err != nil {
				return err
			}
		}
		return apply(confirm.end(head))
	})
	if err != nil {
		return State{}, link{}, err
	}
	return state, head, nil
}
