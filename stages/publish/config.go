package publish

import "fmt"

// Values of Config.Promote.
const (
	PromoteAuto   = "auto"   // what passes the gate becomes production at once
	PromoteManual = "manual" // what passes the gate waits as candidate for a person
)

// Config says what happens to a candidate that passed the gate.
type Config struct {
	// Promote is auto or manual: whether a passed candidate becomes production
	// at once, or stays candidate until `glmflow models promote`. Default "auto".
	Promote string `yaml:"promote"`
}

// DefaultConfig returns the defaults.
func DefaultConfig() Config { return Config{Promote: PromoteAuto} }

// Validate reports a setting that cannot work.
func (c Config) Validate() error {
	if c.Promote != PromoteAuto && c.Promote != PromoteManual {
		return fmt.Errorf("promote is %q: want %q or %q", c.Promote, PromoteAuto, PromoteManual)
	}
	return nil
}
