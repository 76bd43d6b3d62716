package peft

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// allLinear is what PEFT takes for every linear layer but the output.
const allLinear = "all-linear"

// Targets say which modules an adapter stands beside: by names, or by a pattern.
type Targets struct {
	Names   []string // of modules, or the ends of their paths
	Pattern string   // a regular expression for whole paths, or "all-linear"; where it is given there are no Names
}

// UnmarshalJSON reads a list or a string.
func (t *Targets) UnmarshalJSON(text []byte) error {
	*t = Targets{}
	if json.Unmarshal(text, &t.Pattern) == nil {
		return nil
	}
	if err := json.Unmarshal(text, &t.Names); err != nil {
		return fmt.Errorf("target_modules: want a list of names or a pattern: %w", err)
	}
	return nil
}

// MarshalJSON writes what was read.
func (t Targets) MarshalJSON() ([]byte, error) {
	if t.Pattern != "" {
		return json.Marshal(t.Pattern)
	}
	return json.Marshal(t.Names)
}

// String is for messages.
func (t Targets) String() string {
	if t.Pattern != "" {
		return fmt.Sprintf("%q", t.Pattern)
	}
	return fmt.Sprint(t.Names)
}

// Match reports whether the linear layer at path is meant, by PEFT's rules: a
// name is a whole path or what follows a dot in it, a pattern fits all of it.
func (t Targets) Match(path string) bool {
	if t.Pattern == "" {
		return slices.ContainsFunc(t.Names, func(name string) bool {
			return path == name || strings.HasSuffix(path, "."+name)
		})
	}
	if strings.EqualFold(t.Pattern, allLinear) {
		return true
	}
	r, err := t.regexp()
	return err == nil && r.MatchString(path)
}

// check finds a pattern that cannot be followed.
func (t Targets) check() error {
	if _, err := t.regexp(); err != nil {
		return fmt.Errorf("target_modules is the pattern %q, which cannot be read here: %w; write the names of the modules as a list", t.Pattern, err)
	}
	return nil
}

func (t Targets) regexp() (*regexp.Regexp, error) { return regexp.Compile(`\A(?:` + t.Pattern + `)\z`) }
