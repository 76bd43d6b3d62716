package clean

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/glmflow/glmflow/pipeline"
	"github.com/glmflow/glmflow/pipeline/window"
	"github.com/glmflow/glmflow/schemas"
)

const (
	stageName  = "clean"
	reportRows = 256 // rows between two reports
	maxSample  = 512 // bytes of Reject.Sample
)

// Stage cleans conversations. See the package comment.
type Stage struct{ c Config }

// New returns the stage.
func New(c Config) (*Stage, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	return &Stage{c}, nil
}

// Spec implements [pipeline.Stage].
func (s *Stage) Spec() pipeline.Spec {
	return pipeline.Spec{
		Name: stageName, About: "mends conversations, masks personal data, drops what teaches nothing",
		In:      []schemas.Kind{schemas.DialogueRaw},
		Out:     []schemas.Kind{schemas.DialogueClean, schemas.DialogueReject},
		Workers: 2,
	}
}

// Run implements [pipeline.Stage].
func (s *Stage) Run(ctx context.Context, job *pipeline.Job) error {
	var rows []schemas.Dialogue
	for d, err := range pipeline.Rows[schemas.Dialogue](job) {
		if err != nil {
			return err
		}
		rows = append(rows, d)
	}
	masked := make(map[string]int64)
	w := newWasher(rules(s.c, masked))
	reject := make([]*schemas.Reject, len(rows))
	for done, i := range canonical(rows) {
		if err := ctx.Err(); err != nil {
			return err
		}
		reject[i] = w.wash(&rows[i])
		if (done+1)%reportRows == 0 {
			job.Report(pipeline.Progress{Done: int64(done + 1), Total: int64(len(rows)), Unit: "conversations"})
		}
	}
	var clean []schemas.Dialogue
	var rejects []schemas.Reject
	for i, d := range rows {
		if reject[i] != nil {
			rejects = append(rejects, *reject[i])
		} else {
			clean = append(clean, d)
		}
	}
	if err := pipeline.Emit(job, schemas.DialogueClean, clean...); err != nil {
		return err
	}
	if err := pipeline.Emit(job, schemas.DialogueReject, rejects...); err != nil {
		return err
	}
	meta, err := encodeMeta(map[string]any{schemas.MetaRules: w.counts, schemas.MetaPII: masked})
	if err != nil {
		return err
	}
	return job.Cut(schemas.DialogueClean, meta)
}

func encodeMeta(facts map[string]any) (map[string]string, error) {
	meta := make(map[string]string, len(facts))
	for name, fact := range facts {
		text, err := json.Marshal(fact)
		if err != nil {
			return nil, fmt.Errorf("encode meta %s: %w", name, err)
		}
		meta[name] = string(text)
	}
	return meta, nil
}

// A washer puts dialogues through the rules and counts.
type washer struct {
	rules  []rule
	counts []schemas.RuleCount
}

func newWasher(rules []rule) *washer {
	w := &washer{rules: rules, counts: make([]schemas.RuleCount, len(rules))}
	for i, r := range rules {
		w.counts[i].Rule = r.name
	}
	return w
}

// wash cleans d in place, or returns why it is dropped.
func (w *washer) wash(d *schemas.Dialogue) *schemas.Reject {
	before := *d
	for i, r := range w.rules {
		w.counts[i].In++
		out := r.apply(d)
		if out.reason != "" {
			return &schemas.Reject{
				ID: d.ID, Stage: stageName, Rule: r.name, Reason: out.reason,
				Origin: d.Origin, Sample: sample(before),
			}
		}
		w.counts[i].Out++
		if out.edited {
			w.counts[i].Edited++
			d.Edits = append(d.Edits, r.name)
		}
	}
	d.Signature = window.Signature(said(*d))
	return nil
}

// said returns what was said in d, without system messages: those are the same
// in conversations that have nothing else in common.
func said(d schemas.Dialogue) string {
	var b strings.Builder
	for _, t := range d.Turns {
		if t.Role != schemas.RoleSystem {
			b.WriteString(t.Content)
			b.WriteByte('\n')
		}
	}
	return b.String()
}

// sample returns the beginning of d for a reject, with personal data masked:
// what is dropped must not leak what is kept from training.
func sample(d schemas.Dialogue) string {
	m := newMasker(tagsEnglish())
	var b strings.Builder
	for _, t := range d.Turns {
		if b.Len() > maxSample {
			break
		}
		content, _ := m.mask(strings.ToValidUTF8(t.Content, "?"))
		fmt.Fprintf(&b, "%s: %s\n", t.Role, content)
	}
	s := b.String()
	for cut := maxSample; len(s) > maxSample; cut-- {
		if utf8.RuneStart(s[cut]) {
			s = s[:cut]
		}
	}
	return s
}
