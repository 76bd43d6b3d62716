package cli

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/glmflow/glmflow/ops/app"
	"github.com/glmflow/glmflow/ops/term"
	"github.com/glmflow/glmflow/pipeline/ledger"
	"github.com/glmflow/glmflow/stages/ingest"
)

// ingestFlags are the flags of ingest.
type ingestFlags struct {
	flow            flowFlags
	format, mapping string
	wait            bool
}

func newIngestCommand(env Env) *cobra.Command {
	var f ingestFlags
	c := &cobra.Command{
		Use:   "ingest PATH...",
		Short: "Put conversation logs into the flow",
		Long: `ingest uploads files, and those in directories, to the artifact store and orders
them to be read, cleaned and tokenized. What they are is recognised by their
content; hidden files in directories are left out. The same files again add
nothing.

The order is done by ` + "`glmflow up`" + `, wherever it runs. With --wait the command
stays until that has happened and, if nobody serves the flow, does it itself;
for that it needs the base model's vocabulary (--base).`,
		Example: `  glmflow ingest chats.jsonl tickets/ --wait --base chatglm3-6b
  glmflow ingest export.json --mapping layout.yaml`,
		Args: wrong(cobra.MinimumNArgs(1)),
		RunE: func(c *cobra.Command, args []string) error { return f.run(c, env, args) },
	}
	flags := c.Flags()
	flags.StringVar(&f.format, "format", "", "say what the files are instead of having it recognised: "+strings.Join(ingest.Formats(), ", "))
	flags.StringVar(&f.mapping, "mapping", "", "YAML file that says where things lie in logs of another layout")
	flags.BoolVar(&f.wait, "wait", false, "stay until all is tokenized, and say what came of it")
	f.flow.add(flags)
	f.flow.addBase(flags)
	return c
}

func (f *ingestFlags) run(c *cobra.Command, env Env, paths []string) error {
	if f.format != "" && !slices.Contains(ingest.Formats(), f.format) {
		return usagef("--format %s: want one of %s", f.format, strings.Join(ingest.Formats(), ", "))
	}
	mapping, err := mappingText(f.mapping)
	if err != nil {
		return err
	}
	for _, p := range paths {
		if _, err := os.Stat(p); err != nil {
			return err
		}
	}
	return f.flow.with(c, env, func(ctx context.Context, a *app.App) error {
		order := func(ctx context.Context) error { return f.order(ctx, c, env, a, paths, mapping) }
		if !f.wait {
			return order(ctx)
		}
		return serving(ctx, a, rowStages(), order)
	})
}

func (f *ingestFlags) order(ctx context.Context, c *cobra.Command, env Env, a *app.App, paths []string, mapping string) error {
	before := a.Ledger.Runs()
	id, order, skipped, err := a.Ingest(ctx, paths, f.format, mapping, actor())
	for _, s := range skipped {
		say(c.ErrOrStderr(), "%s: left out: it %s", s.Path, s.Reason)
	}
	if err != nil {
		return err
	}
	out := term.NewScreen(c.OutOrStdout())
	size := int64(0)
	for _, s := range order.Sources {
		size += s.Bytes
	}
	if i := slices.IndexFunc(before, func(r ledger.Run) bool { return r.ID == id }); i >= 0 {
		say(out.W, "run %s: the same files were ordered on %s, so nothing is added; that run is %s", shortID(id), clock(before[i].Started), before[i].State)
	} else {
		say(out.W, "run %s: %s uploaded, %s", shortID(id), count(len(order.Sources), "file"), byteSize(size))
	}
	if !f.wait {
		if run, _ := a.Ledger.Run(id); alone(a) && !run.Settled() || run.ID == "" && alone(a) {
			say(out.W, "the order waits for `glmflow up`; or say --wait to have it done now")
		}
		return nil
	}
	run, err := newFollower(a, term.NewProgress(term.NewScreen(c.ErrOrStderr()), env.Now), env.Now).follow(ctx, id, settled)
	if err != nil {
		return err
	}
	if err := ingested(ctx, a, out, run); err != nil {
		return err
	}
	return trouble(run)
}

// ingested says what came of an ingest.
func ingested(ctx context.Context, a *app.App, s *term.Screen, run ledger.Run) error {
	table := [][]string{{"stage", "rows in", "rows out", "rejected"}}
	for _, st := range run.Stages {
		table = append(table, []string{st.Name, some(st.RowsIn), digits(st.RowsOut), digits(st.Rejected)})
	}
	fmt.Fprint(s.W, s.Table(table, 1, 2, 3))
	return writeRejects(ctx, a, s, run.ID)
}

// mappingText reads and checks a mapping file, "" for none.
func mappingText(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	if _, err := ingest.ParseMapping(string(text)); err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	return string(text), nil
}
