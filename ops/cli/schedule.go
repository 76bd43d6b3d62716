package cli

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/glmflow/glmflow/ops/term"
)

func newScheduleCommand(env Env) *cobra.Command {
	c := &cobra.Command{
		Use:   "schedule",
		Short: "Retrain by the clock",
		Long: `A schedule orders a retraining whenever its clock says so. It lies in the broker,
whose own clock fires it, with or without anybody logged in, as long as
` + "`glmflow up`" + ` or the nats-server runs.`,
		Args: wrong(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newScheduleSetCommand(env), newScheduleListCommand(env), newScheduleRemoveCommand(env), newScheduleNextCommand(env))
	return c
}

// writeTimes lists coming times and how long each is away.
func writeTimes(s *term.Screen, times []time.Time, now time.Time) {
	for _, t := range times {
		say(s.W, "%s  in %s", t.Format("Mon 2006-01-02 15:04:05 MST"), term.Duration(t.Sub(now)))
	}
}

// zoneOr is a zone's name for people.
func zoneOr(zone string) string {
	if zone == "" {
		return "UTC"
	}
	return zone
}

// nobodyRuns is said where a schedule is set and no process serves the flow.
const nobodyRuns = "nobody runs this flow now: schedules fire while `glmflow up` does"
