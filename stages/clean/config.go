package clean

import (
	"errors"
	"fmt"
)

// Config says which conversations are worth learning from.
type Config struct {
	// MinTurns is the least number of turns, system messages not counted. The
	// default is 2.
	MinTurns int `yaml:"min_turns"`

	// MaxTurns is the largest number of turns. The default is 40.
	MaxTurns int `yaml:"max_turns"`

	// MinAnswer is how many letters and digits the longest answer has at least.
	// The default is 2.
	MinAnswer int `yaml:"min_answer"`

	// MaxChars is the largest number of characters of a conversation. The default
	// is 20000.
	MaxChars int `yaml:"max_chars"`

	// MaxRepetition is the largest share of an answer that may repeat what the
	// same answer said before. The default is 0.5.
	MaxRepetition float64 `yaml:"max_repetition"`
}

// DefaultConfig returns the defaults.
func DefaultConfig() Config {
	return Config{MinTurns: 2, MaxTurns: 40, MinAnswer: 2, MaxChars: 20000, MaxRepetition: 0.5}
}

// Validate reports the first setting that cannot work.
func (c Config) Validate() error {
	switch {
	case c.MinTurns < 2:
		return fmt.Errorf("clean.min_turns is %d, want at least 2: a question and an answer", c.MinTurns)
	case c.MaxTurns < c.MinTurns:
		return fmt.Errorf("clean.max_turns is %d, less than min_turns", c.MaxTurns)
	case c.MinAnswer < 0:
		return errors.New("clean.min_answer is negative")
	case c.MaxChars < 1:
		return errors.New("clean.max_chars is not positive")
	case !(c.MaxRepetition > 0 && c.MaxRepetition <= 1):
		return fmt.Errorf("clean.max_repetition is %v, want more than 0 and at most 1", c.MaxRepetition)
	}
	return nil
}
