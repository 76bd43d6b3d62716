package train

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"

	"github.com/glmflow/glmflow/gpu/chatglm"
	"github.com/glmflow/glmflow/gpu/checkpoint/peft"
	"github.com/glmflow/glmflow/gpu/device"
	"github.com/glmflow/glmflow/gpu/finetune"
	"github.com/glmflow/glmflow/pipeline"
	"github.com/glmflow/glmflow/pipeline/artifact"
)

// startName is where the state of a job keeps its start.
const startName = "start.json"

// A start is what a job continues. It is decided once a job.
type start struct {
	Base   string `json:"base"`   // digest of the base model's tree
	Parent string `json:"parent"` // digest of the adapter's tree, "" when from the base
}

// start returns what the job continues: what an earlier delivery decided, else
// what the configuration says now.
func (s *Stage) start(ctx context.Context, job *pipeline.Job, model, base string) (start, error) {
	var from start
	err := loadJSON(ctx, job.State(), startName, &from)
	if err == nil && from.Base == base {
		return from, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return start{}, err
	}
	from = start{Base: base}
	if s.config.Init == FromProduction {
		if from.Parent, err = s.parent(ctx, job, model, base); err != nil {
			return start{}, err
		}
	}
	return from, job.State().Save(ctx, startName, func(w io.Writer) error { return json.NewEncoder(w).Encode(from) })
}

// parent returns the tree in production if training can go on from it.
func (s *Stage) parent(ctx context.Context, job *pipeline.Job, model, base string) (string, error) {
	release, ok, err := s.deps.Models.Production(ctx, model)
	if err != nil || !ok {
		return "", err
	}
	reason, err := s.unfit(ctx, job.Store(), release.Adapter, release.Base, base)
	if err != nil {
		return "", err
	}
	if reason != "" {
		job.Log().Info("starting from the base model", "model", model, "production", release.Version, "reason", reason)
		return "", nil
	}
	return release.Adapter, nil
}

// unfit says why a tree cannot be continued with this configuration, or "".
func (s *Stage) unfit(ctx context.Context, store *artifact.Store, tree, madeFor, base string) (string, error) {
	if madeFor != base {
		return fmt.Sprintf("it was made for base %s", madeFor), nil
	}
	dir, err := store.Checkout(ctx, artifact.Digest(tree))
	if err != nil {
		return "", fmt.Errorf("the adapter in production: %w", err)
	}
	kind, err := chatglm.AdapterKind(dir)
	if err != nil {
		return "", err
	}
	method := s.config.Method
	switch {
	case kind == "" && !finetune.Whole(method):
		return "it is a whole checkpoint, the method is " + method, nil
	case kind == "":
		return "", nil
	case kind != method:
		return fmt.Sprintf("it is an adapter of method %s, the method is %s", kind, method), nil
	case kind == chatglm.KindPrefix:
		return s.unfitPrefix(dir)
	}
	return s.unfitLoRA(dir)
}

func (s *Stage) unfitLoRA(dir string) (string, error) {
	config, err := peft.ReadConfig(dir)
	if err != nil {
		return "", err
	}
	want := s.config.LoRA
	switch {
	case config.R != want.Rank || float32(config.LoraAlpha) != want.Alpha || config.RSLoRA != want.RSLoRA:
		return fmt.Sprintf("it has rank %d, alpha %g and rslora %t, configured are %d, %g and %t",
			config.R, config.LoraAlpha, config.RSLoRA, want.Rank, want.Alpha, want.RSLoRA), nil
	case config.TargetModules.Pattern != "" || !sameLayers(config.TargetModules.Names, want.Targets):
		return fmt.Sprintf("it adapts %v, configured is %v", config.TargetModules, want.Targets), nil
	}
	return "", nil
}

func (s *Stage) unfitPrefix(dir string) (string, error) {
	have, _, err := chatglm.ReadPrefixConfig(dir)
	if err != nil {
		return "", err
	}
	if want := s.config.Prefix; have.Tokens != want.Tokens || have.Projection != want.Projection {
		return fmt.Sprintf("it has %d tokens and projection %t, configured are %d and %t", have.Tokens, have.Projection, want.Tokens, want.Projection), nil
	}
	return "", nil
}

// sameLayers compares target lists; none means the default.
func sameLayers(a, b []string) bool {
	canonical := func(l []string) []string {
		if len(l) == 0 {
			return []string{"query_key_value"}
		}
		return slices.Compact(slices.Sorted(slices.Values(l)))
	}
	return slices.Equal(canonical(a), canonical(b))
}

// place is the directory of the model that the job starts from, and that of the
// adapter on top of it, "" for none.
func (s *Stage) place(ctx context.Context, job *pipeline.Job, base string, from start) (dir, adapter string, err error) {
	if from.Parent == "" {
		return base, "", nil
	}
	tree, err := job.Store().Checkout(ctx, artifact.Digest(from.Parent))
	if finetune.Whole(s.config.Method) {
		return tree, "", err
	}
	return base, tree, err
}

// open loads the model that the job starts from, if there is memory to train it.
// The caller closes it.
func (s *Stage) open(dir, adapter string, data data) (*chatglm.Model, error) {
	sketch := func(dry device.Device) (*chatglm.Model, error) {
		return chatglm.SketchDir(dir, adapter, dry, chatglm.OpenOptions{})
	}
	if _, err := finetune.Foresee(s.deps.Device, sketch, data.train, data.validation, s.config.Options); err != nil {
		return nil, err
	}
	model, err := chatglm.Open(dir, s.deps.Device)
	if err != nil || adapter == "" {
		return model, err
	}
	if err := model.LoadAdapter(adapter); err != nil {
		model.Close()
		return nil, err
	}
	return model, nil
}

// files stores what was trained as an artifact tree. The base is named in it by
// its digest: a path would be of this machine.
func (s *Stage) files(ctx context.Context, job *pipeline.Job, model *chatglm.Model, base string, from start) (artifact.Digest, error) {
	scratch, err := job.Store().Scratch()
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp(scratch, "train-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	if finetune.Whole(s.config.Method) {
		err = errors.Join(model.Save(dir), chatglm.CopyCompanions(dir, base))
	} else {
		err = model.SaveAdapter(dir, from.Base)
	}
	if err != nil {
		return "", err
	}
	return job.Store().PutTree(ctx, os.DirFS(dir))
}

func loadJSON(ctx context.Context, state *pipeline.State, name string, v any) error {
	r, err := state.Load(ctx, name)
	if err != nil {
		return err
	}
	defer r.Close()
	return json.NewDecoder(r).Decode(v)
}
