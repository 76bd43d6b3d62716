package parquetio_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/apache/arrow/go/v17/parquet/file"
	"github.com/apache/arrow/go/v17/parquet/pqarrow"
	"github.com/google/go-cmp/cmp"

	"github.com/glmflow/glmflow/schemas"
	"github.com/glmflow/glmflow/schemas/arrowio"
)

// TestAnotherReaderOpensOurFiles reads every kind with Apache Arrow's own
// Parquet reader, which shares no code with parquet-go, and finds the records
// that we send through Arrow.
func TestAnotherReaderOpensOurFiles(t *testing.T) {
	yes, loss := true, 1.5
	adapter := schemas.AdapterRow{Name: "x", Seed: 1 << 63, Curve: []schemas.Point{{Step: 1}, {Step: 2, ValLoss: &loss}}}
	dialogues := append(manyDialogues(9000), schemas.Dialogue{
		ID: "x", Turns: []schemas.Turn{{Role: "user", Content: "在吗"}, {Role: "assistant", Content: "在的", Train: &yes}},
		Edits: []string{"pii"}, Signature: []uint32{1 << 31},
	})
	foreign(t, schemas.DialogueRaw, dialogues)
	foreign(t, schemas.DialogueClean, dialogues[:3])
	foreign(t, schemas.DialogueReject, []schemas.Reject{{Rule: "too-long", Reason: "the line is longer"}, {}})
	foreign(t, schemas.Tokens, []schemas.TokenRow{{ID: "a", IDs: []int32{1, 2}, Labels: []int32{-100, 2}}, {ID: "b"}})
	foreign(t, schemas.Adapter, []schemas.AdapterRow{adapter})
	foreign(t, schemas.Score, []schemas.ScoreRow{
		{Candidate: "a", Adapter: &adapter, Metrics: []schemas.Metric{{Name: "loss", Low: -1, HigherIsBetter: true}}},
		{Candidate: "b", Rules: []schemas.RuleResult{{Rule: "r", Passed: true}}},
	})
	foreign(t, schemas.Release, []schemas.ReleaseRow{{Name: "assistant", Version: 3, Failed: []string{"loss"}}})
}

// foreign holds what Apache Arrow reads in a file of rows against [arrowio].
func foreign[T any](t *testing.T, kind schemas.Kind, rows []T) {
	t.Helper()
	r, err := file.NewParquetReader(bytes.NewReader(write(t, kind, rows, nil)))
	if err != nil {
		t.Fatalf("%s: %v", kind, err)
	}
	defer r.Close()
	if v := r.MetaData().KeyValueMetadata().FindValue("glmflow.kind"); v == nil || *v != string(kind) {
		t.Errorf("%s: the file says kind %v", kind, v)
	}
	arrows, err := pqarrow.NewFileReader(r, pqarrow.ArrowReadProperties{}, memory.DefaultAllocator)
	if err != nil {
		t.Fatalf("%s: %v", kind, err)
	}
	table, err := arrows.ReadTable(t.Context())
	if err != nil {
		t.Fatalf("%s: %v", kind, err)
	}
	defer table.Release()
	var got []map[string]any
	records := array.NewTableReader(table, 1000)
	defer records.Release()
	for records.Next() {
		got = append(got, objects(t, records.Record())...)
	}
	record, err := arrowio.Encode(memory.DefaultAllocator, rows)
	if err != nil {
		t.Fatalf("%s: %v", kind, err)
	}
	defer record.Release()
	if diff := cmp.Diff(objects(t, record), got); diff != "" {
		t.Errorf("%s (-ours +theirs):\n%s", kind, diff)
	}
}

// objects are the rows of a record as JSON would show them.
func objects(t *testing.T, record arrow.Record) (rows []map[string]any) {
	t.Helper()
	text, err := record.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &rows); err != nil {
		t.Fatal(err)
	}
	return rows
}
