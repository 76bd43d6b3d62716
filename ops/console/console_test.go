package console

import (
	"errors"
	"flag"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/html"

	"github.com/glmflow/glmflow/ops/lang"
	"github.com/glmflow/glmflow/pipeline/broker"
	"github.com/glmflow/glmflow/pipeline/ledger"
	"github.com/glmflow/glmflow/schemas"
)

var rewrite = flag.Bool("rewrite", false, "write testdata anew")

// TestPages compares every page, in both languages, with what it said when
// somebody last read it.
func TestPages(t *testing.T) {
	for _, tc := range []struct {
		name, path string
		world      *world
	}{
		{"home", "/", full()},
		{"home-empty", "/", newWorld()},
		{"run", "/runs/01KRWINDOWNIGHTLY", full()},
		{"run-young", "/runs/01KRRUNNING", func() *world { w := full(); w.curve = nil; return w }()},
		{"models", "/models", full()},
		{"models-empty", "/models", newWorld()},
		{"model", "/models/assistant", full()},
	} {
		for _, l := range lang.Languages() {
			t.Run(tc.name+"."+l, func(t *testing.T) {
				got := get(t, open(t, tc.world), tc.path, l)
				if got.Code != http.StatusOK {
					t.Fatalf("status %d: %s", got.Code, got.Body)
				}
				golden := filepath.Join("testdata", tc.name+"."+l+".html")
				if *rewrite {
					if err := os.WriteFile(golden, got.Body.Bytes(), 0o644); err != nil {
						t.Fatal(err)
					}
				}
				want, err := os.ReadFile(golden)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(string(want), got.Body.String()); diff != "" {
					t.Errorf("page changed (-want +got); go test -rewrite if it should:\n%s", diff)
				}
			})
		}
	}
}

