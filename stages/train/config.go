package train

import (
	"errors"
	"fmt"
	"time"

	"github.com/glmflow/glmflow/gpu/finetune"
)

// What a training starts from.
const (
	FromProduction = "production" // the adapter in production, if it fits; else the base model
	FromBase       = "base"       // always the base model
)

// Config configures the stage.
type Config struct {
	// Init is what a training starts from: "production" continues the adapter
	// in production when it was made for the same base model with the same
	// method and shape (rank and target layers, or tokens of the prefix);
	// "base" always begins anew. Default "production".
	Init string `yaml:"init"`

	// Lease is the silence after which another process may take the job over.
	// It has to be longer than loading the base model or one micro-batch of
	// training takes. Default 10m.
	Lease time.Duration `yaml:"lease"`

	// Options say how to train, field by field beside the above.
	finetune.Options `yaml:",inline"`
}

// DefaultConfig is finetune's defaults, with early stopping: a retraining that
// nobody watches should end by itself.
func DefaultConfig() Config {
	o := finetune.DefaultOptions()
	o.Patience = 3
	return Config{Init: FromProduction, Lease: 10 * time.Minute, Options: o}
}

// Validate reports every field that makes no sense, with what would.
func (c Config) Validate() error {
	var errs []error
	if c.Init != FromProduction && c.Init != FromBase {
		errs = append(errs, fmt.Errorf("init is %q: want %q or %q", c.Init, FromProduction, FromBase))
	}
	if c.Lease < time.Minute {
		errs = append(errs, fmt.Errorf("lease is %s: want 1m or more, longer than loading the model takes", c.Lease))
	}
	return errors.Join(append(errs, c.Options.Validate())...)
}
