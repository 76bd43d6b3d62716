package artifact_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/glmflow/glmflow/pipeline/artifact"
)

func TestTree(t *testing.T) {
	each(t, func(t *testing.T, s *artifact.Store) {
		dir := fstest.MapFS{"config.json": {Data: []byte("{}")}, "a/b/deep.bin": {Data: []byte{1, 2}}, "a.txt": {Data: nil}}
		d, err := s.PutTree(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		if name, err := artifact.OfTree(t.Context(), dir); err != nil || name != d {
			t.Errorf("unstored, the tree is called %s, %v; stored it is %s", name, err, d)
		}
		list, err := s.Tree(t.Context(), d)
		if err != nil {
			t.Fatal(err)
		}
		want := []artifact.File{
			{Path: "a.txt", Digest: artifact.Of(nil)},
			{Path: "a/b/deep.bin", Digest: artifact.Of([]byte{1, 2}), Bytes: 2},
			{Path: "config.json", Digest: artifact.Of([]byte("{}")), Bytes: 2},
		}
		if diff := cmp.Diff(want, list); diff != "" {
			t.Error(diff)
		}
		out, err := s.Checkout(t.Context(), d)
		if err != nil {
			t.Fatal(err)
		}
		again, err := s.PutTree(t.Context(), os.DirFS(out))
		if err != nil || again != d {
			t.Errorf("the tree came back as %s, was %s (%v)", again, d, err)
		}
		if second, err := s.Checkout(t.Context(), d); err != nil || second != out {
			t.Errorf("the second checkout is %s, %v", second, err)
		}
	})
}

// TestExport: what was exported is a copy that may be changed, and takes the
// place of nothing.
func TestExport(t *testing.T) {
	each(t, func(t *testing.T, s *artifact.Store) {
		content := fstest.MapFS{"README.md": {Data: []byte("card")}, "a/b/deep.bin": {Data: []byte{1, 2}}}
		d, err := s.PutTree(t.Context(), content)
		if err != nil {
			t.Fatal(err)
		}
		out := filepath.Join(t.TempDir(), "new", "model")
		if err := s.Export(t.Context(), d, out); err != nil {
			t.Fatal(err)
		}
		if name, err := artifact.OfTree(t.Context(), os.DirFS(out)); err != nil || name != d {
			t.Errorf("exported %s, %v; want %s", name, err, d)
		}
		if err := os.WriteFile(filepath.Join(out, "README.md"), []byte("mine"), 0o644); err != nil {
			t.Error(err)
		}
		if body, err := s.Bytes(t.Context(), artifact.Of([]byte("card")), 10); err != nil || string(body) != "card" {
			t.Errorf("a changed export changed the store: %q, %v", body, err)
		}
		if err := s.Export(t.Context(), d, out); err == nil || !strings.Contains(err.Error(), "holds something already") {
			t.Errorf("exported over another export: %v", err)
		}
		if left, _ := filepath.Glob(filepath.Join(filepath.Dir(out), "unfinished-*")); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	})
}

func TestTreeRefusesLinks(t *testing.T) {
	dir := t.TempDir()
	if err := os.Symlink("/etc/hostname", filepath.Join(dir, "link")); err != nil {
		t.Skip(err)
	}
	if _, err := open(t, "mem://").PutTree(t.Context(), os.DirFS(dir)); err == nil || !strings.Contains(err.Error(), "link is neither") {
		t.Errorf("error %v", err)
	}
}

// TestCheckoutTogether: processes that share a cache check out the same tree at
// once and all get all of it.
func TestCheckoutTogether(t *testing.T) {
	dir := t.TempDir()
	content := fstest.MapFS{}
	for i := range 50 {
		content[fmt.Sprintf("part-%02d", i)] = &fstest.MapFile{Data: bytes.Repeat([]byte{byte(i)}, 1000)}
	}
	d, err := open(t, dir).PutTree(t.Context(), content)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 8 {
		s := open(t, dir)
		wg.Go(func() {
			out, err := s.Checkout(t.Context(), d)
			if err != nil {
				t.Error(err)
				return
			}
			if list, err := os.ReadDir(out); len(list) != 50 || err != nil {
				t.Errorf("%d files, %v", len(list), err)
			}
		})
	}
	wg.Wait()
	if left, err := os.ReadDir(filepath.Join(dir, "checkout")); len(left) != 1 || err != nil {
		t.Errorf("the cache holds %v (%v)", left, err)
	}
}

func TestHostileManifests(t *testing.T) {
	s := open(t, "mem://")
	d := artifact.Of(nil)
	for _, path := range []string{"../escape", "/etc/passwd", "a/../../b", "", ".", "a//b"} {
		text := fmt.Sprintf(`{"files":[{"path":%q,"digest":%q,"bytes":0}]}`, path, d)
		tree, err := s.PutBytes(t.Context(), []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Checkout(t.Context(), tree); err == nil || !strings.Contains(err.Error(), "no path inside") {
			t.Errorf("path %q: %v", path, err)
		}
	}
	twice := fmt.Sprintf(`{"files":[{"path":"a","digest":%q},{"path":"a","digest":%q}]}`, d, d)
	tree, err := s.PutBytes(t.Context(), []byte(twice))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Tree(t.Context(), tree); err == nil {
		t.Error("a manifest that names a file twice was read")
	}
}

func FuzzTree(f *testing.F) {
	f.Add([]byte(`{"files":[{"path":"a","digest":"` + string(artifact.Of(nil)) + `","bytes":0}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		s := open(t, "mem://")
		d, err := s.PutBytes(t.Context(), text)
		if err != nil {
			t.Fatal(err)
		}
		list, err := s.Tree(t.Context(), d)
		if err != nil {
			return
		}
		for _, file := range list {
			if !filepath.IsLocal(file.Path) {
				t.Errorf("%q leaves the directory", file.Path)
			}
		}
	})
}
