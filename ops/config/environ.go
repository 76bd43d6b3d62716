package config

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/caarlos0/env/v11"
)

// overlay sets what GLMFLOW_ variables say. Errors name the variable; a name
// that begins like a section of the configuration and is no setting is one, too.
func overlay(c *Config, environ map[string]string) error {
	settings, err := env.GetFieldParamsWithOptions(&Config{}, env.Options{Prefix: Prefix})
	if err != nil {
		return err
	}
	var known []string
	for _, s := range settings {
		known = append(known, s.Key)
	}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(environ)) {
		if !slices.Contains(known, name) {
			errs = append(errs, unknown(name, known))
			continue
		}
		// One at a time, since the library's errors name fields of Go.
		one := env.Options{Prefix: Prefix, Environment: map[string]string{name: environ[name]}}
		var bad env.ParseError
		if err := env.ParseWithOptions(c, one); errors.As(err, &bad) {
			errs = append(errs, fmt.Errorf("%s is %q: want a value such as %v", name, environ[name], reflect.Zero(bad.Type)))
		} else if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
		}
	}
	return errors.Join(errs...)
}

// unknown reports a misspelt variable. Others' variables may begin with
// GLMFLOW_ as well, but not like a section.
func unknown(name string, known []string) error {
	ours, _ := strings.CutPrefix(name, Prefix)
	section, _, nested := strings.Cut(ours, "_")
	if ours == name || !nested || !slices.Contains(sections(), strings.ToLower(section)) {
		return nil
	}
	var like []string
	for _, k := range known {
		if strings.HasPrefix(k, Prefix+section+"_") {
			like = append(like, k)
		}
	}
	if len(like) == 0 {
		return fmt.Errorf("%s: the section %s is configured in the file alone", name, strings.ToLower(section))
	}
	return fmt.Errorf("%s is no setting: there are %s", name, strings.Join(like, ", "))
}

// sections are the configuration's, as the file calls them.
func sections() (names []string) {
	c := reflect.TypeFor[Config]()
	for i := range c.NumField() {
		if f := c.Field(i); f.Type.Kind() == reflect.Struct {
			names = append(names, f.Tag.Get("yaml"))
		}
	}
	return names
}
