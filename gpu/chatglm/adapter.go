package chatglm

import (
	"errors"
	"io/fs"
	"slices"

	"github.com/glmflow/glmflow/gpu/checkpoint"
	"github.com/glmflow/glmflow/gpu/checkpoint/peft"
	"github.com/glmflow/glmflow/gpu/checkpoint/safetensors"
)

// Adapters are what a frozen model is trained by: low-rank branches beside its
// linears ([Model.AddLoRA]) and keys and values before its sequences
// ([Model.AddPrefix]). A model may have both; a directory holds one of them.

// Kinds of adapters.
const (
	KindLoRA   = "lora"
	KindPrefix = "ptuning"
)

// AdapterKind says which adapter is in dir: KindLoRA for a PEFT directory,
// KindPrefix for a prefix, "" for anything else, a whole model included.
func AdapterKind(dir string) (string, error) {
	isLoRA, err := peft.Find(dir)
	if err != nil {
		return "", err
	}
	if isLoRA {
		return KindLoRA, nil
	}
	_, isPrefix, err := ReadPrefixConfig(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil || !isPrefix {
		return "", err
	}
	files, err := checkpoint.OpenDir(dir)
	if err != nil {
		return "", err
	}
	defer files.Close()
	if slices.Contains(files.Names(), embeddingName) {
		return "", nil // a whole model that has a prefix
	}
	return KindPrefix, nil
}

// TrainAdapters makes the adapters, and nothing else, trainable. If the memory
// for the gradients cannot be had, nothing is.
func (m *Model) TrainAdapters() error { return m.train((*Param).isAdapter) }

// SetDropout changes the dropout of the adapters in training, and the seed of
// its random numbers. Loaded ones come with the seed 0; LoRA with the dropout
// it was trained with, a prefix with 0.1.
func (m *Model) SetDropout(p float32, seed uint64) error {
	if m.lora == nil && m.prefix == nil {
		return errors.New("the model has no adapters whose dropout could be set")
	}
	if err := checkDropout("adapter", p); err != nil {
		return err
	}
	if m.lora != nil {
		m.lora.Dropout, m.lora.seed = p, seed
	}
	if m.prefix != nil {
		m.prefix.Dropout, m.prefix.seed = p, seed
	}
	return nil
}

// UseAdapters switches the adapters off or on: off, the model computes as its
// base does.
func (m *Model) UseAdapters(on bool) { m.adaptersOff = !on }

// RemoveAdapters takes the adapters away, if there are any.
func (m *Model) RemoveAdapters() {
	m.removeLoRA()
	m.removePrefix()
	m.adaptersOff = false
}

// SaveAdapter writes the adapter to dir: LoRA in PEFT's layout
// (adapter_config.json and adapter_model.safetensors), a prefix in the original
// project's (config.json with pre_seq_len, and model.safetensors with nothing
// but transformer.prefix_encoder.*). base names the base model for other loaders.
func (m *Model) SaveAdapter(dir, base string) error {
	switch {
	case m.lora != nil && m.prefix != nil:
		return errors.New("save adapter: the model has LoRA and a prefix, and a directory holds one adapter: merge LoRA first")
	case m.lora != nil:
		return m.saveLoRA(dir, base)
	case m.prefix != nil:
		return m.savePrefix(dir, base)
	}
	return errors.New("save adapter: the model has none")
}

// LoadAdapter puts the adapter in dir, of either kind, on the model. It is not
// trainable until [Model.TrainAdapters]. Adapters that the model has already are
// replaced once the new one is known to fit.
func (m *Model) LoadAdapter(dir string) error {
	isLoRA, err := peft.Find(dir)
	if err != nil {
		return err
	}
	if !isLoRA {
		c, isPrefix, err := ReadPrefixConfig(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if isPrefix {
			return m.loadPrefix(dir, c)
		}
	}
	return m.loadLoRA(dir) // what most adapters are
}

// removeParams takes weights away, all of a kind of adapter. If they were
// trainable, nothing is afterwards.
func (m *Model) removeParams(unwanted func(*Param) bool) {
	m.dropBuffers()
	var gone []*Param
	m.params = slices.DeleteFunc(m.params, func(p *Param) bool {
		if unwanted(p) {
			gone = append(gone, p)
		}
		return unwanted(p)
	})
	if slices.ContainsFunc(gone, (*Param).Trainable) {
		m.Freeze()
	}
	freeParams(m.dev, gone)
}

// outputs lets weights be written.
func (m *Model) outputs(wanted func(*Param) bool) []safetensors.Output {
	var out []safetensors.Output
	for _, p := range m.params {
		if wanted(p) {
			out = append(out, m.output(p))
		}
	}
	return out
}
