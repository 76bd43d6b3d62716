package window

import "fmt"

// Config says how windows are cut.
type Config struct {
	// Model is the name of the model that an order means when it names none.
	// Default "assistant".
	Model string `yaml:"model"`
	// MinRows is the number of conversations below which there is no retraining:
	// they count after duplicates were dropped, without those that an earlier
	// window gave back. Default 10.
	MinRows int `yaml:"min_rows"`
	// MaxRows bounds a window; datasets beyond it wait for the next one. A
	// window lies in memory while it is cut. Default 200000.
	MaxRows int64 `yaml:"max_rows"`
	// Validation is the share of the conversations that picks the best step.
	// Default 0.1.
	Validation float64 `yaml:"validation"`
	// Test is the share of the conversations that is held out for the verdict.
	// Default 0.1.
	Test float64 `yaml:"test"`
	// MinHeldOut is the least number of conversations in validation, and in
	// test, however small the window is. Default 2.
	MinHeldOut int `yaml:"min_held_out"`
	// Key makes the split of this installation its own: the same conversation
	// falls into the same split as long as the key stays. Default "glmflow".
	Key string `yaml:"key"`
	// Memory is the number of latest windows against which near duplicates are
	// looked for; one conversation in them takes about 1.5 kB while a window is
	// cut. Default 400.
	Memory int `yaml:"memory"`
}

// DefaultConfig returns the defaults.
func DefaultConfig() Config {
	return Config{
		Model: "assistant", MinRows: 10, MaxRows: 200_000,
		Validation: 0.1, Test: 0.1, MinHeldOut: 2, Key: "glmflow", Memory: 400,
	}
}

// Validate reports the first setting that cannot work.
func (c Config) Validate() error {
	switch {
	case checkName(c.Model) != nil:
		return checkName(c.Model)
	case c.MinHeldOut < 1:
		return fmt.Errorf("min_held_out is %d: at least one conversation must be held out", c.MinHeldOut)
	case c.MinRows < 3*c.MinHeldOut:
		return fmt.Errorf("min_rows is %d: it must be at least three times min_held_out (%d), or nothing is left to train on", c.MinRows, c.MinHeldOut)
	case c.MaxRows < int64(c.MinRows):
		return fmt.Errorf("max_rows is %d, below min_rows (%d)", c.MaxRows, c.MinRows)
	case !(c.Validation > 0 && c.Test > 0 && c.Validation+c.Test <= 0.5): // also refuses NaN
		return fmt.Errorf("validation and test are %v and %v: both must be above 0, and 0.5 at most together", c.Validation, c.Test)
	case c.Memory < 0:
		return fmt.Errorf("memory is %d: it counts windows", c.Memory)
	}
	return nil
}
