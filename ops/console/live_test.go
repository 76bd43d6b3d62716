package console

import (
	"bufio"
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/glmflow/glmflow/pipeline/ledger"
)

// TestLive opens a page's stream, changes the world, and reads what is pushed.
func TestLive(t *testing.T) {
	defer goleak.VerifyNone(t)
	w := full()
	gone := make(chan struct{})
	h := open(t, w)
	srv := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(rw, r)
		close(gone)
	}))
	defer srv.Close()
	client := srv.Client()
	defer client.CloseIdleConnections()

	ctx, leave := context.WithTimeout(t.Context(), 30*time.Second)
	defer leave()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, srv.URL+"/runs/01KRRUNNING?lang=en", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "text/event-stream")
	req.Header.Set("Cookie", "lang=zh") // of another tab
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if ct := resp.Header.Get("Content-Type"); ct != "text/event-stream" {
		t.Fatalf("Content-Type %q", ct)
	}
	if c := resp.Header.Get("Set-Cookie"); c != "" {
		t.Errorf("a stream set the cookie %q", c)
	}
	events := bufio.NewReader(resp.Body)

	first := readEvent(t, events)
	if !strings.Contains(first, `<span class="chip running">running`) || strings.Contains(first, "<html") {
		t.Errorf("the first event is not the page's live part:\n%s", first)
	}
	w.change(func() {
		r := w.runs[1]
		r.State, r.Finished = ledger.Finished, noon()
		w.runs = []ledger.Run{w.runs[0], r}
	})
	if second := readEvent(t, events); !strings.Contains(second, "chip finished") {
		t.Errorf("the change was not pushed:\n%s", second)
	}
	leave()
	select {
	case <-gone:
	case <-time.After(10 * time.Second):
		t.Fatal("the stream goes on although the reader has left")
	}
}

// TestStreamEndsWithoutItsRun: the browser then asks again, and gets a 404.
func TestStreamEndsWithoutItsRun(t *testing.T) {
	w := full()
	srv := httptest.NewServer(open(t, w))
	defer srv.Close()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL+"/runs/01KRRUNNING", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "text/event-stream")
	resp, err := srv.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	events := bufio.NewReader(resp.Body)
	readEvent(t, events)
	w.change(func() { w.runs = nil })
	if line, err := events.ReadString('\n'); err == nil {
		t.Errorf("the stream goes on: %q", line)
	}
}

// readEvent reads up to the next empty line and undoes the framing.
func readEvent(t *testing.T, r *bufio.Reader) string {
	t.Helper()
	var b strings.Builder
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if line == "\n" {
			return b.String()
		}
		data, ok := strings.CutPrefix(line, "data: ")
		if !ok {
			t.Fatalf("line %q of an event has no prefix", line)
		}
		b.WriteString(data)
	}
}
