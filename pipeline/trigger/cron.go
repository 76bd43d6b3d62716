package trigger

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

// A Clock says when a schedule fires: a cron expression and its time zone.
type Clock struct {
	// Expr is what the person wrote: five cron fields (minute hour day month
	// weekday), six with seconds in front, one of @hourly @daily @weekly
	// @monthly @yearly, or @every with a duration of at least a second.
	Expr string `json:"cron"`
	// Zone is the IANA time zone in which Expr is read, "Asia/Shanghai"; "" is
	// UTC. @every has none.
	Zone string `json:"zone,omitempty"`
}

// every is the prefix of a schedule by interval.
const every = "@every "

// Pattern returns the schedule in the broker's form: six fields, or a name
// beginning with @. Its error says what is wrong with the expression or zone.
func (c Clock) Pattern() (string, error) {
	if _, err := c.parse(); err != nil {
		return "", err
	}
	fields := strings.Fields(c.Expr)
	if len(fields) == 5 {
		fields = append([]string{"0"}, fields...)
	}
	return strings.Join(fields, " "), nil
}

// Next returns the first n times after from at which the schedule fires, in its
// own zone. An interval counts from when it was set, which only the broker
// knows: then the times are those of a schedule set at from.
func (c Clock) Next(from time.Time, n int) ([]time.Time, error) {
	schedule, err := c.parse()
	if err != nil {
		return nil, err
	}
	zone, err := c.location()
	if err != nil {
		return nil, err
	}
	times := make([]time.Time, 0, n)
	for at := from.In(zone); len(times) < n; {
		if at = schedule.Next(at); at.IsZero() {
			break
		}
		times = append(times, at)
	}
	return times, nil
}

func (c Clock) location() (*time.Location, error) {
	if c.Zone == "Local" { // Go's name for a place that differs between machines
		return nil, errors.New(`time zone "Local" means another zone on every machine: name one, such as "Asia/Shanghai"`)
	}
	zone, err := time.LoadLocation(c.Zone)
	if err != nil {
		return nil, fmt.Errorf("time zone %q is not known: use an IANA name such as \"Asia/Shanghai\"", c.Zone)
	}
	return zone, nil
}

func (c Clock) parse() (cron.Schedule, error) {
	fields := strings.Fields(c.Expr)
	if _, err := c.location(); err != nil {
		return nil, err
	}
	expr := strings.Join(fields, " ")
	if interval, ok := strings.CutPrefix(expr, every); ok {
		d, err := time.ParseDuration(interval)
		switch {
		case err != nil:
			return nil, fmt.Errorf("schedule %q: %q is no duration: write it like 90m or 36h", c.Expr, interval)
		case d < time.Second:
			return nil, fmt.Errorf("schedule %q: the interval is shorter than a second", c.Expr)
		case c.Zone != "":
			return nil, fmt.Errorf("schedule %q: an interval has no time zone: leave %q out", c.Expr, c.Zone)
		}
		return cron.Every(d), nil
	}
	options := cron.Second | cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow
	switch {
	case strings.HasPrefix(expr, "@"):
		options = cron.Descriptor
	case len(fields) == 5:
		options &^= cron.Second
	case len(fields) != 6:
		return nil, fmt.Errorf("schedule %q has %d fields: it takes 5 (minute hour day month weekday) or 6 (second first)", c.Expr, len(fields))
	}
	if strings.Contains(expr, "=") {
		return nil, fmt.Errorf("schedule %q: give the time zone apart from the fields", c.Expr)
	}
	schedule, err := cron.NewParser(options).Parse(expr)
	if err != nil {
		return nil, fmt.Errorf("schedule %q: %w", c.Expr, err)
	}
	if schedule.Next(time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)).IsZero() {
		return nil, fmt.Errorf("schedule %q never fires: there is no such day", c.Expr)
	}
	return schedule, nil
}
