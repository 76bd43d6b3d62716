package finetune

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// A ForeignError says that the only checkpoints there are belong to another run,
// which this one would write over. [Hooks.Overwrite] allows it.
type ForeignError struct {
	Checkpoint string   // its name
	Step       int      // it was saved after
	Different  []string // what was different in that run, as clauses; nil where the checkpoint does not say
}

func (e *ForeignError) Error() string {
	different := "it was saved by a version that did not write down which"
	if len(e.Different) > 0 {
		different = strings.Join(e.Different, "; ")
	}
	return fmt.Sprintf("%s, of step %d, belongs to another run, which this one would write over: %s", e.Checkpoint, e.Step, different)
}

// since lists what is different now from what was then.
func (now identity) since(then identity) []string {
	all := changedOptions(then.Options, now.Options)
	changed := func(is bool, format string, args ...any) {
		if is {
			all = append(all, fmt.Sprintf(format, args...))
		}
	}
	changed(then.Device != now.Device, "the device was %s, is %s", then.Device, now.Device)
	changed(then.Weights != now.Weights, "weights were kept as %s, are kept as %s", then.Weights, now.Weights)
	changed(then.Base != now.Base, "the base model is another, or its files have changed")
	changed(then.Training != now.Training, "the training conversations are others")
	changed(then.Validation != now.Validation, "the validation conversations are others")
	changed(len(all) == 0 && then.Start != now.Start, "the weights that training starts from are others")
	return all
}

// changedOptions compares options field by field, by their names in
// configurations.
func changedOptions(then, now json.RawMessage) []string {
	was, is := map[string]string{}, map[string]string{}
	flatten(was, "", then)
	flatten(is, "", now)
	var all []string
	for _, name := range slices.Sorted(maps.Keys(is)) {
		if old, ok := was[name]; !ok {
			all = append(all, fmt.Sprintf("%s was not known, is %s", name, is[name]))
		} else if old != is[name] {
			all = append(all, fmt.Sprintf("%s was %s, is %s", name, old, is[name]))
		}
	}
	return all
}

// flatten collects the leaves of a JSON object under their paths.
func flatten(to map[string]string, path string, value json.RawMessage) {
	var fields map[string]json.RawMessage
	if json.Unmarshal(value, &fields) != nil || fields == nil {
		to[strings.TrimPrefix(path, ".")] = string(bytes.TrimSpace(value))
		return
	}
	for name, v := range fields {
		flatten(to, path+"."+name, v)
	}
}
