package tokenize

import (
	"errors"
	"fmt"
)

// Values of [Config.TurnEnd].
const (
	TurnEndRole = "role"
	TurnEndEOS  = "eos"
)

// minLength is the least limit that leaves room for a short exchange.
const minLength = 32

// Config configures the stage.
type Config struct {
	// MaxLength bounds the ids of a conversation; what is longer is cut (see
	// chat.Encode). Memory in training grows with it. Default 2048.
	MaxLength int `yaml:"max_length"`

	// TurnEnd is what the model learns to say where an answer ends and the
	// conversation goes on: "role", the token of the next role, as in
	// ChatGLM3's own training, or "eos", the end token, as some other trainers
	// have it. Default "role".
	TurnEnd string `yaml:"turn_end"`
}

// DefaultConfig returns the defaults.
func DefaultConfig() Config { return Config{MaxLength: 2048, TurnEnd: TurnEndRole} }

// Validate reports every field that makes no sense, with what would.
func (c Config) Validate() error {
	var errs []error
	if c.MaxLength < minLength {
		errs = append(errs, fmt.Errorf("max_length is %d: want %d or more", c.MaxLength, minLength))
	}
	if c.TurnEnd != TurnEndRole && c.TurnEnd != TurnEndEOS {
		errs = append(errs, fmt.Errorf("turn_end is %q: want %q or %q", c.TurnEnd, TurnEndRole, TurnEndEOS))
	}
	return errors.Join(errs...)
}
