package cli

import (
	"github.com/spf13/cobra"
)

func newModelCommand(env Env) *cobra.Command {
	c := &cobra.Command{
		Use:   "model",
		Short: "Make and describe model directories",
		Args:  wrong(cobra.NoArgs),
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newModelInitCommand(env), newModelInfoCommand())
	return c
}
