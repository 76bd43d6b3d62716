package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/glmflow/glmflow/gpu/chatglm"
	"github.com/glmflow/glmflow/gpu/device"
	"github.com/glmflow/glmflow/pipeline/artifact"
	"github.com/glmflow/glmflow/pipeline/ledger"
	"github.com/glmflow/glmflow/schemas"
	"github.com/glmflow/glmflow/stages/evaluate"
	"github.com/glmflow/glmflow/stages/train"
)

// starts is what train may start from.
type starts struct {
	base   base
	ledger *ledger.Ledger
}

// models finds what evaluate compares.
type models struct {
	base   base
	device device.Device
	ledger *ledger.Ledger
	store  *artifact.Store
}

var (
	_ train.Models    = (*starts)(nil)
	_ evaluate.Models = (*models)(nil)
)

// A base is the model that adapters stand on.
type base struct {
	dir    string
	digest artifact.Digest // of its tree
}

// openBase names the model in dir by its digest: reading it once is the price of
// knowing for certain what a fine-tuned model was made from.
func openBase(ctx context.Context, dir string) (base, error) {
	if err := checkBase(dir); err != nil {
		return base{}, err
	}
	digest, err := artifact.OfTree(ctx, os.DirFS(dir))
	if err != nil {
		return base{}, fmt.Errorf("base model %s: %w", dir, err)
	}
	return base{dir, digest}, nil
}

// Base implements [train.Models].
func (s *starts) Base() (string, artifact.Digest) { return s.base.dir, s.base.digest }

// Production implements [train.Models].
func (s *starts) Production(ctx context.Context, name string) (schemas.ReleaseRow, bool, error) {
	model, err := s.ledger.Current(ctx, name)
	if err != nil {
		return schemas.ReleaseRow{}, false, err
	}
	release, ok := model.Version(model.Aliases[schemas.AliasProduction])
	return release, ok, nil
}

// Model finds the model that ref names, for who uses it outside of the stages.
func (a *App) Model(ctx context.Context, ref string) (evaluate.Ref, error) {
	base, err := openBase(ctx, a.Config.Model.Base)
	if err != nil {
		return evaluate.Ref{}, err
	}
	m := models{base: base, ledger: a.Ledger, store: a.Store}
	found, err := m.Resolve(ctx, ref)
	if err != nil {
		return evaluate.Ref{}, fmt.Errorf("%s: %w", ref, err)
	}
	return found, nil
}

// Resolve implements [evaluate.Models].
func (m *models) Resolve(ctx context.Context, ref string) (evaluate.Ref, error) {
	if ref == "" || ref == "base" {
		return evaluate.Ref{Name: "base", Dir: m.base.dir}, nil
	}
	if err := m.ledger.Sync(ctx); err != nil {
		return evaluate.Ref{}, err
	}
	release, err := m.ledger.Resolve(ref)
	if err == nil {
		if release.Base != string(m.base.digest) {
			return evaluate.Ref{}, fmt.Errorf("model %s stands on base %s, this process has %s in %s: %w", ref, release.Base, m.base.digest, m.base.dir, fs.ErrNotExist)
		}
		return m.checkout(ctx, fmt.Sprintf("%s:%d", release.Name, release.Version), artifact.Digest(release.Adapter))
	}
	if !errors.Is(err, ledger.ErrNotFound) {
		return evaluate.Ref{}, err
	}
	if digest, bad := artifact.Parse(ref); bad == nil {
		return m.checkout(ctx, "adapter "+ref, digest)
	}
	if strings.ContainsAny(ref, "/\\") {
		return m.directory(ref, ref)
	}
	return evaluate.Ref{}, fmt.Errorf("no such version, alias, digest or directory: %w", fs.ErrNotExist)
}

func (m *models) checkout(ctx context.Context, name string, tree artifact.Digest) (evaluate.Ref, error) {
	dir, err := m.store.Checkout(ctx, tree)
	if err != nil {
		return evaluate.Ref{}, fmt.Errorf("model %s: %w", name, err)
	}
	return m.directory(name, dir)
}

// directory looks whether dir holds an adapter or a whole model.
func (m *models) directory(name, dir string) (evaluate.Ref, error) {
	kind, err := chatglm.AdapterKind(dir)
	if err != nil {
		return evaluate.Ref{}, fmt.Errorf("model %s: %w", name, err)
	}
	if kind != "" {
		return evaluate.Ref{Name: name, Dir: m.base.dir, Adapter: dir}, nil
	}
	if _, err := os.Stat(filepath.Join(dir, "config.json")); err != nil {
		return evaluate.Ref{}, fmt.Errorf("model %s: neither an adapter nor a model: %w", name, err)
	}
	return evaluate.Ref{Name: name, Dir: dir}, nil
}

// Open implements [evaluate.Models].
func (m *models) Open(_ context.Context, dir string) (*chatglm.Model, error) {
	return chatglm.Open(dir, m.device)
}

// Base implements [evaluate.Models].
func (m *models) Base(_ context.Context, digest string) (string, error) {
	if digest != string(m.base.digest) {
		return "", fmt.Errorf("base model %s is not here, this process has %s in %s: %w", digest, m.base.digest, m.base.dir, fs.ErrNotExist)
	}
	return m.base.dir, nil
}
