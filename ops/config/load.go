package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/caarlos0/env/v11"
	"github.com/goccy/go-yaml"
)

// Prefix of the environment variables: GLMFLOW_DIR, GLMFLOW_MODEL_BASE, ….
const Prefix = "GLMFLOW_"

// A configuration file is never larger.
const maxFile = 1 << 20

// Load reads the file at path ("" for none) over the defaults and the
// environment ("NAME=value") over that. The caller applies flags and then calls
// [Config.Validate].
func Load(path string, environ []string) (Config, error) {
	c := Default()
	if path != "" {
		f, err := os.Open(path)
		if err != nil {
			return Config{}, fmt.Errorf("configuration: %w", err)
		}
		defer f.Close()
		text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
		if err != nil {
			return Config{}, fmt.Errorf("configuration %s: %w", path, err)
		}
		if len(text) > maxFile {
			return Config{}, fmt.Errorf("configuration %s is larger than 1 MiB: is it the right file?", path)
		}
		if err := decode(text, &c); err != nil {
			return Config{}, fmt.Errorf("configuration %s:\n%w", path, err)
		}
	}
	if err := overlay(&c, env.ToMap(environ)); err != nil {
		return Config{}, fmt.Errorf("environment: %w", err)
	}
	vars := env.ToMap(environ)
	if c.Dir == "" {
		if c.Dir = userDir(vars, "XDG_DATA_HOME", ".local", "share"); c.Dir == "" {
			return Config{}, errors.New("no home directory to keep things in: say --dir, or set GLMFLOW_DIR")
		}
	}
	if c.Cache == "" {
		if c.Cache = userDir(vars, "XDG_CACHE_HOME", ".cache"); c.Cache == "" {
			c.Cache = filepath.Join(c.Dir, "cache")
		}
	}
	return c, nil
}

// decode is strict: a key that nobody reads is a mistake, not a comment.
func decode(text []byte, c *Config) error {
	err := yaml.NewDecoder(bytes.NewReader(text), yaml.Strict()).Decode(c)
	if err == nil || errors.Is(err, io.EOF) {
		return nil
	}
	return errors.New(strings.TrimRight(yaml.FormatError(err, false, true), "\n"))
}

// userDir is where the XDG base directory specification puts a user's things of
// one kind: in the directory that variable names, or below home; "" without
// either.
func userDir(environ map[string]string, variable string, below ...string) string {
	if d := environ[variable]; filepath.IsAbs(d) {
		return filepath.Join(d, "glmflow")
	}
	if h := environ["HOME"]; h != "" {
		return filepath.Join(h, filepath.Join(below...), "glmflow")
	}
	return ""
}
