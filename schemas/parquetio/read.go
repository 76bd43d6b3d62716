package parquetio

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"reflect"

	"github.com/parquet-go/parquet-go"
)

// Read yields the rows of the Parquet file of size bytes in r. Columns are
// matched by name: a nullable one that the file lacks is nil, one that T lacks
// is passed over. Empty lists are nil. An error is the last thing yielded.
func Read[T any](r io.ReaderAt, size int64) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		pr, err := open[T](r, size)
		if err != nil {
			yield(none, err)
			return
		}
		defer pr.Close()
		for batch := make([]T, batchRows); ; {
			clear(batch)
			n, err := readBatch(pr, batch)
			for i := range batch[:n] {
				nilEmpty(reflect.ValueOf(&batch[i]))
				if !yield(batch[i], nil) {
					return
				}
			}
			switch {
			case errors.Is(err, io.EOF):
				return
			case err != nil:
				yield(none, fmt.Errorf("read Parquet: %w", err))
				return
			case n == 0:
				yield(none, errors.New("read Parquet: no rows where the footer promises some"))
				return
			}
		}
	}
}

// Metadata returns what the footer of the Parquet file in r says beside the
// rows.
func Metadata(r io.ReaderAt, size int64) (map[string]string, error) {
	f, err := openFile(r, size)
	if err != nil {
		return nil, err
	}
	meta := make(map[string]string)
	for _, kv := range f.Metadata().KeyValueMetadata {
		meta[kv.Key] = kv.Value
	}
	return meta, nil
}

// openFile reads the footer. parquet-go allocates the footer's length before
// it reads it, so that is checked here.
func openFile(r io.ReaderAt, size int64) (f *parquet.File, err error) {
	defer recovered(&err)
	const tail = 8 // footer length and magic
	var b [tail]byte
	if size < tail+4 {
		return nil, fmt.Errorf("no Parquet file: %d bytes", size)
	}
	if _, err := r.ReadAt(b[:], size-tail); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read Parquet footer: %w", err)
	}
	if n := int64(binary.LittleEndian.Uint32(b[:])); n > size-tail-4 {
		return nil, fmt.Errorf("no Parquet file: a footer of %d bytes in a file of %d", n, size)
	}
	f, err = parquet.OpenFile(r, size, parquet.SkipBloomFilters(true))
	if err != nil {
		return nil, fmt.Errorf("open Parquet: %w", err)
	}
	return f, nil
}

func open[T any](r io.ReaderAt, size int64) (pr *parquet.GenericReader[T], err error) {
	defer recovered(&err)
	f, err := openFile(r, size)
	if err != nil {
		return nil, err
	}
	var row T
	if err := checkColumns(parquet.SchemaOf(row), f.Schema(), ""); err != nil {
		return nil, fmt.Errorf("no %T rows: %w", row, err)
	}
	return parquet.NewGenericReader[T](f), nil
}

func readBatch[T any](pr *parquet.GenericReader[T], batch []T) (n int, err error) {
	defer recovered(&err)
	return pr.Read(batch)
}

// recovered turns a panic into an error: parquet-go panics where a file
// contradicts itself or its schema cannot become ours.
func recovered(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("broken Parquet file: %v", p)
	}
}
