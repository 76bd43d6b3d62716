package trigger

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestClockNext(t *testing.T) {
	from := time.Date(2026, 3, 7, 18, 30, 15, 0, time.UTC)
	tests := []struct {
		clock   Clock
		pattern string
		next    []string // RFC 3339
	}{
		{Clock{"0 3 * * *", "Asia/Shanghai"}, "0 0 3 * * *", []string{"2026-03-08T03:00:00+08:00", "2026-03-09T03:00:00+08:00"}},
		{Clock{"0 3 * * *", ""}, "0 0 3 * * *", []string{"2026-03-08T03:00:00Z", "2026-03-09T03:00:00Z"}},
		{Clock{"*/20 * * * * *", ""}, "*/20 * * * * *", []string{"2026-03-07T18:30:20Z", "2026-03-07T18:30:40Z"}},
		{Clock{" 30  2 * * mon-fri ", ""}, "0 30 2 * * mon-fri", []string{"2026-03-09T02:30:00Z", "2026-03-10T02:30:00Z"}},
		{Clock{"@hourly", ""}, "@hourly", []string{"2026-03-07T19:00:00Z", "2026-03-07T20:00:00Z"}},
		{Clock{"@weekly", "Europe/Berlin"}, "@weekly", []string{"2026-03-08T00:00:00+01:00", "2026-03-15T00:00:00+01:00"}},
		{Clock{"@every 90m", ""}, "@every 90m", []string{"2026-03-07T20:00:15Z", "2026-03-07T21:30:15Z"}},
		// The clocks of New York skip 02:30 on 8 March 2026.
		{Clock{"30 2 * * *", "America/New_York"}, "0 30 2 * * *", []string{"2026-03-09T02:30:00-04:00", "2026-03-10T02:30:00-04:00"}},
	}
	for _, test := range tests {
		pattern, err := test.clock.Pattern()
		if err != nil || pattern != test.pattern {
			t.Errorf("pattern of %+v is %q, %v; want %q", test.clock, pattern, err, test.pattern)
		}
		times, err := test.clock.Next(from, 2)
		if err != nil {
			t.Errorf("%+v: %v", test.clock, err)
		}
		var got []string
		for _, at := range times {
			got = append(got, at.Format(time.RFC3339))
		}
		if diff := cmp.Diff(test.next, got); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", test.clock, diff)
		}
	}
}

func TestClockRefuses(t *testing.T) {
	tests := []struct {
		clock Clock
		says  string
	}{
		{Clock{"", ""}, "0 fields"},
		{Clock{"3 * * *", ""}, "4 fields"},
		{Clock{"0 0 3 * * * 2026", ""}, "7 fields"},
		{Clock{"61 3 * * *", ""}, "61"},
		{Clock{"0 3 31 2 *", ""}, "never fires"},
		{Clock{"@fortnightly", ""}, "@fortnightly"},
		{Clock{"@every", ""}, "@every"},
		{Clock{"@every soon", ""}, "duration"},
		{Clock{"@every 10ms", ""}, "second"},
		{Clock{"@every 1h", "Asia/Shanghai"}, "interval has no time zone"},
		{Clock{"0 3 * * *", "+08:00"}, "IANA"},
		{Clock{"0 3 * * *", "Local"}, "every machine"},
		{Clock{"TZ=Asia/Shanghai 0 3 * * *", ""}, "time zone"},
	}
	for _, test := range tests {
		_, err := test.clock.Pattern()
		if err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%+v: %v; want an error that says %q", test.clock, err, test.says)
		}
		if _, err := test.clock.Next(time.Time{}, 1); err == nil {
			t.Errorf("%+v: previewed", test.clock)
		}
	}
}
