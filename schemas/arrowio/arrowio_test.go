package arrowio_test

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/glmflow/glmflow/schemas"
	"github.com/glmflow/glmflow/schemas/arrowio"
)

// A row with a column of every type that rows may have.
type row struct {
	Text  string   `parquet:"text"`
	Raw   []byte   `parquet:"raw"`
	Yes   bool     `parquet:"yes"`
	I32   int32    `parquet:"i32"`
	U64   uint64   `parquet:"u64"`
	F32   float32  `parquet:"f32"`
	Words []string `parquet:"words,list"`
	IDs   []int32  `parquet:"ids,list"`
	Hash  []uint32 `parquet:"hash,list"`
	Inner inner    `parquet:"inner"`
	Many  []inner  `parquet:"many,list"`
	Maybe *inner   `parquet:"maybe,optional"`
	Skip  string   `parquet:"-"`
}

type inner struct {
	Flag  *bool    `parquet:"flag,optional"`
	Score *float64 `parquet:"score,optional"`
	Time  int64    `parquet:"time"`
}

func drawInner(t *rapid.T) inner {
	return inner{
		Flag:  rapid.Ptr(rapid.Bool(), true).Draw(t, "flag"),
		Score: rapid.Ptr(rapid.Float64(), true).Draw(t, "score"),
		Time:  rapid.Int64().Draw(t, "time"),
	}
}

func drawRow(t *rapid.T) row {
	inners := rapid.Custom(drawInner)
	return row{
		Text: rapid.String().Draw(t, "text"), Yes: rapid.Bool().Draw(t, "yes"),
		Raw: rapid.SliceOfN(rapid.Byte(), 1, 9).Draw(t, "raw"),
		I32: rapid.Int32().Draw(t, "i32"), U64: rapid.Uint64().Draw(t, "u64"), F32: rapid.Float32().Draw(t, "f32"),
		Words: rapid.SliceOfN(rapid.String(), 1, 3).Draw(t, "words"),
		IDs:   rapid.SliceOfN(rapid.Int32(), 1, 9).Draw(t, "ids"),
		Hash:  rapid.SliceOfN(rapid.Uint32(), 1, 9).Draw(t, "hash"),
		Inner: inners.Draw(t, "inner"),
		Many:  rapid.SliceOfN(inners, 1, 3).Draw(t, "many"),
		Maybe: rapid.Ptr(inners, true).Draw(t, "maybe"),
	}
}

// What goes in comes out, through memory and through IPC, and every buffer is
// given back.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		mem := memory.NewCheckedAllocator(memory.NewGoAllocator())
		defer mem.AssertSize(t, 0)
		rows := rapid.SliceOfN(rapid.Custom(drawRow), 0, 5).Draw(rt, "rows")
		rec, err := arrowio.Encode(mem, rows)
		if err != nil {
			rt.Fatal(err)
		}
		defer rec.Release()
		var b bytes.Buffer
		if err := arrowio.WriteIPC(&b, []arrow.Record{rec, rec}); err != nil {
			rt.Fatal(err)
		}
		got, err := arrowio.ReadIPC(&b, 1<<20)
		if err != nil || len(got) != 2 {
			rt.Fatalf("%d records, %v", len(got), err)
		}
		for _, rec := range append(got, rec) {
			back, err := arrowio.Decode[row](rec)
			if err != nil {
				rt.Fatal(err)
			}
			if diff := cmp.Diff(rows, back); diff != "" && len(rows) > 0 {
				rt.Fatal(diff)
			}
		}
		for _, rec := range got {
			rec.Release()
		}
	})
}

func TestEmptyListsDecodeAsNil(t *testing.T) {
	rec, err := arrowio.Encode(memory.NewGoAllocator(), []row{{IDs: []int32{}, Many: []inner{}}})
	if err != nil {
		t.Fatal(err)
	}
	defer rec.Release()
	got, err := arrowio.Decode[row](rec)
	if err != nil || got[0].IDs != nil || got[0].Many != nil {
		t.Errorf("got %+v, %v", got, err)
	}
}

