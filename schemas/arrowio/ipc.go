package arrowio

import (
	"bytes"
	"encoding/binary"
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

// checkFrames walks the messages of a stream without decoding them, because
// Arrow's reader allocates the lengths it is told before it reads. A message is
// the token 0xFFFFFFFF, an int32 length, as many bytes of metadata, and a body
// whose length the metadata tells; length 0 ends the stream.
func checkFrames(data []byte) error {
	for at := 0; ; {
		if len(data)-at < 8 {
			return fmt.Errorf("cut short at byte %d", at)
		}
		if binary.LittleEndian.Uint32(data[at:]) != math.MaxUint32 {
			return fmt.Errorf("no message at byte %d", at)
		}
		n := int64(int32(binary.LittleEndian.Uint32(data[at+4:])))
		at += 8
		if n == 0 {
			return nil
		}
		if n < 0 || n > int64(len(data)-at) {
			return fmt.Errorf("metadata of %d bytes at byte %d", n, at)
		}
		body, err := bodyLength(data[at : at+int(n)])
		if err != nil {
			return fmt.Errorf("message at byte %d: %w", at, err)
		}
		at += int(n)
		if body < 0 || body > int64(len(data)-at) {
			return fmt.Errorf("body of %d bytes at byte %d", body, at)
		}
		at += int(body)
	}
}

// bodyLength reads field bodyLength of a flatbuffer Message: the fourth slot of
// its table (Message.fbs of the Arrow format).
func bodyLength(message []byte) (int64, error) {
	const slot = 4 + 2*3
	errBroken := errors.New("broken metadata")
	in := func(at, n int64) bool { return at >= 0 && at+n <= int64(len(message)) }
	if !in(0, 4) {
		return 0, errBroken
	}
	table := int64(binary.LittleEndian.Uint32(message))
	if !in(table, 4) {
		return 0, errBroken
	}
	vtable := table - int64(int32(binary.LittleEndian.Uint32(message[table:])))
	if !in(vtable, 4) {
		return 0, errBroken
	}
	if binary.LittleEndian.Uint16(message[vtable:]) <= slot {
		return 0, nil
	}
	if !in(vtable, slot+2) {
		return 0, errBroken
	}
	offset := int64(binary.LittleEndian.Uint16(message[vtable+slot:]))
	if offset == 0 {
		return 0, nil
	}
	if !in(table+offset, 8) {
		return 0, errBroken
	}
	return int64(binary.LittleEndian.Uint64(message[table+offset:])), nil
}
