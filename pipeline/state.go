package pipeline

import (
	"context"
	"io"

	"github.com/glmflow/glmflow/pipeline/artifact"
	"github.com/glmflow/glmflow/pipeline/broker"
)

// A State keeps the intermediate results of one job, such as the checkpoints of a
// training. It lies in the artifact store, so it survives a crash and follows the
// job to another machine; it is deleted once the job is done.
type State struct {
	store *artifact.Store
	dir   string
	touch func()
}

// State returns the job's own state.
func (j *Job) State() *State {
	return &State{store: j.store, dir: stateDir(j.spec.Name, j.key) + "/files", touch: j.touch}
}

func stateDir(stage, key string) string { return broker.Token(stage) + "/" + broker.Token(key) }

// Save stores what write writes under name, in place of what was there: a crash
// leaves the old bytes or the new ones. It renews the lease.
func (s *State) Save(ctx context.Context, name string, write func(io.Writer) error) error {
	s.touch()
	defer s.touch()
	return s.store.Save(ctx, s.dir+"/"+name, func(w io.Writer) error {
		return write(touching{w, s.touch})
	})
}

// Load opens what was saved under name. The error satisfies fs.ErrNotExist if
// nothing was.
func (s *State) Load(ctx context.Context, name string) (io.ReadCloser, error) {
	s.touch()
	return s.store.Load(ctx, s.dir+"/"+name)
}

// touching renews the lease while a large state is written.
type touching struct {
	w     io.Writer
	touch func()
}

func (t touching) Write(p []byte) (int, error) {
	t.touch()
	return t.w.Write(p)
}
