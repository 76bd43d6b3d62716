package cli

import (
	"context"
	"errors"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/glmflow/glmflow/ops/app"
	"github.com/glmflow/glmflow/ops/config"
	"github.com/glmflow/glmflow/ops/telemetry"
	"github.com/glmflow/glmflow/ops/term"
	"github.com/glmflow/glmflow/pipeline"
)

// upFlags are the flags of up.
type upFlags struct {
	flow    flowFlags
	stages  []string
	console string
}

func newUpCommand(env Env) *cobra.Command {
	var f upFlags
	c := &cobra.Command{
		Use:   "up",
		Short: "Serve the flow: broker, stages, schedules, console",
		Long: `up works as the stages of the flow until it is told to stop (Ctrl-C, SIGTERM);
then it gives its work back, which goes on where it stopped. Alone it runs the
broker too and keeps everything in --dir. With --nats and a shared --artifacts,
any number of processes on any number of machines share the work; --stages says
which part this one takes.`,
		Example: `  glmflow up --base chatglm3-6b
  glmflow up --stages train,evaluate --nats nats://broker:4222 --artifacts /mnt/shared/artifacts`,
		Args: wrong(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error { return f.run(c, env) },
	}
	flags := c.Flags()
	flags.StringSliceVar(&f.stages, "stages", nil, "stages to serve, of "+strings.Join(config.StageNames(), ", ")+"; by default all (GLMFLOW_STAGES)")
	flags.StringVar(&f.console, "console", "", `host:port of console and metrics, or "off" (GLMFLOW_CONSOLE_LISTEN; by default `+config.Default().Console.Listen+")")
	f.flow.add(flags)
	f.flow.addBase(flags)
	// Who serves logs; --verbose is for the verbs that do not.
	_ = flags.MarkHidden("verbose")
	return c
}

func (f *upFlags) run(c *cobra.Command, env Env) (err error) {
	conf, err := f.flow.config(env, func(c *config.Config) {
		if f.stages != nil {
			c.Stages = f.stages
		}
		if f.console != "" {
			c.Console.Listen = f.console
		}
	})
	if err != nil {
		return err
	}
	log, err := telemetry.NewLogger(term.NewScreen(c.ErrOrStderr()), conf.Log.Level, conf.Log.Format)
	if err != nil {
		return err
	}
	a, err := app.Open(c.Context(), conf, log, env.Now)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	if err := a.Ready(); err != nil {
		return err
	}
	return serve(c.Context(), c.OutOrStdout(), a)
}

// serve works as stages and shows the console until ctx is cancelled.
func serve(ctx context.Context, out io.Writer, a *app.App) error {
	var observer pipeline.Observer
	group, ctx := errgroup.WithContext(ctx)
	if a.Config.Console.Listen != "off" {
		site, err := newSite(a)
		if err != nil {
			return err
		}
		observer = site.metrics.Observer()
		say(out, "console  http://%s", site.listener.Addr())
		group.Go(func() error { return site.serve(ctx) })
	}
	say(out, "stages   %s", strings.Join(a.Stages(), ", "))
	if a.Config.NATS == "" {
		say(out, "flow     %s", a.Config.Dir)
	} else {
		say(out, "broker   %s", a.Broker.Conn().ConnectedUrlRedacted())
	}
	a.Log.Info("serving", "stages", a.Stages(), "dir", a.Config.Dir)
	group.Go(func() error { return a.Serve(ctx, observer) })
	err := group.Wait()
	if err == nil {
		a.Log.Info("stopped", "dir", a.Config.Dir)
	}
	return err
}
