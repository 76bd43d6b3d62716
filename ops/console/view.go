package console

import (
	"fmt"
	"html/template"
	"net/http"
	"strings"
	"time"

	"github.com/glmflow/glmflow/ops/lang"
	"github.com/glmflow/glmflow/schemas"
)

// A view is what every template gets: the page's data, and how to say it.
type view struct {
	printer lang.Printer
	Path    string
	Version string
	Now     time.Time
	Data    any
}

func (s *server) view(r *http.Request, language string) view {
	return view{printer: s.printers[language], Path: r.URL.Path, Version: s.Version, Now: s.Now()}
}

// Lang is the reader's language.
func (v view) Lang() string { return v.printer.Lang }

// T says a phrase of the catalogue.
func (v view) T(phrase string, args ...any) string { return v.printer.Sprintf(phrase, args...) }

// Word says a word that comes with the data, such as a state.
func (v view) Word(word any) string { return v.printer.Word(fmt.Sprint(word)) }

// In is the view of a part of the data.
func (v view) In(data any) view {
	v.Data = data
	return v
}

// N writes a whole number.
func (v view) N(n any) string { return v.printer.Sprintf("%d", n) }

// Flow and Curve draw.
func (v view) Flow(queues []Queue) template.HTML          { return flowPicture(v.printer, queues) }
func (v view) Curve(points []schemas.Point) template.HTML { return curvePicture(v.printer, points) }

// Clock writes a moment in the console's time zone.
func (v view) Clock(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.In(v.Now.Location()).Format("2006-01-02 15:04:05")
}

// Zone names the time zone of [view.Clock].
func (v view) Zone() string { return v.Now.Format("MST (-07:00)") }

// Took is how long something lasted, or has lasted so far.
func (v view) Took(started, finished time.Time) string {
	if started.IsZero() {
		return ""
	}
	if finished.IsZero() {
		finished = v.Now
	}
	return max(0, finished.Sub(started)).Round(time.Second).String()
}

// difference is what a measure gained from baseline to candidate, and verdict
// the class that says whether that is good.
func difference(m schemas.Metric) float64 { return m.Candidate - m.Baseline }

func verdict(m schemas.Metric) string {
	switch {
	case m.Candidate == m.Baseline:
		return ""
	case m.Candidate > m.Baseline == m.HigherIsBetter:
		return "passed"
	}
	return "failed"
}

// short is the beginning of a digest, enough to tell it from others.
func short(digest string) string {
	digest = strings.TrimPrefix(digest, "sha256:")
	return digest[:min(len(digest), 12)]
}

// language is the reader's: ?lang=zh sets it and a cookie keeps it, unless it is
// a page's stream that asks; else the browser's preference, else English.
func language(w http.ResponseWriter, r *http.Request) string {
	for _, known := range lang.Languages() {
		if r.URL.Query().Get("lang") == known {
			if streams(r) {
				return known
			}
			http.SetCookie(w, &http.Cookie{Name: "lang", Value: known, Path: "/", MaxAge: 365 * 24 * 3600, SameSite: http.SameSiteLaxMode, HttpOnly: true})
			return known
		}
	}
	for _, known := range lang.Languages() {
		if c, err := r.Cookie("lang"); err == nil && c.Value == known {
			return known
		}
	}
	if strings.HasPrefix(strings.ToLower(r.Header.Get("Accept-Language")), "zh") {
		return "zh"
	}
	return "en"
}
