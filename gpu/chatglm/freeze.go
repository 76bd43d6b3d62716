package chatglm

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// A Part says which of the base model's weights are trained while the others
// stay frozen ("freeze" tuning).
//
// First and Last choose layers, all of them where both are 0. Of the chosen
// layers every weight is trained, or with Modules those whose names contain one
// of the modules. The embedding, the final norm and the output layer are trained
// only where Modules names them.
type Part struct {
	First   int      `json:"train_first" yaml:"train_first"`               // that many layers next to the embedding
	Last    int      `json:"train_last" yaml:"train_last"`                 // that many layers next to the output
	Modules []string `json:"train_modules,omitempty" yaml:"train_modules"` // whole parts of names: "mlp", "query_key_value", "layers.3", "output_layer"
}

// Validate reports what makes no sense on any model.
func (p Part) Validate() error {
	switch {
	case p.First < 0 || p.Last < 0:
		return fmt.Errorf("train_first is %d and train_last %d: want 0 or more", p.First, p.Last)
	case p.First == 0 && p.Last == 0 && len(p.Modules) == 0:
		return errors.New("nothing is trained: set train_last, train_first or train_modules")
	}
	return nil
}

// TrainPart makes a part of the model, and nothing else, trainable. If the
// memory for the gradients cannot be had, nothing is.
func (m *Model) TrainPart(p Part) error {
	if err := p.Validate(); err != nil {
		return err
	}
	if p.First+p.Last > len(m.layers) {
		return fmt.Errorf("train_first is %d and train_last %d: the model has %d layers", p.First, p.Last, len(m.layers))
	}
	for _, module := range p.Modules {
		if !m.has(module) {
			return fmt.Errorf("train_modules has %q: no weight of the model has it in its name; weights are called like %q", module, m.layers[0].up.w.Name)
		}
	}
	if err := m.train(func(w *Param) bool { return !w.isAdapter() && p.wants(w.Name, len(m.layers)) }); err != nil {
		return err
	}
	if len(m.Trainable()) == 0 {
		return fmt.Errorf("nothing is trained: train_modules %v are not in the layers chosen by train_first %d and train_last %d", p.Modules, p.First, p.Last)
	}
	return nil
}

// wants reports whether a weight of a model of that many layers is trained.
func (p Part) wants(name string, layers int) bool {
	named := slices.ContainsFunc(p.Modules, func(module string) bool { return within(name, module) })
	i, ok := layerOf(name)
	if !ok {
		return named
	}
	chosen := p.First == 0 && p.Last == 0 || i < p.First || i >= layers-p.Last
	return chosen && (named || len(p.Modules) == 0)
}

// has reports whether a weight of the base has the module in its name.
func (m *Model) has(module string) bool {
	for _, w := range m.params {
		if !w.isAdapter() && within(w.Name, module) {
			return true
		}
	}
	return false
}

// within reports whether module is one or more whole parts of a dotted name.
func within(name, module string) bool {
	return module != "" && strings.Contains("."+name+".", "."+module+".")
}

// layerOf is the number of the layer that a weight is in.
func layerOf(name string) (int, bool) {
	var i int
	var rest string
	n, _ := fmt.Sscanf(name, "transformer.encoder.layers.%d.%s", &i, &rest)
	return i, n == 2
}
