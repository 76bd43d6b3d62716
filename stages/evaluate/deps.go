package evaluate

import (
	"context"
	"iter"

	"github.com/glmflow/glmflow/gpu/chatglm"
	"github.com/glmflow/glmflow/gpu/chatglm/tokenizer"
	"github.com/glmflow/glmflow/pipeline/artifact"
	"github.com/glmflow/glmflow/schemas"
)

// Deps are what evaluate works with.
type Deps struct {
	Models  Models
	Data    Data
	Encoder tokenizer.Encoder // the vocabulary of the base model
}

// Models finds and opens models.
type Models interface {
	// Resolve finds the model that ref names: "" is the base model, others are a
	// directory, name@alias, name:version or a digest. The error of a reference
	// that names nothing wraps fs.ErrNotExist.
	Resolve(ctx context.Context, ref string) (Ref, error)
	// Base returns the directory of the base model with that digest, or an error
	// that wraps fs.ErrNotExist.
	Base(ctx context.Context, digest string) (dir string, err error)
	// Open loads the model in dir onto the device. The caller closes it.
	Open(ctx context.Context, dir string) (*chatglm.Model, error)
}

// A Ref is a model that was found.
type Ref struct {
	Name    string // what a score calls it: "base", "assistant:3", "adapter sha256:…"
	Dir     string // directory of the base model, or of a fully trained one
	Adapter string // directory of the adapter on top of it, "" for none
}

// Data finds conversations that are not in a window.
type Data interface {
	// HeldOut is the digest of the manifest of the window trained on last. The
	// error wraps fs.ErrNotExist if there was none.
	HeldOut(ctx context.Context) (digest string, err error)
	// Read encodes the conversations of a dialogue dataset, or of an uploaded
	// file in any layout that ingest knows. It may be ranged over again.
	Read(ctx context.Context, store *artifact.Store, d artifact.Digest) iter.Seq2[schemas.TokenRow, error]
}
