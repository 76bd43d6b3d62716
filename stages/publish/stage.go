package publish

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/glmflow/glmflow/pipeline"
	"github.com/glmflow/glmflow/pipeline/ledger"
	"github.com/glmflow/glmflow/pipeline/lineage"
	"github.com/glmflow/glmflow/schemas"
)

// Deps are what publish works with.
type Deps struct {
	Models Models
	Key    *lineage.Key // signs every release
}

// Models knows the histories of models. pipeline/ledger does.
type Models interface {
	// Current returns a model as it is now: every change that was stored before
	// the call counts.
	Current(ctx context.Context, name string) (ledger.Model, error)
}

// Stage is the publish stage. Make one with [New].
type Stage struct {
	config Config
	deps   Deps
}

// New returns the stage, or what is wrong with its configuration.
func New(config Config, deps Deps) (*Stage, error) {
	if err := config.Validate(); err != nil {
		return nil, fmt.Errorf("publish: %w", err)
	}
	if deps.Models == nil || deps.Key == nil {
		return nil, errors.New("publish: the models' histories and a signing key are both needed")
	}
	return &Stage{config, deps}, nil
}

// Spec describes the stage.
func (s *Stage) Spec() pipeline.Spec {
	return pipeline.Spec{
		Name:  "publish",
		About: "give a candidate a version, sign it, and move the aliases if it passed the gate",
		In:    []schemas.Kind{schemas.Score},
		Out:   []schemas.Kind{schemas.Release, schemas.ModelAlias},
	}
}

// Run publishes the candidate of one score.
func (s *Stage) Run(ctx context.Context, job *pipeline.Job) error {
	score, err := onlyScore(job)
	if err != nil {
		return err
	}
	if score.Adapter == nil {
		job.Note(fmt.Sprintf("nothing to publish: %s was evaluated on request", score.Candidate))
		return nil
	}
	dataset, err := job.Dataset()
	if err != nil {
		return pipeline.Park(err)
	}
	model, err := s.deps.Models.Current(ctx, score.Adapter.Name)
	if err != nil {
		return err
	}
	c := candidate{ScoreRow: score, version: model.Next(), digest: dataset.Digest}
	release, err := c.release(ctx, job.Store(), s.deps.Key)
	if err != nil {
		return err
	}
	change := s.decide(&release, model)
	change.Actor = job.Event().Actor
	change.Reason = verdict(score)
	if err := pipeline.Emit(job, schemas.Release, release); err != nil {
		return err
	}
	job.Note(fmt.Sprintf("%s:%d %s", release.Name, release.Version, outcome(release, change)))
	ev, err := schemas.NewEvent(schemas.ModelAlias, "", "", job.Now(), change)
	if err != nil {
		return err
	}
	ev.Subject = release.Name
	return job.Post(ev, pipeline.ExpectLast(model.Seq))
}

// onlyScore returns the one row of the job's dataset.
func onlyScore(job *pipeline.Job) (score schemas.ScoreRow, err error) {
	n := 0
	for row, err := range pipeline.Rows[schemas.ScoreRow](job) {
		if err != nil {
			return score, err
		}
		score, n = row, n+1
	}
	if n != 1 {
		return score, pipeline.Park(fmt.Errorf("the dataset has %d scores, want exactly one", n))
	}
	return score, nil
}

// decide says how the aliases change, and notes in the release whether it became
// production.
func (s *Stage) decide(release *schemas.ReleaseRow, model ledger.Model) schemas.AliasChange {
	change := schemas.AliasChange{Action: "publish", Version: release.Version, Release: release, Aliases: map[string]int64{}}
	if !release.Passed {
		return change
	}
	if s.config.Promote == PromoteAuto {
		release.Promoted = true
		change.Aliases = ledger.Promotion(model, release.Version)
	}
	change.Aliases[schemas.AliasCandidate] = release.Version
	return change
}

// verdict is the gate's word in a sentence.
func verdict(score schemas.ScoreRow) string {
	if len(score.Rules) == 0 && score.Passed {
		return "the gate has no rules"
	}
	var broken []string
	for _, r := range score.Rules {
		if !r.Passed {
			broken = append(broken, r.Rule+" ("+r.Detail+")")
		}
	}
	if score.Passed {
		return fmt.Sprintf("passed the gate: %d of %d rules held", len(score.Rules), len(score.Rules))
	}
	return "refused by the gate: " + strings.Join(broken, "; ")
}

// outcome says in a few words what became of a release.
func outcome(release schemas.ReleaseRow, change schemas.AliasChange) string {
	switch old := change.Aliases[schemas.AliasPrevious]; {
	case !release.Passed:
		return "is kept as rejected: " + strings.Join(release.Failed, "; ")
	case !release.Promoted:
		return "is the candidate and waits for a person to promote it"
	case old != 0:
		return fmt.Sprintf("is production now; version %d is previous", old)
	}
	return "is production now, the first"
}