// An old record lacks an appended nullable column; an unknown one is ignored.
func TestDecodeMatchesColumnsByName(t *testing.T) {
	type old struct {
		Gone string `parquet:"gone"`
		Kept string `parquet:"kept"`
	}
	type next struct {
		Kept string  `parquet:"kept"`
		New  *string `parquet:"new,optional"`
	}
	type wrong struct {
		Kept int64 `parquet:"kept"`
	}
	type strict struct {
		Missing string `parquet:"missing"`
	}
	rec, err := arrowio.Encode(memory.NewGoAllocator(), []old{{"a", "b"}})
	if err != nil {
		t.Fatal(err)
	}
	defer rec.Release()
	got, err := arrowio.Decode[next](rec)
	if err != nil || len(got) != 1 || got[0] != (next{Kept: "b"}) {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := arrowio.Decode[wrong](rec); err == nil || !strings.Contains(err.Error(), "column kept: holds utf8, want int64") {
		t.Errorf("a column of another type: %v", err)
	}
	if _, err := arrowio.Decode[strict](rec); err == nil || !strings.Contains(err.Error(), "column missing is absent") {
		t.Errorf("a missing required column: %v", err)
	}
}

func TestReadIPCRefuses(t *testing.T) {
	whole := stream(t)
	for name, c := range map[string]struct {
		data  []byte
		limit int64
		want  string
	}{
		"nothing":        {nil, 1 << 20, "cut short"},
		"text":           {[]byte("{\"role\":\"user\"}"), 1 << 20, "no message at byte 0"},
		"longer":         {whole, int64(len(whole)) - 1, "longer than"},
		"no end marker":  {whole[:len(whole)-8], 1 << 20, "cut short"},
		"half":           {whole[:len(whole)/2], 1 << 20, "byte"},
		"large metadata": {append([]byte{255, 255, 255, 255, 255, 255, 255, 127}, whole...), 1 << 20, "metadata of 2147483647 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := arrowio.ReadIPC(bytes.NewReader(c.data), c.limit)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// A small stream that decompresses to a lot is refused.
func TestReadIPCRefusesABomb(t *testing.T) {
	rec, err := arrowio.Encode(memory.NewGoAllocator(), []row{{Text: strings.Repeat("a", 32<<20)}})
	if err != nil {
		t.Fatal(err)
	}
	defer rec.Release()
	var b bytes.Buffer
	if err := arrowio.WriteIPC(&b, []arrow.Record{rec}); err != nil {
		t.Fatal(err)
	}
	if _, err := arrowio.ReadIPC(&b, 64<<10); err == nil || !strings.Contains(err.Error(), "too much") {
		t.Errorf("got %v", err)
	}
}

func TestWriteIPCNeedsARecord(t *testing.T) {
	if err := arrowio.WriteIPC(io.Discard, nil); err == nil {
		t.Error("no error for no records")
	}
}

// stream is a well-formed IPC stream of dialogues, the seed of hostile ones.
func stream(t testing.TB) []byte {
	yes := true
	rec, err := arrowio.Encode(memory.NewGoAllocator(), []schemas.Dialogue{
		{ID: "1", Turns: []schemas.Turn{{Role: "user", Content: "我的订单呢？"}, {Role: "assistant", Content: "在路上。", Train: &yes}}},
		{ID: "2", Signature: []uint32{1, 2, 3}, Edits: []string{"unicode"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer rec.Release()
	var b bytes.Buffer
	if err := arrowio.WriteIPC(&b, []arrow.Record{rec}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// Hostile bytes are an error, in reading or in decoding, and never a panic.
func FuzzReadIPC(f *testing.F) {
	f.Add(stream(f))
	f.Add([]byte{255, 255, 255, 255, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		records, err := arrowio.ReadIPC(bytes.NewReader(data), 1<<20)
		if err != nil {
			return
		}
		for _, rec := range records {
			_, _ = arrowio.Decode[schemas.Dialogue](rec)
			rec.Release()
		}
	})
}
