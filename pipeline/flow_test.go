package pipeline_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/glmflow/glmflow/pipeline"
	"github.com/glmflow/glmflow/schemas"
)

// reader stands for a stage that makes raw dialogues from orders.
func reader() pipeline.Stage {
	return toy{spec: pipeline.Spec{Name: "reader", About: "reads", In: []schemas.Kind{schemas.IngestRequest}, Out: []schemas.Kind{schemas.DialogueRaw}}}
}

func TestFlow(t *testing.T) {
	f, err := pipeline.NewFlow(reader(), scrub(), split())
	if err != nil {
		t.Fatal(err)
	}
	want := `. -> reader: ingest.request
reader -> scrub: dialogue.raw
scrub -> split: dialogue.clean
scrub -> .: dialogue.reject
split -> .: tokens
`
	if diff := cmp.Diff(want, f.Graph().String()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(pipeline.Node{Name: "reader", About: "reads"}, f.Graph().Nodes[0]); diff != "" {
		t.Error(diff)
	}
	for _, c := range []struct{ ask, want string }{{"", "reader scrub split"}, {"split reader", "reader split"}} {
		stages, err := f.Stages(strings.Fields(c.ask)...)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, s := range stages {
			names = append(names, s.Spec().Name)
		}
		if got := strings.Join(names, " "); got != c.want {
			t.Errorf("stages %q are %q, want %q", c.ask, got, c.want)
		}
	}
	if _, err := f.Stages("clean"); err == nil || !strings.Contains(err.Error(), "the flow has reader, scrub, split") {
		t.Errorf("error %v, want one that lists the stages", err)
	}
}

func TestFlowRefuses(t *testing.T) {
	spec := func(s pipeline.Spec) pipeline.Stage { return toy{spec: s} }
	in := []schemas.Kind{schemas.TrainDue}
	for _, c := range []struct {
		stages []pipeline.Stage
		want   string
	}{
		{[]pipeline.Stage{scrub()}, "scrub waits for dialogue.raw, which no stage makes"},
		{[]pipeline.Stage{reader(), reader()}, `two stages are called "reader"`},
		{[]pipeline.Stage{spec(pipeline.Spec{Name: "a.b", In: in})}, "needs a name of letters"},
		{[]pipeline.Stage{spec(pipeline.Spec{In: in})}, "needs a name"},
		{[]pipeline.Stage{spec(pipeline.Spec{Name: "a"})}, "waits for nothing"},
		{[]pipeline.Stage{spec(pipeline.Spec{Name: "a", In: in, Workers: -1})}, "negative number of workers (-1)"},
		{[]pipeline.Stage{spec(pipeline.Spec{Name: "a", In: in, Out: []schemas.Kind{"typo"}})}, `"typo", which is no kind`},
	} {
		if _, err := pipeline.NewFlow(c.stages...); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, want one about %q", err, c.want)
		}
	}
}
