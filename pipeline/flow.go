package pipeline

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/glmflow/glmflow/pipeline/broker"
	"github.com/glmflow/glmflow/schemas"
)

// A Flow is a list of stages that fit together.
type Flow struct {
	stages []Stage
}

// NewFlow checks that the stages have names of their own and that whatever one
// of them waits for is made by another, or may be said from outside.
func NewFlow(stages ...Stage) (Flow, error) {
	made := schemas.ControlKinds()
	for _, s := range stages {
		made = append(made, s.Spec().Out...)
	}
	var problems []error
	names := map[string]bool{}
	for _, s := range stages {
		spec := s.Spec()
		problems = append(problems, checkSpec(spec))
		if names[spec.Name] {
			problems = append(problems, fmt.Errorf("two stages are called %q", spec.Name))
		}
		names[spec.Name] = true
		for _, k := range spec.In {
			if !slices.Contains(made, k) {
				problems = append(problems, fmt.Errorf("stage %s waits for %s, which no stage makes", spec.Name, k))
			}
		}
	}
	if err := errors.Join(problems...); err != nil {
		return Flow{}, fmt.Errorf("flow: %w", err)
	}
	return Flow{slices.Clone(stages)}, nil
}

func checkSpec(s Spec) error {
	var problems []error
	problem := func(format string, args ...any) {
		problems = append(problems, fmt.Errorf("stage %q "+format, append([]any{s.Name}, args...)...))
	}
	if broker.Token(s.Name) != s.Name {
		problem("needs a name of letters, digits, - and _")
	}
	if len(s.In) == 0 {
		problem("waits for nothing")
	}
	if s.Workers < 0 || s.Attempts < 0 || s.Lease < 0 {
		problem("has a negative number of workers (%d) or attempts (%d), or a negative lease (%s)", s.Workers, s.Attempts, s.Lease)
	}
	for _, k := range slices.Concat(s.In, s.Out) {
		if !k.IsData() && k != schemas.ModelAlias && !slices.Contains(schemas.ControlKinds(), k) {
			problem("speaks of %q, which is no kind", k)
		}
	}
	return errors.Join(problems...)
}

// Stages returns the stages of those names, in the order of the flow, or all of
// them if none is named.
func (f Flow) Stages(names ...string) ([]Stage, error) {
	if len(names) == 0 {
		return slices.Clone(f.stages), nil
	}
	var known []string
	var chosen []Stage
	for _, s := range f.stages {
		name := s.Spec().Name
		known = append(known, name)
		if slices.Contains(names, name) {
			chosen = append(chosen, s)
		}
	}
	for _, n := range names {
		if !slices.Contains(known, n) {
			return nil, fmt.Errorf("no stage is called %q: the flow has %s", n, strings.Join(known, ", "))
		}
	}
	return chosen, nil
}

// A Graph is the picture of a flow.
type Graph struct {
	Nodes []Node // in the order of the flow
	Edges []Edge // by source, then kind, then target
}

// A Node is a stage.
type Node struct{ Name, About string }

// An Edge says that what From makes wakes To. Either may be "": the world
// outside, which may say every control kind, or which keeps what nobody waits for.
type Edge struct {
	From, To string
	Kind     schemas.Kind
}

// Graph derives the picture from the stages' specs.
func (f Flow) Graph() Graph {
	var g Graph
	eaters := map[schemas.Kind][]string{}
	for _, s := range f.stages {
		spec := s.Spec()
		g.Nodes = append(g.Nodes, Node{spec.Name, spec.About})
		for _, k := range spec.In {
			eaters[k] = append(eaters[k], spec.Name)
		}
	}
	for _, k := range schemas.ControlKinds() {
		for _, to := range eaters[k] {
			g.Edges = append(g.Edges, Edge{"", to, k})
		}
	}
	for _, s := range f.stages {
		for _, k := range s.Spec().Out {
			for _, to := range eaters[k] {
				g.Edges = append(g.Edges, Edge{s.Spec().Name, to, k})
			}
			if len(eaters[k]) == 0 {
				g.Edges = append(g.Edges, Edge{s.Spec().Name, "", k})
			}
		}
	}
	return g
}

// String writes the flow one edge a line, "from -> to: kind"; the world outside
// is a dot.
func (g Graph) String() string {
	var b strings.Builder
	name := func(s string) string {
		if s == "" {
			return "."
		}
		return s
	}
	for _, e := range g.Edges {
		fmt.Fprintf(&b, "%s -> %s: %s\n", name(e.From), name(e.To), e.Kind)
	}
	return b.String()
}
