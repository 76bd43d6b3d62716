package pipelinetest

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/glmflow/glmflow/pipeline"
	"github.com/glmflow/glmflow/pipeline/artifact"
)

// ErrInjected is the error of every fault.
var ErrInjected = errors.New("injected fault")

// Faults breaks a store on purpose. Its methods may be called from several
// goroutines.
type Faults struct {
	mu   sync.Mutex
	left int // operations until the fault; -1 for none
	seen int
}

// FailAfter makes the n-th operation from now fail, counted from 0, and only
// that one. A negative n makes none fail.
func (f *Faults) FailAfter(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.left, f.seen = n, 0
}

// Seen counts the operations since FailAfter, or since the beginning.
func (f *Faults) Seen() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.seen
}

// NewFaults returns faults that let everything pass until FailAfter is called.
func NewFaults() *Faults { return &Faults{left: -1} }

// Option makes a store break as f says.
func (f *Faults) Option() artifact.Option {
	return artifact.Before(func(op artifact.Op, key string) error {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.seen++
		f.left--
		if f.left == -1 {
			return fmt.Errorf("%s %s: %w", op, key, ErrInjected)
		}
		f.left = max(f.left, -2)
		return nil
	})
}

// Wrapped is a stage with something around its Run.
type Wrapped struct {
	pipeline.Stage
	Around func(ctx context.Context, job *pipeline.Job, run func(context.Context, *pipeline.Job) error) error
}

// Run calls Around.
func (w Wrapped) Run(ctx context.Context, job *pipeline.Job) error {
	return w.Around(ctx, job, w.Stage.Run)
}
