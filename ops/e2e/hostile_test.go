package e2e

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/glmflow/glmflow/ops/app"
	"github.com/glmflow/glmflow/pipeline"
	"github.com/glmflow/glmflow/schemas"
)

// TestHostileFiles puts what real directories hold beside good logs into the
// flow: every bad thing is named with its place, and everything good is learned.
func TestHostileFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name string, parts ...string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(strings.Join(parts, "")), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	written := 0
	good := func() string {
		written++
		return fmt.Sprintf(`{"messages":[{"role":"user","content":"Where is order %d? %s"},{"role":"assistant","content":"Order %d left us at %d o'clock."}]}`+"\n",
			written*7919, strings.Repeat(string(rune('a'+written))+"bc ", 9), written*7919, written%24)
	}
	write("good.jsonl", good(), good(), good(), good(), good(), good(), good(), good(), good(), good())
	write("empty.jsonl")
	write("long.jsonl", good(), `{"messages":[{"role":"user","content":"`, strings.Repeat("x", 100<<20), "\"}]}\n", good())
	write("utf8.jsonl", good(), "{\"messages\":[{\"role\":\"user\",\"content\":\"caf\xe9 \xff\"},{\"role\":\"assistant\",\"content\":\"We sell coffee.\"}]}\n", good())
	deep := strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000)
	write("deep.jsonl", good(), `{"messages":`, deep, "}\n", good())
	write("deep.json", deep)
	write("ragged.csv", "session_id,sender,text,time\n",
		"1,user,Is the kettle back?,2024-01-02 03:04:05\n", "1,agent,It is back on Monday.,2024-01-02 03:05:05\n",
		"2,user\n",
		"3,user,Is the lamp back?,2024-01-02 03:04:05,more,and more\n",
		"4,user,Is the chair back?,2024-01-02 03:04:05\n", "4,agent,It never left us.,2024-01-02 03:05:05\n")
	write("picture.jsonl", "\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00", strings.Repeat("\x00\x01", 500))
	outside := filepath.Join(t.TempDir(), "secret.jsonl")
	if err := os.WriteFile(outside, []byte(`{"messages":[{"role":"user","content":"the secret"},{"role":"assistant","content":"is out"}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(dir, "link.jsonl")); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe.jsonl"), 0o600); err != nil {
		t.Fatal(err)
	}

	f := join(t, settings(t, base(t)), true)
	id, _, skipped, err := f.Ingest(t.Context(), []string{dir}, "", "", "e2e")
	if err != nil {
		t.Fatal(err)
	}
	left := []app.Skipped{
		{Path: filepath.Join(dir, "link.jsonl"), Reason: "is a link that leads out of " + dir + ", or nowhere"},
		{Path: filepath.Join(dir, "pipe.jsonl"), Reason: "is neither a file nor a directory"},
	}
	if diff := gocmp.Diff(left, skipped); diff != "" {
		t.Errorf("skipped (-want +got):\n%s", diff)
	}
	run := f.settled(id)
	var got []string
	for _, r := range f.rejects(id) {
		got = append(got, fmt.Sprintf("%s %s:%d %s", r.Stage, r.Origin.File, r.Origin.Line, r.Rule))
		if r.Reason == "" || len(r.Sample) > 512 {
			t.Errorf("reject %+v", r)
		}
	}
	want := []string{
		"ingest deep.json:1 too-deep",
		"ingest deep.jsonl:2 too-deep",
		"ingest empty.jsonl:0 empty-file",
		"ingest long.jsonl:2 too-long",
		"ingest picture.jsonl:0 binary-file",
		"ingest ragged.csv:4 malformed-row",
		"ingest ragged.csv:5 malformed-row",
		"ingest utf8.jsonl:2 invalid-utf8",
	}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("rejects (-want +got):\n%s", diff)
	}
	sessions := 2 // of the table
	if in := run.Stage("ingest"); in.RowsOut != int64(written+sessions) {
		t.Errorf("%d conversations were read, want %d", in.RowsOut, written+sessions)
	}

	// An order that names a path outside is refused for that path alone.
	digest, err := f.Store.PutBytes(t.Context(), bytes.TrimSpace([]byte(good())))
	if err != nil {
		t.Fatal(err)
	}
	ev, err := schemas.NewEvent(schemas.IngestRequest, "forged", "/stranger", f.Now(), schemas.IngestOrder{Sources: []schemas.Source{
		{Name: "../../etc/passwd", Digest: string(digest)}, {Name: "fine.jsonl", Digest: string(digest)},
	}})
	if err != nil {
		t.Fatal(err)
	}
	ev.Run = "forged"
	if _, err := f.Broker.Publish(t.Context(), ev); err != nil {
		t.Fatal(err)
	}
	if forged := f.settled("forged"); forged.Stage("ingest").RowsOut != 1 {
		t.Errorf("beside a forged path %d conversations were read, want 1", forged.Stage("ingest").RowsOut)
	}
	if r := f.rejects("forged"); len(r) != 1 || r[0].Rule != "unsafe-name" || r[0].Origin.File != "../../etc/passwd" {
		t.Errorf("rejects %+v, want the forged path", r)
	}
	f.train("train") // none of it is in the way of learning from the rest
}

// rejects are all rows that a run rejected, by file and line.
func (f *flow) rejects(run string) []schemas.Reject {
	f.t.Helper()
	var list []schemas.Reject
	for ev, err := range f.Ledger.Events(f.t.Context(), run) {
		if err != nil {
			f.t.Fatal(err)
		}
		if ev.Type != schemas.DialogueReject {
			continue
		}
		var d schemas.Dataset
		if err := ev.Decode(&d); err != nil {
			f.t.Fatal(err)
		}
		for row, err := range pipeline.RowsOf[schemas.Reject](f.t.Context(), f.Store, d) {
			if err != nil {
				f.t.Fatal(err)
			}
			list = append(list, row)
		}
	}
	slices.SortFunc(list, func(a, b schemas.Reject) int {
		return cmp.Or(cmp.Compare(a.Origin.File, b.Origin.File), cmp.Compare(a.Origin.Line, b.Origin.Line))
	})
	return list
}
