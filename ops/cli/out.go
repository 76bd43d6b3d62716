package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/glmflow/glmflow/gpu/chatglm"
	"github.com/glmflow/glmflow/gpu/checkpoint/peft"
)

// An input is a flag that names a directory or a file to read. Results are never
// written over one.
type input struct{ flag, path string }

// wholeModel is the kind of a directory that holds no adapter but all weights.
const wholeModel = ""

// anyKind is that of one of which not enough is left to tell.
const anyKind = "?"

// checkOut refuses a directory for a result of a kind (an adapter's, or wholeModel)
// where something would be lost: one of the inputs, always; a result of the same
// kind, unless it may be overwritten; anything else that is a model or an adapter,
// always, since there would be two in one directory.
func checkOut(dir, kind string, overwrite bool, inputs ...input) error {
	for _, in := range inputs {
		if sameFile(dir, in.path) {
			return usagef("--out %s is the directory of --%s, which would be written over: name another directory", dir, in.flag)
		}
	}
	info, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return usagef("--out %s is a file: name a directory", dir)
	}
	what, there, err := holds(dir)
	switch {
	case err != nil:
		return fmt.Errorf("--out %s: %w", dir, err)
	case what == "":
		return nil
	case there != kind && there != anyKind:
		return fmt.Errorf("--out %s holds %s, and a directory holds one result: name another directory", dir, what)
	case !overwrite:
		return fmt.Errorf("--out %s holds %s already: name another directory, or replace it with --overwrite", dir, what)
	}
	return nil
}

// holds says in words what a result would be mixed with or written over, and of
// which kind it is; "" is nothing.
func holds(dir string) (what, kind string, err error) {
	if isAdapter, err := peft.Find(dir); isAdapter || err != nil {
		return "a LoRA adapter", chatglm.KindLoRA, nil // what is left of one counts as well
	}
	if _, err := os.Stat(filepath.Join(dir, "config.json")); err == nil {
		// Where something is wrong with a prefix, it may be a model as well.
		if kind, err := chatglm.AdapterKind(dir); err == nil && kind == chatglm.KindPrefix {
			return "a prefix", kind, nil
		}
		return "a model", wholeModel, nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return "", "", err
	}
	for _, pattern := range []string{"model.safetensors*", "model-*-of-*.safetensors", "pytorch_model*.bin*"} {
		entries, err := fs.Glob(os.DirFS(dir), pattern)
		if err != nil {
			return "", "", err
		}
		if len(entries) > 0 {
			return entries[0] + " without a config.json", anyKind, nil
		}
	}
	return "", "", nil
}

// checkFile refuses a file for results that is one of the inputs, or lies in one.
func checkFile(flag, path string, inputs ...input) error {
	if path == "" {
		return nil
	}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil // nothing is there to be lost
	}
	for _, in := range inputs {
		if sameFile(path, in.path) || sameFile(filepath.Dir(path), in.path) {
			return usagef("--%s %s is part of --%s and would be written over: name another file", flag, path, in.flag)
		}
	}
	return nil
}

// sameFile reports whether two paths lead to the same thing, by whatever links.
func sameFile(a, b string) bool {
	if a == "" || b == "" {
		return false
	}
	x, err := os.Stat(a)
	if err != nil {
		return false
	}
	y, err := os.Stat(b)
	return err == nil && os.SameFile(x, y)
}
