package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/glmflow/glmflow/pipeline/artifact"
	"github.com/glmflow/glmflow/schemas"
)

// A Skipped is a file that was not uploaded, and why.
type Skipped struct {
	Path   string
	Reason string
}

// Upload puts the files at paths, and those in directories, into the artifact
// store and returns what an ingest order says of them, and which of them it
// skipped. See [Files].
func (a *App) Upload(ctx context.Context, paths []string) (sources []schemas.Source, skipped []Skipped, err error) {
	skipped, err = Files(paths, func(name string, f *os.File) error {
		digest, n, err := a.Store.Put(ctx, f)
		if err != nil {
			return fmt.Errorf("upload %s: %w", name, err)
		}
		sources = append(sources, schemas.Source{Name: name, Digest: string(digest), Bytes: n})
		return nil
	})
	slices.SortFunc(sources, func(a, b schemas.Source) int { return strings.Compare(a.Name+a.Digest, b.Name+b.Digest) })
	return slices.Compact(sources), skipped, err
}

// Files opens the files at paths, and those in directories, one after another.
// Hidden files and links that leave their directory are skipped; ordinary files
// are all taken, since ingest recognises by content what they are. Names are
// relative to the path that led there. An error of take ends it.
func Files(paths []string, take func(name string, f *os.File) error) (skipped []Skipped, err error) {
	for _, p := range paths {
		info, err := os.Stat(p)
		if err != nil {
			return nil, err
		}
		dir, name := p, "."
		if !info.IsDir() {
			dir, name = filepath.Dir(p), filepath.Base(p)
		}
		// A root keeps every file opened below it inside the directory.
		root, err := os.OpenRoot(dir)
		if err != nil {
			return nil, err
		}
		out, err := filesOf(root, dir, name, take)
		root.Close()
		if err != nil {
			return nil, err
		}
		skipped = append(skipped, out...)
	}
	return skipped, nil
}

func filesOf(root *os.Root, dir, start string, take func(string, *os.File) error) (skipped []Skipped, err error) {
	skip := func(name, reason string) {
		skipped = append(skipped, Skipped{filepath.Join(dir, filepath.FromSlash(name)), reason})
	}
	err = fs.WalkDir(root.FS(), start, func(name string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			skip(name, err.Error())
			return nil
		case name != start && strings.HasPrefix(path.Base(name), "."):
			if e.IsDir() {
				return fs.SkipDir
			}
			return nil
		case e.IsDir():
			return nil
		}
		info, err := root.Stat(filepath.FromSlash(name)) // to open a pipe is to wait for its writer
		switch {
		case err != nil && e.Type()&fs.ModeSymlink != 0:
			skip(name, "is a link that leads out of "+dir+", or nowhere")
			return nil
		case err != nil:
			skip(name, "cannot be read: "+err.Error())
			return nil
		case info.IsDir():
			skip(name, "is a link to a directory: name that directory itself")
			return nil
		case !info.Mode().IsRegular():
			skip(name, "is neither a file nor a directory")
			return nil
		}
		f, err := root.Open(filepath.FromSlash(name))
		if err != nil {
			skip(name, "cannot be opened: "+err.Error())
			return nil
		}
		defer f.Close()
		return take(name, f)
	})
	return skipped, err
}

// ErrNothing says that there is no file to ingest.
var ErrNothing = errors.New("no file to ingest")

// Ingest orders the files at paths to be read. The order's id follows from the
// files, format and mapping, so the same files again are the same order, which
// is done already: they add nothing. It returns the run to wait for.
func (a *App) Ingest(ctx context.Context, paths []string, format, mapping, actor string) (run string, order schemas.IngestOrder, skipped []Skipped, err error) {
	sources, skipped, err := a.Upload(ctx, paths)
	if err != nil {
		return "", order, skipped, err
	}
	if len(sources) == 0 {
		return "", order, skipped, fmt.Errorf("%w in %s", ErrNothing, strings.Join(paths, ", "))
	}
	order = schemas.IngestOrder{Sources: sources, Format: format, Mapping: mapping}
	body, err := json.Marshal(order)
	if err != nil {
		return "", order, skipped, err
	}
	id := artifact.Of(body).Hex()[:32]
	return id, order, skipped, a.order(ctx, schemas.IngestRequest, id, actor, order)
}

// Train orders a retraining and returns the run to wait for. id tells one order
// from another; nothing else does.
func (a *App) Train(ctx context.Context, id, actor string, order schemas.TrainOrder) error {
	return a.order(ctx, schemas.TrainRequest, id, actor, order)
}

// Evaluate orders an evaluation and returns the run to wait for.
func (a *App) Evaluate(ctx context.Context, id, actor string, order schemas.EvalOrder) error {
	return a.order(ctx, schemas.EvalRequest, id, actor, order)
}

func (a *App) order(ctx context.Context, kind schemas.Kind, id, actor string, data any) error {
	ev, err := schemas.NewEvent(kind, id, "/glmflow/cli", a.Now(), data)
	if err != nil {
		return err
	}
	ev.Run, ev.Actor = id, actor
	if _, ok := a.Ledger.Run(id); ok {
		return nil // said before, and kept: an order is done once
	}
	_, err = a.Broker.Publish(ctx, ev)
	return err
}
