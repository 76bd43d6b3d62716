package cli

import (
	"encoding/json"

	"github.com/spf13/cobra"
)

func newTokenizeCommand(Env) *cobra.Command {
	var model string
	var data dataFlags
	c := &cobra.Command{
		Use:   "tokenize --model DIR --data FILE",
		Short: "Encode conversations as token rows",
		Long: `tokenize encodes the conversations in --data as the model is trained on them and
writes one JSON line each: {"id","ids","labels"}. A label is the id itself where
it is learned and -100 elsewhere; labels are not shifted. Conversations without
anything to learn are left out, with a notice.

The other verbs of the engine read these rows as --data.`,
		Example: `  glmflow tokenize --model chatglm3-6b --data chats.jsonl > rows.jsonl`,
		Args:    wrong(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			rows, err := data.rows(c.Context(), c.ErrOrStderr(), model)
			if err != nil {
				return err
			}
			out := lines(c.OutOrStdout())
			for _, r := range rows {
				if err := out.Encode(struct {
					ID     json.RawMessage `json:"id"`
					IDs    []int32         `json:"ids"`
					Labels []int32         `json:"labels"`
				}{r.id, r.ids, r.labels}); err != nil {
					return err
				}
			}
			return nil
		},
	}
	c.Flags().StringVar(&model, "model", "", "directory of the model; only its tokenizer.model is read")
	data.add(c.Flags())
	require(c, "model", "data")
	return c
}
