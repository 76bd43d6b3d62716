package window

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/glmflow/glmflow/pipeline"
	"github.com/glmflow/glmflow/pipeline/artifact"
	"github.com/glmflow/glmflow/schemas"
	"github.com/glmflow/glmflow/schemas/parquetio"
)

// Name is the name of the [Cutter] stage.
const Name = "window"

// maxDatasets bounds the datasets of one window: their ids travel in the
// train.due event, which must stay below the broker's limit of a megabyte.
const maxDatasets = 20_000

// A Catalog knows which datasets no window holds. pipeline/ledger is one.
type Catalog interface {
	// Fresh returns what a new window of model may take: everything that is not
	// in a living window, or of that only what the given ingest runs brought.
	// It knows of every event that was stored before the call.
	Fresh(ctx context.Context, model string, runs []string) (Fresh, error)
}

// Fresh is what a new window may take, and what it must know to take it.
type Fresh struct {
	Sources []Source // in the order of their arrival
	Windows []string // digests of the model's living windows, oldest first
	Busy    []string // runs of those among them that have no verdict yet
	Last    uint64   // last sequence of the train.due subject: who cuts after reading this loses the race for it
}

// A Source is one tokens dataset.
type Source struct {
	Event    string // id of its event
	Run      string // the run that brought it
	Dataset  schemas.Dataset
	Returned bool // a window held it, came to nothing, and gave it back
}

// New is the number of rows that no window ever held.
func (f Fresh) New() int64 {
	var n int64
	for _, s := range f.Sources {
		if !s.Returned {
			n += s.Dataset.Rows
		}
	}
	return n
}

// A Cutter is the stage that cuts windows. Two orders never get the same
// conversations, on however many machines they are worked on: a window is handed
// over only if no other was since the catalog was read, and cut anew otherwise.
//
// An order that finds fewer than Config.MinRows new conversations ends as done
// without a train.due and leaves a note that says so; the conversations wait for
// the next order. Left out rows become dialogue.reject rows with their rule.
type Cutter struct {
	config  Config
	catalog Catalog
}

// New returns a Cutter.
func New(config Config, catalog Catalog) (*Cutter, error) {
	if err := config.Validate(); err != nil {
		return nil, fmt.Errorf("window: %w", err)
	}
	if catalog == nil {
		return nil, errors.New("window: no catalog of datasets was given")
	}
	return &Cutter{config, catalog}, nil
}

// Spec implements [pipeline.Stage].
func (c *Cutter) Spec() pipeline.Spec {
	return pipeline.Spec{
		Name:  Name,
		About: "cuts a window of fresh conversations: drops near duplicates, splits train, validation and test",
		In:    []schemas.Kind{schemas.TrainRequest},
		Out:   []schemas.Kind{schemas.TrainDue, schemas.DialogueReject},
	}
}

// Run implements [pipeline.Stage].
func (c *Cutter) Run(ctx context.Context, job *pipeline.Job) error {
	var order schemas.TrainOrder
	if err := job.Event().Decode(&order); err != nil {
		return pipeline.Park(err)
	}
	model := cmp.Or(order.Model, c.config.Model)
	if err := checkName(model); err != nil {
		return pipeline.Park(err)
	}
	fresh, err := c.catalog.Fresh(ctx, model, order.Runs)
	if err != nil {
		return err
	}
	sources := c.fit(fresh.Sources)
	vocab := ""
	if n := len(fresh.Sources); n > 0 {
		vocab = fresh.Sources[n-1].Dataset.Meta["vocab"] // what the tokenize stage uses now
	}
	rows, err := c.candidates(ctx, job, sources)
	if err != nil {
		return err
	}
	against := fresh.Windows[max(0, len(fresh.Windows)-c.config.Memory):]
	published, err := recall(ctx, job, against)
	if err != nil {
		return err
	}
	read := len(rows)
	kept, dropped := sift(rows, vocab, published)
	news := 0
	for _, row := range kept {
		if !row.returned {
			news++
		}
	}
	if news < c.config.MinRows {
		note := fmt.Sprintf("no retraining of %s: %s new, %d needed (window.min_rows)", model, conversations(news), c.config.MinRows)
		note += fmt.Sprintf("; read %d, dropped %d%s", read, len(dropped), inBrackets(dropped))
		if len(fresh.Busy) > 0 {
			note += "; what came before is being learned by run " + strings.Join(fresh.Busy, ", ")
		}
		job.Note(note)
		job.Log().Info("no window", "reason", note)
		return nil
	}
	m := Manifest{Version: 1, Vocab: vocab, Key: c.config.Key, Against: slices.Concat([]string{}, against)}
	splits := deal(kept, c.config.Key, c.config.Validation, c.config.Test, c.config.MinHeldOut)
	for _, split := range []Split{Train, Validation, Test} {
		part, err := storePart(ctx, job.Store(), split, splits[split])
		if err != nil {
			return fmt.Errorf("%s rows: %w", split, err)
		}
		m.Parts = append(m.Parts, part)
	}
	digest, err := m.store(ctx, job.Store())
	if err != nil {
		return fmt.Errorf("window manifest: %w", err)
	}
	if err := pipeline.Emit(job, schemas.DialogueReject, dropped...); err != nil {
		return err
	}
	job.Note(summary(model, m, dropped, len(fresh.Sources)-len(sources)))
	return c.post(job, model, string(digest), order.Reason, sources, fresh.Last)
}

