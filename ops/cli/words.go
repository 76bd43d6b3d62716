package cli

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/glmflow/glmflow/ops/term"
	"github.com/glmflow/glmflow/pipeline/artifact"
	"github.com/glmflow/glmflow/pipeline/ledger"
	"github.com/glmflow/glmflow/schemas"
)

// digits writes a count with its thousands set apart.
func digits(n int64) string {
	text := strconv.FormatInt(n, 10)
	for i := len(text) - 3; i > 0 && text[i-1] != '-'; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// some writes a count where none means that there is nothing to count.
func some(n int64) string {
	if n == 0 {
		return "-"
	}
	return digits(n)
}

// count writes a number of things.
func count(n int, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return digits(int64(n)) + " " + thing
}

// byteSize writes bytes for people.
func byteSize(n int64) string {
	const units = "KMGT"
	if n < 1024 {
		return count(int(n), "byte")
	}
	size, unit := float64(n)/1024, 0
	for size >= 1024 && unit < len(units)-1 {
		size, unit = size/1024, unit+1
	}
	return fmt.Sprintf("%.1f %ciB", size, units[unit])
}

// shortID is as much of a run's id as tells it from others: the names that
// people read are kept, hashes are cut.
func shortID(id string) string {
	if len(id) > 16 && strings.Trim(id, "0123456789abcdef") == "" {
		return id[:12]
	}
	return id
}

// shortDigest is a digest for people.
func shortDigest(d string) string { return d[:min(len(d), len("sha256:")+12)] }

// shortenDigests shortens the digests among the words of text.
func shortenDigests(text string) string {
	words := strings.Split(text, " ")
	for i, w := range words {
		if _, err := artifact.Parse(w); err == nil {
			words[i] = shortDigest(w)
		}
	}
	return strings.Join(words, " ")
}

// clock is a time for people, in their zone.
func clock(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Local().Format("2006-01-02 15:04")
}

// day is a shorter time for listings: without the year, if it is this one.
func day(t, now time.Time) string {
	if t.Local().Year() == now.Local().Year() {
		return t.Local().Format("01-02 15:04")
	}
	return clock(t)
}

// took is how long a run lasted, or has lasted so far.
func took(r ledger.Run, now time.Time) string {
	if r.Started.IsZero() {
		return "-"
	}
	if !r.Finished.IsZero() {
		now = r.Finished
	}
	return term.Duration(max(0, now.Sub(r.Started)))
}

// what is the kind of a run in a word.
func what(k schemas.Kind) string {
	switch k {
	case schemas.IngestRequest:
		return "ingest"
	case schemas.TrainRequest, schemas.TrainDue:
		return "train"
	case schemas.EvalRequest:
		return "evaluate"
	}
	return string(k)
}

// trouble turns parked jobs into an error that names the first.
func trouble(r ledger.Run) error {
	switch {
	case r.State == ledger.Cancelled:
		return fmt.Errorf("run %s was cancelled", shortID(r.ID))
	case len(r.Parked) > 0:
		return fmt.Errorf("stage %s gave up: %s (see `glmflow runs show %s`)", r.Parked[0].Stage, r.Parked[0].Reason, shortID(r.ID))
	}
	return nil
}
