package console

import (
	"maps"
	"net/http"
	"slices"

	"github.com/glmflow/glmflow/pipeline/ledger"
	"github.com/glmflow/glmflow/schemas"
)

// Pages show so many of what grows for ever; the command line has the rest.
const (
	newestRuns    = 50
	newestEntries = 100
	shownSamples  = 5
)

// A shown is the newest part of a list.
type shown[T any] struct {
	Items []T
	Of    int // how many there are
}

// More reports whether there are some that are not shown.
func (s shown[T]) More() bool { return s.Of > len(s.Items) }

// newest takes the last n of a list, the last one first.
func newest[T any](list []T, n int) shown[T] {
	part := slices.Clone(list[max(0, len(list)-n):])
	slices.Reverse(part)
	return shown[T]{part, len(list)}
}

// The first page: the flow and the runs.
type homeData struct {
	Queues    []Queue
	Elsewhere bool // some stages are served by other processes
	Runs      shown[ledger.Run]
}

func (s *server) home(r *http.Request) (any, error) {
	queues, err := s.Source.Queues(r.Context())
	if err != nil {
		return nil, err
	}
	elsewhere := slices.ContainsFunc(queues, func(q Queue) bool { return !q.Here })
	runs := s.Source.Runs()
	return homeData{queues, elsewhere, shown[ledger.Run]{runs[:min(len(runs), newestRuns)], len(runs)}}, nil
}

// The page of one run.
type runData struct {
	ledger.Run
	Curve []schemas.Point
	Score *schemas.ScoreRow // of its last evaluation
}

func (s *server) run(r *http.Request) (any, error) {
	id := r.PathValue("id")
	run, ok := s.Source.Run(id)
	if !ok {
		return nil, notFound{"There is no such run.", id}
	}
	points, err := s.Source.Curve(r.Context(), id)
	if err != nil {
		return nil, err
	}
	d := runData{Run: run, Curve: points}
	for _, out := range slices.Backward(run.Outputs) {
		if out.Dataset.Kind != schemas.Score {
			continue
		}
		score, err := s.Source.Score(r.Context(), out.Dataset)
		if err != nil {
			return nil, err
		}
		d.Score = &score
		break
	}
	return d, nil
}

// Last is the newest point of the curve.
func (d runData) Last() schemas.Point { return d.Curve[len(d.Curve)-1] }

// Best is the point of the lowest validation loss, which is then its Loss; nil
// if nothing was validated.
func (d runData) Best() *schemas.Point {
	var best *schemas.Point
	for _, p := range d.Curve {
		if p.ValLoss != nil && (best == nil || *p.ValLoss < best.Loss) {
			best = &schemas.Point{Step: p.Step, Loss: *p.ValLoss}
		}
	}
	return best
}

// Samples are a few held-out questions with their answers.
func (d runData) Samples() []schemas.Sample {
	return d.Score.Samples[:min(shownSamples, len(d.Score.Samples))]
}

func (s *server) models(*http.Request) (any, error) { return s.Source.Models(), nil }

// The page of one model.
type modelData struct {
	ledger.Model
	Newest shown[schemas.ReleaseRow]
	Past   shown[ledger.Entry]
}

func (s *server) model(r *http.Request) (any, error) {
	name := r.PathValue("name")
	m := s.Source.Model(name)
	if len(m.Versions) == 0 && len(m.History) == 0 {
		return nil, notFound{"There is no such model.", name}
	}
	return modelData{m, newest(m.Versions, newestEntries), newest(m.History, newestEntries)}, nil
}

// AliasesOf lists the aliases of a version.
func (d modelData) AliasesOf(version int64) []string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(d.Aliases)) {
		if d.Aliases[name] == version {
			names = append(names, name)
		}
	}
	return names
}

func (s *server) nowhere(r *http.Request) (any, error) {
	return nil, notFound{"There is no such page.", r.URL.Path}
}