// checkName refuses names that a reference such as name@alias could not hold:
// orders come from other systems, too.
func checkName(model string) error {
	if model == "" || len(model) > 64 || strings.ContainsAny(model, "@:/\\ \t\r\n.*>") {
		return fmt.Errorf("model name %.80q: it may have up to 64 characters, without blanks and any of @ : / \\ . * >", model)
	}
	return nil
}

// fit takes the sources that fit into one window: new ones first, so that what
// was given back never keeps them out, and among these the oldest.
func (c *Cutter) fit(sources []Source) []Source {
	sources = slices.Clone(sources)
	slices.SortStableFunc(sources, func(a, b Source) int { return compareBool(a.Returned, b.Returned) })
	rows := int64(0)
	for i, s := range sources {
		if rows += s.Dataset.Rows; i > 0 && rows > c.config.MaxRows || i >= maxDatasets {
			return sources[:i]
		}
	}
	return sources
}

// candidates reads the rows of all sources.
func (c *Cutter) candidates(ctx context.Context, job *pipeline.Job, sources []Source) ([]candidate, error) {
	var rows []candidate
	for i, s := range sources {
		for row, err := range pipeline.RowsOf[schemas.TokenRow](ctx, job.Store(), s.Dataset) {
			if err != nil {
				return nil, fmt.Errorf("tokens event %s: %w", s.Event, err)
			}
			rows = append(rows, candidate{row, s.Dataset.Meta["vocab"], s.Returned})
		}
		job.Report(pipeline.Progress{Done: int64(i + 1), Total: int64(len(sources)), Unit: "datasets", Message: "reading fresh conversations"})
	}
	return rows, nil
}

// recall fills the memory with what earlier windows published.
func recall(ctx context.Context, job *pipeline.Job, windows []string) (*memory, error) {
	var m memory
	for i, digest := range windows {
		manifest, err := Load(ctx, job.Store(), artifact.Digest(digest))
		if err != nil {
			return nil, err
		}
		for f, err := range manifest.fingerprints(ctx, job.Store()) {
			if err != nil {
				return nil, fmt.Errorf("window %s: %w", digest, err)
			}
			m.add(f)
		}
		job.Report(pipeline.Progress{Done: int64(i + 1), Total: int64(len(windows)), Unit: "windows", Message: "recalling earlier windows"})
	}
	return &m, nil
}

func storePart(ctx context.Context, store *artifact.Store, split Split, rows []schemas.TokenRow) (Part, error) {
	part := Part{Split: split, Rows: int64(len(rows))}
	var file bytes.Buffer
	_, err := parquetio.Write(&file, schemas.Tokens, func(yield func(schemas.TokenRow, error) bool) {
		for _, row := range rows {
			part.Tokens += int64(len(row.IDs))
			part.Targets += int64(row.Targets)
			if !yield(row, nil) {
				return
			}
		}
	}, map[string]string{"glmflow.split": string(split)})
	if err != nil {
		return part, err
	}
	digest, _, err := store.Put(ctx, &file)
	part.Members = string(digest)
	return part, err
}

// post asks for the training of the window, unless somebody else cut one since
// the catalog was read.
func (c *Cutter) post(job *pipeline.Job, model, digest, reason string, sources []Source, last uint64) error {
	due := schemas.TrainJob{Model: model, Window: digest, Reason: reason}
	for _, s := range sources {
		due.Datasets = append(due.Datasets, s.Event)
	}
	ev, err := schemas.NewEvent(schemas.TrainDue, "", "", job.Now(), due)
	if err != nil {
		return err
	}
	return job.Post(ev, pipeline.ExpectLast(last))
}

// summary says in a sentence what a window holds.
func summary(model string, m Manifest, dropped []schemas.Reject, waiting int) string {
	text := fmt.Sprintf("window for %s: %d to train, %d to validate, %d to test", model, m.Part(Train).Rows, m.Part(Validation).Rows, m.Part(Test).Rows)
	if len(dropped) > 0 {
		text += "; left out" + inBrackets(dropped)
	}
	if waiting > 0 {
		text += fmt.Sprintf("; %d datasets wait for the next window (window.max_rows)", waiting)
	}
	return text
}

// inBrackets counts what was dropped by rule, in the order of the rules' names.
func inBrackets(dropped []schemas.Reject) string {
	if len(dropped) == 0 {
		return ""
	}
	rows := make(map[string]int)
	for _, d := range dropped {
		rows[d.Rule]++
	}
	var parts []string
	for _, rule := range slices.Sorted(maps.Keys(rows)) {
		parts = append(parts, fmt.Sprintf("%s %d", rule, rows[rule]))
	}
	return " (" + strings.Join(parts, ", ") + ")"
}

func conversations(n int) string {
	if n == 1 {
		return "1 conversation is"
	}
	return fmt.Sprintf("%d conversations are", n)
}
