package finetune

import (
	"context"
	"io"
	"os"
	"path/filepath"

	"github.com/glmflow/glmflow/gpu/checkpoint/atomicfile"
)

// Checkpoints is where a run keeps what it needs to go on.
type Checkpoints interface {
	// Save replaces what is kept under name by what write writes, at once or
	// not at all.
	Save(ctx context.Context, name string, write func(io.Writer) error) error
	// Load opens what was saved under name; the error is fs.ErrNotExist where
	// there is nothing.
	Load(ctx context.Context, name string) (io.ReadCloser, error)
}

// Dir is a directory that keeps checkpoints in files. It is created by the
// first Save.
type Dir string

// Save implements [Checkpoints].
func (d Dir) Save(_ context.Context, name string, write func(io.Writer) error) error {
	if err := atomicfile.MkdirAll(string(d)); err != nil {
		return err
	}
	return atomicfile.Write(filepath.Join(string(d), name), write)
}

// Load implements [Checkpoints].
func (d Dir) Load(_ context.Context, name string) (io.ReadCloser, error) {
	return os.Open(filepath.Join(string(d), name))
}

// Remove deletes the directory and what is in it.
func (d Dir) Remove() error { return os.RemoveAll(string(d)) }