// TestRunPage names what must be on the page of a run, whatever it looks like.
func TestRunPage(t *testing.T) {
	body := get(t, open(t, full()), "/runs/01KRWINDOWNIGHTLY", "en").Body.String()
	for _, want := range []string{
		"every night", "schedule:nightly", "31m4s",
		"loss is not finite at step 17: lower learning_rate", `<td class="n">5</td><td class="time">2026-05-17 11:22:00</td>`,
		"12 near-duplicates were dropped", "cancelled by li: wrong window",
		"6f1c2a9be044", `href="/models/assistant"`, "assistant:2", "promoted to production",
		"loss: interval_below 0, rouge-l: not_below 0.02", "the gate said no", "-0.4914", "[-0.5301, -0.4412]",
		"5,230", "90,211", "您的包裹明天送达。", "step 120:", "best validation at step 120:",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
}

func TestMissing(t *testing.T) {
	h := open(t, full())
	for _, tc := range []struct{ path, language, says string }{
		{"/runs/01NOSUCH", "en", "There is no such run."},
		{"/runs/01NOSUCH", "zh", "没有这次运行。"},
		{"/models/nobody", "en", "There is no such model."},
		{"/nowhere/at/all", "en", "There is no such page."},
	} {
		got := get(t, h, tc.path, tc.language)
		if got.Code != http.StatusNotFound || !strings.Contains(got.Body.String(), tc.says) || !strings.Contains(got.Body.String(), "<nav>") {
			t.Errorf("%s: status %d, want a 404 page that says %q:\n%s", tc.path, got.Code, tc.says, got.Body)
		}
	}
	r := httptest.NewRequest(http.MethodGet, "/runs/01NOSUCH", nil)
	r.Header.Set("Accept", "text/event-stream")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != http.StatusNotFound {
		t.Errorf("stream of no run: status %d", w.Code)
	}
}

func TestFailure(t *testing.T) {
	w := full()
	w.broken = errors.New("broker <gone>")
	got := get(t, open(t, w), "/", "en")
	if got.Code != http.StatusInternalServerError || !strings.Contains(got.Body.String(), "broker &lt;gone&gt;") {
		t.Errorf("status %d: %s", got.Code, got.Body)
	}
}

func TestHeaders(t *testing.T) {
	h := open(t, full())
	for _, path := range []string{"/", "/runs/none", "/static/live.js", "/static/console.css"} {
		header := get(t, h, path, "en").Header()
		csp := header.Get("Content-Security-Policy")
		for _, want := range []string{"default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"} {
			if !strings.Contains(csp, want) {
				t.Errorf("%s: policy %q lacks %q", path, csp, want)
			}
		}
		if strings.Contains(csp, "unsafe") || header.Get("X-Content-Type-Options") != "nosniff" || header.Get("Referrer-Policy") != "no-referrer" {
			t.Errorf("%s: headers %v", path, header)
		}
	}
	if cc := get(t, h, "/", "en").Header().Get("Cache-Control"); cc != "no-store" {
		t.Errorf("Cache-Control %q: a stream could be taken from the cache for a page", cc)
	}
}

func TestLanguage(t *testing.T) {
	h := open(t, full())
	for _, tc := range []struct{ query, cookie, accepts, want string }{
		{"", "", "", "en"},
		{"", "", "zh-CN,zh;q=0.9", "zh"},
		{"", "en", "zh-CN", "en"},
		{"?lang=zh", "en", "en", "zh"},
		{"?lang=xx", "", "en", "en"},
		{"", "<x>", "en", "en"},
	} {
		r := httptest.NewRequest(http.MethodGet, "/"+tc.query, nil)
		r.Header.Set("Accept-Language", tc.accepts)
		if tc.cookie != "" {
			r.AddCookie(&http.Cookie{Name: "lang", Value: tc.cookie})
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if !strings.Contains(w.Body.String(), `<html lang="`+tc.want+`">`) {
			t.Errorf("%+v: got another language", tc)
		}
		if kept := strings.Contains(w.Header().Get("Set-Cookie"), "lang=zh"); kept != (tc.query == "?lang=zh") {
			t.Errorf("%+v: cookie %q", tc, w.Header().Get("Set-Cookie"))
		}
	}
}

// TestHostileNames puts markup and format verbs wherever others can write, and
// parses the pages as a browser would.
func TestHostileNames(t *testing.T) {
	const evil = `"><script>alert(1)</script><img src=x onerror=alert(1)>'%s%!d(x)../?#`
	w := full()
	for i := range w.queues {
		w.queues[i].Name, w.queues[i].About, w.queues[i].In = evil, evil, []string{evil}
	}
	release := schemas.ReleaseRow{Name: evil, Version: 1, Failed: []string{evil}, Window: evil, Files: evil}
	w.runs = []ledger.Run{{
		ID: evil, Kind: evil, State: evil, Actor: evil, Reason: evil, Started: noon(),
		Stages: []ledger.StageState{{Name: evil}}, Parked: []broker.Dead{{Stage: evil, Reason: evil}},
		Notes: []ledger.Note{{Stage: evil, Text: evil}}, Windows: []string{evil}, Releases: []schemas.ReleaseRow{release},
		Outputs: []ledger.Output{{Dataset: schemas.Dataset{Kind: schemas.Score, Digest: evil}}},
	}}
	w.score = schemas.ScoreRow{
		Candidate: evil, Baseline: evil, Metrics: []schemas.Metric{{Name: evil, Slice: evil}},
		Samples: []schemas.Sample{{ID: evil, Prompt: evil, Reference: evil, Baseline: evil, Candidate: evil}}, Rules: []schemas.RuleResult{{Rule: evil, Detail: evil}},
	}
	w.all = []ledger.Model{{
		Name: evil, Versions: []schemas.ReleaseRow{release}, Aliases: map[string]int64{evil: 1},
		History: []ledger.Entry{{Run: evil, AliasChange: schemas.AliasChange{Action: evil, Actor: evil, Reason: evil, Aliases: map[string]int64{evil: 1}}}},
	}}
	h := open(t, w)
	run, model := follow(t, h, "/", "/runs/"), follow(t, h, "/models", "/models/")
	for _, path := range []string{"/", run, "/models", model, "/runs/" + strings.ReplaceAll(model, "/models/", "") + "x"} {
		for _, l := range lang.Languages() {
			body := get(t, h, path, l).Body.String()
			if !strings.Contains(body, "alert(1)") {
				t.Errorf("%s does not show the name at all", path)
			}
			if strings.Contains(body, "BADINDEX") || strings.Contains(body, "(MISSING)") {
				t.Errorf("%s: a name was taken for a format", path)
			}
			checkMarkup(t, path, body)
		}
	}
}

// follow returns the first link on a page that begins like that, and checks that
// it leads to something.
func follow(t *testing.T, h http.Handler, page, prefix string) string {
	t.Helper()
	_, rest, ok := strings.Cut(get(t, h, page, "en").Body.String(), `href="`+prefix)
	link, _, _ := strings.Cut(rest, `"`)
	link = prefix + html.UnescapeString(link)
	if code := get(t, h, link, "en").Code; !ok || code != http.StatusOK {
		t.Fatalf("%s: the link %q leads to status %d", page, link, code)
	}
	return link
}

// checkMarkup reports scripts that are not ours and attributes that run some.
func checkMarkup(t *testing.T, path, body string) {
	t.Helper()
	for z := html.NewTokenizer(strings.NewReader(body)); z.Next() != html.ErrorToken; {
		tok := z.Token()
		if tok.Type != html.StartTagToken && tok.Type != html.SelfClosingTagToken {
			continue
		}
		if tok.Data == "img" || tok.Data == "style" {
			t.Errorf("%s: <%s> got in", path, tok.Data)
		}
		for _, a := range tok.Attr {
			if strings.HasPrefix(a.Key, "on") || a.Key == "style" || tok.Data == "script" && a.Key == "src" && a.Val != "/static/live.js" {
				t.Errorf("%s: <%s %s=%q> got in", path, tok.Data, a.Key, a.Val)
			}
		}
		if tok.Data == "script" && len(tok.Attr) != 2 {
			t.Errorf("%s: a script got in: %v", path, tok.Attr)
		}
	}
}

func TestConfig(t *testing.T) {
	if _, err := New(Config{}); err == nil {
		t.Error("an empty Config is taken")
	}
}
