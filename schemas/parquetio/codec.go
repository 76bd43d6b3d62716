package parquetio

import (
	"fmt"
	"io"
	"iter"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/memory"

	"github.com/glmflow/glmflow/schemas"
	"github.com/glmflow/glmflow/schemas/arrowio"
)

// A Codec moves the rows of one data kind between record batches and Parquet,
// for code that knows the kind at run time only.
type Codec struct {
	kind   schemas.Kind
	schema *arrow.Schema
	write  func(io.Writer, schemas.Kind, iter.Seq2[arrow.Record, error], map[string]string) (int64, error)
	read   func(r io.ReaderAt, size int64, batch int) iter.Seq2[arrow.Record, error]
}

// CodecOf returns the codec of a data kind.
func CodecOf(kind schemas.Kind) (Codec, error) {
	switch kind {
	case schemas.DialogueRaw, schemas.DialogueClean:
		return codec[schemas.Dialogue](kind), nil
	case schemas.DialogueReject:
		return codec[schemas.Reject](kind), nil
	case schemas.Tokens:
		return codec[schemas.TokenRow](kind), nil
	case schemas.Adapter:
		return codec[schemas.AdapterRow](kind), nil
	case schemas.Score:
		return codec[schemas.ScoreRow](kind), nil
	case schemas.Release:
		return codec[schemas.ReleaseRow](kind), nil
	default:
		return Codec{}, fmt.Errorf("%q is no data kind", kind)
	}
}

// Kind returns the codec's kind.
func (c Codec) Kind() schemas.Kind { return c.kind }

// Schema returns the Arrow schema of the kind's rows.
func (c Codec) Schema() *arrow.Schema { return c.schema }

// WriteRecords writes the rows of records as one Parquet file, with the same
// bytes as [Write] gives for the same rows, and returns how many they were. It
// releases no record.
func (c Codec) WriteRecords(w io.Writer, records iter.Seq2[arrow.Record, error], meta map[string]string) (rows int64, err error) {
	return c.write(w, c.kind, records, meta)
}

// ReadRecords yields the rows of the Parquet file of size bytes in r as records
// of at most batch rows. A record is released after the loop step it was yielded
// to; retain it to keep it.
func (c Codec) ReadRecords(r io.ReaderAt, size int64, batch int) iter.Seq2[arrow.Record, error] {
	return c.read(r, size, batch)
}

func codec[T any](kind schemas.Kind) Codec {
	return Codec{kind: kind, schema: arrowio.Schema[T](), write: writeRecords[T], read: readRecords[T]}
}

func writeRecords[T any](w io.Writer, kind schemas.Kind, records iter.Seq2[arrow.Record, error], meta map[string]string) (int64, error) {
	rows := func(yield func(T, error) bool) {
		var none T
		for rec, err := range records {
			if err != nil {
				yield(none, err)
				return
			}
			decoded, err := arrowio.Decode[T](rec)
			if err != nil {
				yield(none, fmt.Errorf("%s record: %w", kind, err))
				return
			}
			for _, row := range decoded {
				if !yield(row, nil) {
					return
				}
			}
		}
	}
	return Write(w, kind, rows, meta)
}

func readRecords[T any](r io.ReaderAt, size int64, batch int) iter.Seq2[arrow.Record, error] {
	return func(yield func(arrow.Record, error) bool) {
		rows := make([]T, 0, batch)
		flush := func() bool {
			rec, err := arrowio.Encode(memory.DefaultAllocator, rows)
			if err != nil {
				yield(nil, err)
				return false
			}
			defer rec.Release()
			rows = rows[:0]
			return yield(rec, nil)
		}
		for row, err := range Read[T](r, size) {
			if err != nil {
				yield(nil, err)
				return
			}
			if rows = append(rows, row); len(rows) >= batch && !flush() {
				return
			}
		}
		if len(rows) > 0 {
			flush()
		}
	}
}
