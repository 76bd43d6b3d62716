package pipelinetest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"iter"
	"slices"
	"testing"
	"time"

	"github.com/glmflow/glmflow/pipeline/artifact"
	"github.com/glmflow/glmflow/schemas"
	"github.com/glmflow/glmflow/schemas/parquetio"
)

// An Input starts one job. A data kind takes Rows, a control kind Data.
type Input struct {
	Kind schemas.Kind
	Rows any               // a slice of the kind's row struct, such as []schemas.Dialogue
	Meta map[string]string // of the dataset
	Data any               // the control event's data, such as schemas.TrainJob

	Files [][]byte             // put into the store first; refer to them by artifact.Of
	Trees []fs.FS              // put into the store first
	Edit  func(*schemas.Event) // changes the finished event; its ID derives from the content
}

// Event stores what in needs and returns the event that starts the job.
func (in Input) Event(t testing.TB, store *artifact.Store) schemas.Event {
	t.Helper()
	ev, err := in.event(t.Context(), store)
	if err != nil {
		t.Fatalf("input %s: %v", in.Kind, err)
	}
	return ev
}

func (in Input) event(ctx context.Context, store *artifact.Store) (schemas.Event, error) {
	for _, b := range in.Files {
		if _, err := store.PutBytes(ctx, b); err != nil {
			return schemas.Event{}, err
		}
	}
	for _, dir := range in.Trees {
		if _, err := store.PutTree(ctx, dir); err != nil {
			return schemas.Event{}, err
		}
	}
	data := in.Data
	if in.Kind.IsData() && data == nil {
		d, err := in.dataset(ctx, store)
		if err != nil {
			return schemas.Event{}, err
		}
		data = d
	}
	text, err := json.Marshal(data)
	if err != nil {
		return schemas.Event{}, err
	}
	id := artifact.Of(append([]byte(in.Kind+"\x00"), text...)).Hex()[:32]
	ev, err := schemas.NewEvent(in.Kind, id, "/glmflow/test", time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), data)
	ev.Run, ev.Actor = "run-test", "tester"
	if in.Edit != nil {
		in.Edit(&ev)
	}
	return ev, err
}

// dataset stores the rows as a Parquet artifact.
func (in Input) dataset(ctx context.Context, store *artifact.Store) (schemas.Dataset, error) {
	d := schemas.Dataset{Kind: in.Kind, Version: in.Kind.Version(), Meta: in.Meta}
	var file bytes.Buffer
	var err error
	switch rows := in.Rows.(type) {
	case nil:
		err = fmt.Errorf("no rows")
	case []schemas.Dialogue:
		d.Rows, err = parquetio.Write(&file, in.Kind, seq(rows), nil)
	case []schemas.Reject:
		d.Rows, err = parquetio.Write(&file, in.Kind, seq(rows), nil)
	case []schemas.TokenRow:
		d.Rows, err = parquetio.Write(&file, in.Kind, seq(rows), nil)
	case []schemas.AdapterRow:
		d.Rows, err = parquetio.Write(&file, in.Kind, seq(rows), nil)
	case []schemas.ScoreRow:
		d.Rows, err = parquetio.Write(&file, in.Kind, seq(rows), nil)
	case []schemas.ReleaseRow:
		d.Rows, err = parquetio.Write(&file, in.Kind, seq(rows), nil)
	default:
		err = fmt.Errorf("rows of type %T belong to no kind", in.Rows)
	}
	if err != nil {
		return d, err
	}
	d.Bytes = int64(file.Len())
	digest, err := store.PutBytes(ctx, file.Bytes())
	d.Digest = string(digest)
	return d, err
}

func seq[T any](rows []T) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for row := range slices.Values(rows) {
			if !yield(row, nil) {
				return
			}
		}
	}
}
