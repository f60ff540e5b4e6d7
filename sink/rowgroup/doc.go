// Package rowgroup encodes Arrow record batches as Parquet row groups that may
// be placed anywhere in a file, and writes the footer that makes a file of them.
//
// An [Encoder] takes batches of one schema. [Encoder.Finish] ends a row group: it
// writes the group's bytes and gives a [RowGroup], which describes them with
// places that count from the group's own first byte. Who stores files decides
// where the group goes and when it is durable, keeps the RowGroup (it has a binary
// form) with its place, and at the end asks [AppendFooter] for the rest of the
// file:
//
//	"PAR1"
//	row group: column chunks, Bloom filters, column indexes    any number of them
//	offset indexes, FileMetaData, its length, "PAR1"           AppendFooter
//
// So a file that was begun by one process can be finished by another, without
// reading or rewriting a row group.
//
// The files of this package follow the documents of the Parquet format
// (https://github.com/apache/parquet-format), one file per concept. README.md has
// a reading tour.
package rowgroup
