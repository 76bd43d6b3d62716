package artifact

import (
	"testing"
	"testing/fstest"
)

func TestPutFilesNamesTheSameTree(t *testing.T) {
	s, err := Open(t.Context(), "mem://")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	want, err := s.PutTree(t.Context(), fstest.MapFS{"b/x": {Data: []byte("x")}, "a": {Data: []byte("a")}})
	if err != nil {
		t.Fatal(err)
	}
	files, err := s.Tree(t.Context(), want)
	if err != nil {
		t.Fatal(err)
	}
	files[0], files[1] = files[1], files[0]
	if got, err := s.PutFiles(t.Context(), files); err != nil || got != want {
		t.Errorf("tree %s, %v; want %s", got, err, want)
	}
	for _, bad := range [][]File{{{Path: "../a", Digest: want}}, {{Path: "a", Digest: "x"}}, {{Path: "a", Digest: want}, {Path: "a", Digest: want}}} {
		if _, err := s.PutFiles(t.Context(), bad); err == nil {
			t.Errorf("%v was stored as a tree", bad)
		}
	}
}
