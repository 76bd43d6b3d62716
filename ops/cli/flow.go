package cli

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/user"
	"path/filepath"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/glmflow/glmflow/ops/app"
	"github.com/glmflow/glmflow/ops/config"
	"github.com/glmflow/glmflow/ops/telemetry"
	"github.com/glmflow/glmflow/ops/term"
)

// flowFlags say which flow a verb speaks to: a flag counts more than a
// GLMFLOW_ variable, and that more than the file.
type flowFlags struct {
	file, dir, nats, artifacts string
	base                       string
	verbose                    bool
}

func (f *flowFlags) add(flags *pflag.FlagSet) {
	flags.StringVar(&f.file, "config", "", "YAML file with the configuration")
	flags.StringVar(&f.dir, "dir", "", "directory of the flow; by default glmflow in the user's data directory (GLMFLOW_DIR)")
	flags.StringVar(&f.nats, "nats", "", "URL of a nats-server to use, instead of the one in --dir (GLMFLOW_NATS)")
	flags.StringVar(&f.artifacts, "artifacts", "", "directory where artifacts lie, shared by all machines; by default in --dir (GLMFLOW_ARTIFACTS)")
	flags.BoolVarP(&f.verbose, "verbose", "v", false, "log what happens inside, as log.level says")
}

// addBase is for the verbs that may have to serve stages themselves.
func (f *flowFlags) addBase(flags *pflag.FlagSet) {
	flags.StringVar(&f.base, "base", "", "directory of the ChatGLM3 that is fine-tuned (GLMFLOW_MODEL_BASE)")
}

// config is the whole configuration, checked. More is what further flags say.
func (f flowFlags) config(env Env, more ...func(*config.Config)) (config.Config, error) {
	c, err := config.Load(f.file, env.Environ)
	if err != nil {
		return c, usageError{err}
	}
	for _, s := range []struct {
		flag  string
		value *string
	}{{f.dir, &c.Dir}, {f.nats, &c.NATS}, {f.artifacts, &c.Artifacts}, {f.base, &c.Model.Base}} {
		if s.flag != "" {
			*s.value = s.flag
		}
	}
	for _, set := range more {
		set(&c)
	}
	if err := c.Validate(); err != nil {
		return c, usageError{err}
	}
	// Other processes read the base model's path too.
	for _, path := range []*string{&c.Dir, &c.Cache, &c.Model.Base} {
		if *path == "" {
			continue
		}
		if *path, err = filepath.Abs(*path); err != nil {
			return c, err
		}
	}
	return c, nil
}

// open joins the flow. The caller closes it.
func (f flowFlags) open(c *cobra.Command, env Env) (*app.App, error) {
	conf, err := f.config(env)
	if err != nil {
		return nil, err
	}
	log, err := f.logger(conf.Log, c.ErrOrStderr())
	if err != nil {
		return nil, err
	}
	return app.Open(c.Context(), conf, log, env.Now)
}

// logger is that of a verb for people, who read its output instead: it is silent
// unless they say --verbose.
func (f flowFlags) logger(c config.Log, w io.Writer) (*slog.Logger, error) {
	if !f.verbose {
		return slog.New(slog.DiscardHandler), nil
	}
	return telemetry.NewLogger(term.NewScreen(w), c.Level, c.Format)
}

// with runs work in the flow.
func (f flowFlags) with(c *cobra.Command, env Env, work func(context.Context, *app.App) error) (err error) {
	a, err := f.open(c, env)
	if err != nil {
		return err
	}
	defer func() {
		if bad := a.Close(); err == nil {
			err = bad
		}
	}()
	return work(c.Context(), a)
}

// alone reports that nobody else works in a's flow, as far as it can be known.
func alone(a *app.App) bool { return !a.Attached && a.Config.NATS == "" }

// actor is who gives orders, for histories.
func actor() string {
	name, host := "somebody", "somewhere"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	if h, err := os.Hostname(); err == nil {
		host = h
	}
	return name + "@" + host
}

// jsonFlag is --json of a listing.
func jsonFlag(flags *pflag.FlagSet, to *bool) {
	flags.BoolVar(to, "json", false, "write JSON")
}

// writeJSON writes v for programs that people read too.
func writeJSON(w io.Writer, v any) error {
	out := lines(w)
	out.SetIndent("", "  ")
	return out.Encode(v)
}

// orEmpty makes a list that JSON writes as [].
func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// say writes a line for people.
func say(w io.Writer, format string, args ...any) { fmt.Fprintf(w, format+"\n", args...) }
