package parquetio_test

import (
	"bytes"
	"errors"
	"iter"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/glmflow/glmflow/schemas"
	"github.com/glmflow/glmflow/schemas/arrowio"
	"github.com/glmflow/glmflow/schemas/parquetio"
)

func seq[T any](rows []T) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for _, r := range rows {
			if !yield(r, nil) {
				return
			}
		}
	}
}

func write[T any](t testing.TB, kind schemas.Kind, rows []T, meta map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	n, err := parquetio.Write(&b, kind, seq(rows), meta)
	if err != nil || n != int64(len(rows)) {
		t.Fatalf("wrote %d of %d rows: %v", n, len(rows), err)
	}
	return b.Bytes()
}

func read[T any](data []byte) (rows []T, err error) {
	for row, err := range parquetio.Read[T](bytes.NewReader(data), int64(len(data))) {
		if err != nil {
			return rows, err
		}
		rows = append(rows, row)
	}
	return rows, nil
}

func drawDialogue(t *rapid.T) schemas.Dialogue {
	turn := rapid.Custom(func(t *rapid.T) schemas.Turn {
		return schemas.Turn{
			Role:    rapid.SampledFrom([]string{"user", "assistant"}).Draw(t, "role"),
			Content: rapid.String().Draw(t, "content"),
			Time:    rapid.Int64().Draw(t, "time"),
			Train:   rapid.Ptr(rapid.Bool(), true).Draw(t, "train"),
		}
	})
	return schemas.Dialogue{
		ID:        rapid.StringMatching(`[0-9a-f]{8}`).Draw(t, "id"),
		Turns:     rapid.SliceOfN(turn, 1, 4).Draw(t, "turns"),
		Origin:    schemas.Origin{File: "a.jsonl", Line: rapid.Int64().Draw(t, "line")},
		Edits:     rapid.SliceOfN(rapid.String(), 1, 2).Draw(t, "edits"),
		Signature: rapid.SliceOfN(rapid.Uint32(), 1, 8).Draw(t, "signature"),
	}
}

func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		rows := rapid.SliceOfN(rapid.Custom(drawDialogue), 1, 6).Draw(rt, "rows")
		got, err := read[schemas.Dialogue](write(t, schemas.DialogueRaw, rows, nil))
		if diff := cmp.Diff(rows, got); err != nil || diff != "" {
			rt.Fatal(err, diff)
		}
	})
}

// Nested optional structs, lists of structs with optional fields.
func TestRoundTripOfScores(t *testing.T) {
	loss := 1.5
	rows := []schemas.ScoreRow{
		{Candidate: "a", Adapter: &schemas.AdapterRow{Name: "x", Seed: 1 << 63, Curve: []schemas.Point{{Step: 1}, {Step: 2, ValLoss: &loss}}},
			Metrics: []schemas.Metric{{Name: "loss", Low: -1, HigherIsBetter: true}}, Samples: []schemas.Sample{{ID: "1"}}},
		{Candidate: "b", Rules: []schemas.RuleResult{{Rule: "r", Passed: true}}},
	}
	got, err := read[schemas.ScoreRow](write(t, schemas.Score, rows, nil))
	if diff := cmp.Diff(rows, got); err != nil || diff != "" {
		t.Fatal(err, diff)
	}
}

// manyDialogues are enough for several row groups.
func manyDialogues(n int) []schemas.Dialogue {
	rows := make([]schemas.Dialogue, n)
	for i := range rows {
		rows[i] = schemas.Dialogue{
			ID: strings.Repeat("ab", i%7+1), Lang: "zh",
			Turns:  []schemas.Turn{{Role: "user", Content: strings.Repeat("你好", i%5+1)}},
			Origin: schemas.Origin{Line: int64(i)}, Signature: []uint32{uint32(i), 7},
		}
	}
	return rows
}

