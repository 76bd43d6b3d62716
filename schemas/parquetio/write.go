package parquetio

import (
	"fmt"
	"io"
	"iter"
	"strconv"

	"github.com/parquet-go/parquet-go"

	"github.com/glmflow/glmflow/schemas"
)

// Keys of the file metadata that every file has.
const (
	KindKey    = "glmflow.kind"
	VersionKey = "glmflow.version"
)

// rowsPerGroup is the size of a row group: large enough to compress well, small
// enough that a reader of one group needs little memory. It is part of the
// format, since bytes follow from it.
const rowsPerGroup = 8192

// batchRows is how many rows pass between us and parquet-go at once.
const batchRows = 256

// Write writes rows of kind to w as one Parquet file and returns how many they
// were. An error of rows ends it; what w got by then is no file.
func Write[T any](w io.Writer, kind schemas.Kind, rows iter.Seq2[T, error], meta map[string]string) (n int64, err error) {
	options := []parquet.WriterOption{
		parquet.Compression(&parquet.Zstd),
		parquet.CreatedBy("glmflow", strconv.Itoa(kind.Version()), ""),
		parquet.MaxRowsPerRowGroup(rowsPerGroup),
		parquet.KeyValueMetadata(KindKey, string(kind)),
		parquet.KeyValueMetadata(VersionKey, strconv.Itoa(kind.Version())),
	}
	for k, v := range meta {
		options = append(options, parquet.KeyValueMetadata(k, v)) // parquet-go sorts them
	}
	pw := parquet.NewGenericWriter[T](w, options...)
	batch := make([]T, 0, batchRows)
	flush := func() error {
		if _, err := pw.Write(batch); err != nil {
			return fmt.Errorf("write %s rows: %w", kind, err)
		}
		n += int64(len(batch))
		batch = batch[:0]
		return nil
	}
	for row, err := range rows {
		if err != nil {
			return n, err
		}
		if batch = append(batch, row); len(batch) == batchRows {
			if err := flush(); err != nil {
				return n, err
			}
		}
	}
	if err := flush(); err != nil {
		return n, err
	}
	if err := pw.Close(); err != nil {
		return n, fmt.Errorf("close %s file: %w", kind, err)
	}
	return n, nil
}
