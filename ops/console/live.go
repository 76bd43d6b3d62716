package console

import (
	"bytes"
	"fmt"
	"net/http"
	"time"
)

// Changes come in bursts: a page is sent again at most this often.
const pushEvery = 300 * time.Millisecond

// A page that nothing changes is looked at again this often all the same: ages
// and queue lengths move on, and proxies close silent connections.
const pushIdle = 5 * time.Second

// streams reports whether a page's live part is asked for, not the page.
func streams(r *http.Request) bool { return r.Header.Get("Accept") == "text/event-stream" }

// stream sends the page's live part as server-sent events until the reader
// leaves. A page that cannot be shown ends the stream; the browser asks again.
func (s *server) stream(w http.ResponseWriter, r *http.Request, p page, v view) {
	var last []byte
	for {
		changed := s.Source.Changed() // before the look, so that no change falls in between
		body, err := s.render(p, r, v, p.template+"-live")
		if err != nil {
			if last == nil {
				status, _, _ := s.problem(v, err)
				http.Error(w, err.Error(), status)
			}
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		if err := send(w, body, bytes.Equal(body, last)); err != nil {
			return
		}
		last = body
		if !wait(r, changed) {
			return
		}
	}
}

// send writes one event, or a comment if the reader has it already.
func send(w http.ResponseWriter, body []byte, again bool) error {
	event := []byte(": still here\n\n")
	if !again {
		// An event ends at an empty line, hence the prefix on each.
		event = fmt.Appendf(nil, "data: %s\n\n", bytes.ReplaceAll(body, []byte("\n"), []byte("\ndata: ")))
	}
	if _, err := w.Write(event); err != nil {
		return err
	}
	return http.NewResponseController(w).Flush()
}

// wait returns after the next change, but neither too soon nor too late, and
// false when the reader has left.
func wait(r *http.Request, changed <-chan struct{}) bool {
	soon, late := time.NewTimer(pushEvery), time.NewTimer(pushIdle)
	defer soon.Stop()
	defer late.Stop()
	select {
	case <-r.Context().Done():
		return false
	case <-soon.C:
	}
	select {
	case <-r.Context().Done():
		return false
	case <-changed:
	case <-late.C:
	}
	return true
}