// The bytes follow from rows and metadata alone: not from the batches they came
// in, and not from the order of the metadata.
func TestBytesAreDeterministic(t *testing.T) {
	rows := manyDialogues(20000)
	meta := map[string]string{"rules": "{}", "a": "1", "b": "2", "c": "3"}
	want := write(t, schemas.DialogueClean, rows, meta)
	codec, err := parquetio.CodecOf(schemas.DialogueClean)
	if err != nil {
		t.Fatal(err)
	}
	for _, batch := range []int{1000, 20000} {
		records := func(yield func(arrow.Record, error) bool) {
			for at := 0; at < len(rows); at += batch {
				rec, err := arrowio.Encode(memory.DefaultAllocator, rows[at:min(at+batch, len(rows))])
				if !yield(rec, err) {
					return
				}
				rec.Release()
			}
		}
		var b bytes.Buffer
		n, err := codec.WriteRecords(&b, records, meta)
		if err != nil || n != int64(len(rows)) {
			t.Fatal(n, err)
		}
		if !bytes.Equal(b.Bytes(), want) {
			t.Errorf("batches of %d rows give other bytes", batch)
		}
	}
	got, err := parquetio.Metadata(bytes.NewReader(want), int64(len(want)))
	if err != nil || got["glmflow.kind"] != "dialogue.clean" || got["glmflow.version"] != "1" || got["rules"] != "{}" {
		t.Errorf("metadata %v, %v", got, err)
	}
}

func TestReadRecords(t *testing.T) {
	rows := manyDialogues(700)
	data := write(t, schemas.DialogueRaw, rows, nil)
	codec, err := parquetio.CodecOf(schemas.DialogueRaw)
	if err != nil {
		t.Fatal(err)
	}
	var got []schemas.Dialogue
	var sizes []int64
	for rec, err := range codec.ReadRecords(bytes.NewReader(data), int64(len(data)), 300) {
		if err != nil {
			t.Fatal(err)
		}
		sizes = append(sizes, rec.NumRows())
		part, err := arrowio.Decode[schemas.Dialogue](rec)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, part...)
	}
	if diff := cmp.Diff(rows, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]int64{300, 300, 100}, sizes); diff != "" {
		t.Error(diff)
	}
}

func TestCodecOfEveryDataKind(t *testing.T) {
	for _, kind := range schemas.DataKinds() {
		if c, err := parquetio.CodecOf(kind); err != nil || c.Kind() != kind || c.Schema().NumFields() == 0 {
			t.Errorf("%s: %v", kind, err)
		}
	}
	if _, err := parquetio.CodecOf(schemas.TrainDue); err == nil {
		t.Error("a control kind has a codec")
	}
}

// A file written before a nullable column was appended still reads.
func TestReadOlderFile(t *testing.T) {
	type old struct {
		ID string `parquet:"id"`
	}
	type next struct {
		ID    string  `parquet:"id"`
		Score *string `parquet:"score,optional"`
	}
	data := write(t, schemas.DialogueRaw, []old{{"x"}}, nil)
	got, err := read[next](data)
	if diff := cmp.Diff([]next{{ID: "x"}}, got); err != nil || diff != "" {
		t.Error(err, diff)
	}
}

func TestWriteStopsAtAnError(t *testing.T) {
	broken := errors.New("broken")
	rows := func(yield func(schemas.Reject, error) bool) {
		_ = yield(schemas.Reject{}, nil) && yield(schemas.Reject{}, broken)
	}
	if _, err := parquetio.Write(&bytes.Buffer{}, schemas.DialogueReject, rows, nil); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}

func TestReadRefuses(t *testing.T) {
	whole := write(t, schemas.DialogueRaw, manyDialogues(10), nil)
	huge := bytes.Clone(whole)
	copy(huge[len(huge)-8:], []byte{255, 255, 255, 255})
	for name, data := range map[string][]byte{
		"nothing": nil, "text": []byte("id,text\n1,hello world\n"), "half": whole[:len(whole)/2], "huge footer": huge,
	} {
		if rows, err := read[schemas.Dialogue](data); err == nil {
			t.Errorf("%s: %d rows and no error", name, len(rows))
		}
	}
	if _, err := read[schemas.TokenRow](whole); err == nil {
		t.Error("a file of another kind reads")
	}
}

func FuzzRead(f *testing.F) {
	f.Add(write(f, schemas.DialogueRaw, manyDialogues(3), nil))
	f.Add([]byte("PAR1PAR1"))
	f.Fuzz(func(_ *testing.T, data []byte) {
		for _, err := range parquetio.Read[schemas.Dialogue](bytes.NewReader(data), int64(len(data))) {
			if err != nil {
				break
			}
		}
	})
}
