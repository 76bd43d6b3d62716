package arrowio

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/ipc"
	"github.com/apache/arrow/go/v17/arrow/memory"
)

// maxExpansion bounds what a stream may decompress to, as a multiple of the
// limit on its own bytes. Text in zstd rarely reaches 20.
const maxExpansion = 64

// WriteIPC writes records, all of one schema, as an Arrow IPC stream with zstd
// compression. Equal records give equal bytes. It needs at least one record:
// the schema is taken from the first.
func WriteIPC(w io.Writer, records []arrow.Record) error {
	if len(records) == 0 {
		return errors.New("no record to take the schema from")
	}
	iw := ipc.NewWriter(w, ipc.WithSchema(records[0].Schema()), ipc.WithZstd(), ipc.WithCompressConcurrency(1))
	for i, rec := range records {
		if err := iw.Write(rec); err != nil {
			return errors.Join(fmt.Errorf("write record %d: %w", i, err), iw.Close())
		}
	}
	return iw.Close()
}

// ReadIPC reads an Arrow IPC stream of at most limit bytes to its end marker.
// The caller releases the records. A stream that is longer, is cut short,
// decompresses to more than 64 times limit or breaks the format is an error.
// Records are valid as far as the format tells; [Decode] checks the rest.
func ReadIPC(r io.Reader, limit int64) (records []arrow.Record, err error) {
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, fmt.Errorf("read Arrow stream: %w", err)
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("the Arrow stream is longer than %d bytes", limit)
	}
	if err := checkFrames(data); err != nil {
		return nil, fmt.Errorf("broken Arrow stream: %w", err)
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("broken Arrow stream: %v", p)
		}
		if err != nil {
			for _, rec := range records {
				rec.Release()
			}
			records = nil
		}
	}()
	ir, err := ipc.NewReader(bytes.NewReader(data), ipc.WithAllocator(&bounded{memory.DefaultAllocator, limit * maxExpansion}))
	if err != nil {
		return nil, fmt.Errorf("broken Arrow stream: %w", err)
	}
	defer ir.Release()
	for ir.Next() {
		rec := ir.Record()
		rec.Retain()
		records = append(records, rec)
	}
	if err := ir.Err(); err != nil {
		return records, fmt.Errorf("broken Arrow stream: %w", err)
	}
	return records, nil
}

// bounded is an allocator that refuses by panicking once left bytes are handed
// out in all: Arrow's allocators have no other way to say no.
type bounded struct {
	memory.Allocator
	left int64
}

func (b *bounded) Allocate(size int) []byte {
	b.take(int64(size))
	return b.Allocator.Allocate(size)
}

func (b *bounded) Reallocate(size int, old []byte) []byte {
	b.take(int64(size) - int64(len(old)))
	return b.Allocator.Reallocate(size, old)
}

func (b *bounded) take(n int64) {
	if b.left -= max(n, 0); b.left < 0 || n > math.MaxInt32 {
		panic("it decompresses to too much")
	}
}
