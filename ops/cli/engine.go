package cli

import (
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/glmflow/glmflow/gpu"
	"github.com/glmflow/glmflow/gpu/chatglm"
	"github.com/glmflow/glmflow/gpu/device"
)

// deviceFlags choose what the engine computes on.
type deviceFlags struct {
	backend   string
	precision string
	isa       string
	workers   int
	weights   string
}

func (f *deviceFlags) add(flags *pflag.FlagSet) {
	flags.StringVar(&f.backend, "device", "auto", "what to compute on: cpu (C kernels), reference (plain Go) or auto, the fastest there is")
	flags.IntVar(&f.workers, "workers", 0, "threads; 0 is one a core. Results do not depend on it")
	flags.StringVar(&f.isa, "isa", "", "instruction set of the C kernels (portable, avx2, avx512, avx512bf16, amx); without it the best that the processor has. Others differ in the last bits")
	flags.StringVar(&f.precision, "precision", "fp32", "matrix products: fp32, or bf16 operands with fp32 sums")
}

// addWeights is for verbs that open a model from files.
func (f *deviceFlags) addWeights(flags *pflag.FlagSet) {
	flags.StringVar(&f.weights, "weights", "", "how the weights are kept in memory: "+strings.Join(chatglm.WeightFormats(), ", ")+". Those that the files have already are used in place, others are converted; "+
		"all but fp32 are frozen, and take LoRA or a prefix. Without the flag: fp32, or as stored where that is int8 or int4")
}

func (f deviceFlags) open() (device.Device, error) {
	switch f.backend {
	case "auto", "cpu", "reference":
	default:
		return nil, usagef("--device %s: want auto, cpu or reference", f.backend)
	}
	if f.precision != "fp32" && f.precision != "bf16" {
		return nil, usagef("--precision %s: want fp32 or bf16", f.precision)
	}
	if f.weights != "" && !slices.Contains(chatglm.WeightFormats(), f.weights) {
		return nil, usagef("--weights %s: want %s", f.weights, strings.Join(chatglm.WeightFormats(), ", "))
	}
	if f.workers < 0 {
		return nil, usagef("--workers %d: want 0 (one a core) or more", f.workers)
	}
	return gpu.Open(f.backend, device.Options{Workers: f.workers, Precision: f.precision, ISA: f.isa})
}

// require makes flags mandatory.
func require(c *cobra.Command, flags ...string) {
	for _, f := range flags {
		// It only fails for a flag that was never defined.
		if err := c.MarkFlagRequired(f); err != nil {
			panic(err)
		}
	}
}

// lines writes one JSON value a line, characters as they are.
func lines(w io.Writer) *json.Encoder {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e
}

// load opens the device, the model in dir and, where one is named, the adapter
// on top of it. The caller calls done.
func (f deviceFlags) load(dir, adapter string) (model *chatglm.Model, done func(), err error) {
	dev, err := f.open()
	if err != nil {
		return nil, nil, err
	}
	return f.loadOn(dev, dir, adapter)
}

// loadOn is load on a device that is open; done closes it, and so does an error.
func (f deviceFlags) loadOn(dev device.Device, dir, adapter string) (model *chatglm.Model, done func(), err error) {
	if model, err = chatglm.OpenWith(dir, dev, chatglm.OpenOptions{Weights: f.weights}); err != nil {
		return nil, nil, errors.Join(err, dev.Close())
	}
	done = func() {
		model.Close()
		dev.Close()
	}
	if adapter != "" {
		if err := model.LoadAdapter(adapter); err != nil {
			done()
			return nil, nil, err
		}
	}
	return model, done, nil
}
