package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/glmflow/glmflow/ops/app"
	"github.com/glmflow/glmflow/pipeline/artifact"
)

func newModelsExportCommand(env Env) *cobra.Command {
	var (
		flow flowFlags
		out  string
	)
	c := &cobra.Command{
		Use:   "export REF --out DIR",
		Short: "Copy a version's files into a directory, for PEFT, vLLM and glmflow generate",
		Long: `export writes the files of a version into a new directory: the adapter as PEFT
loads it (or, of a full fine-tuning, the whole model), its model card and its
signed lineage, which "glmflow models verify DIR" checks wherever it is copied to.`,
		Example: `  glmflow models export assistant@production --out assistant
  glmflow generate --model chatglm3-6b --adapter assistant --data questions.jsonl`,
		Args: wrong(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, args []string) error {
			return flow.with(c, env, func(ctx context.Context, a *app.App) error {
				release, err := a.Ledger.Resolve(args[0])
				if err != nil {
					return err
				}
				tree := artifact.Digest(release.Files)
				if err := a.Store.Export(ctx, tree, out); err != nil {
					return err
				}
				files, err := a.Store.Tree(ctx, tree)
				if err != nil {
					return err
				}
				size := int64(0)
				for _, f := range files {
					size += f.Bytes
				}
				say(c.OutOrStdout(), "%s:%d: %s, %s, in %s", release.Name, release.Version, count(len(files), "file"), byteSize(size), out)
				return nil
			})
		},
	}
	c.Flags().StringVar(&out, "out", "", "directory to make; it must not hold anything")
	flow.add(c.Flags())
	require(c, "out")
	return c
}
