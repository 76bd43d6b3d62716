package archtest

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const module = "github.com/glmflow/glmflow"

// A pkg is what `go list -json` tells about one package.
type pkg struct {
	ImportPath                                     string
	Dir                                            string
	GoFiles, CgoFiles, TestGoFiles, IgnoredGoFiles []string
	Imports, TestImports, XTestImports             []string
}

// packages lists every package of the module, once for each set of build tags.
func packages(t *testing.T) []pkg {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", "list", "-e", "-json=ImportPath,Dir,GoFiles,CgoFiles,TestGoFiles,IgnoredGoFiles,Imports,TestImports,XTestImports", "./...")
	cmd.Dir = root
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []pkg
	for d := json.NewDecoder(strings.NewReader(string(out))); d.More(); {
		var p pkg
		if err := d.Decode(&p); err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	if len(all) < 10 {
		t.Fatalf("go list found only %d packages", len(all))
	}
	return all
}

// room is the top-level folder of one of our packages, "" for others'.
func room(path string) string {
	rest, ours := strings.CutPrefix(path, module+"/")
	if !ours {
		return ""
	}
	return strings.SplitN(rest, "/", 2)[0]
}

// stageOf is the stage that a package belongs to, "" if it belongs to none.
func stageOf(path string) string {
	rest, ok := strings.CutPrefix(path, module+"/stages/")
	if !ok {
		return ""
	}
	return strings.SplitN(rest, "/", 2)[0]
}

// TestRooms checks the direction of imports between the five folders.
func TestRooms(t *testing.T) {
	allowed := map[string][]string{
		"schemas":  {"schemas"},                                     // what travels must be readable without the engine
		"gpu":      {"gpu"},                                         // somebody may use our ChatGLM3 without our pipeline
		"pipeline": {"schemas", "pipeline"},                         // it moves any stage's work and knows none of them
		"stages":   {"schemas", "pipeline", "gpu", "stages"},        // stages meet in events alone; see TestStagesDoNotMeet
		"ops":      {"schemas", "pipeline", "gpu", "stages", "ops"}, // the composition root
	}
	for _, p := range packages(t) {
		from := room(p.ImportPath)
		if allowed[from] == nil {
			t.Errorf("%s stands outside the five folders", p.ImportPath)
			continue
		}
		for _, imported := range p.Imports {
			to := room(imported)
			if to == "" {
				continue
			}
			ok := false
			for _, a := range allowed[from] {
				ok = ok || a == to
			}
			if !ok {
				t.Errorf("%s imports %s: %s may import only %v", p.ImportPath, imported, from, allowed[from])
			}
		}
	}
}

// TestStagesDoNotMeet: a stage that imports another is no longer a service of
// its own.
func TestStagesDoNotMeet(t *testing.T) {
	for _, p := range packages(t) {
		from := stageOf(p.ImportPath)
		if from == "" {
			continue
		}
		for _, imported := range p.Imports {
			if to := stageOf(imported); to != "" && to != from {
				t.Errorf("stage %s imports stage %s (%s)", from, to, imported)
			}
		}
	}
}

// TestOutsiders keeps each foreign library in the room that hides it.
func TestOutsiders(t *testing.T) {
	for _, ban := range []struct{ library, only, why string }{
		{"github.com/nats-io/nats-server", "pipeline/broker", "everybody else talks to a broker, embedded or not"},
		{"github.com/nats-io/nats.go", "pipeline", "stages never see a subject"},
		{"github.com/parquet-go/parquet-go", "schemas/parquetio", "rows at rest have one reader and one writer"},
		{"github.com/apache/arrow/go/v17/parquet", "nowhere", "two Parquet writers would write two dialects"},
		{"github.com/spf13/cobra", "ops", "the command line is no library's business"},
		{"github.com/prometheus/client_golang", "ops", "the engine reports to an observer, not to a metrics system"},
		{"gorgonia.org/cu", "gpu/device/cuda", "one device's driver stays behind the device interface"},
		{"github.com/daulet/tokenizers", "gpu/chatglm/tokenizer", "one encoder among two, behind one interface"},
		{"gocloud.dev", "pipeline/artifact", "everybody else stores by digest"},
		{"github.com/apache/arrow/go/v17", "schemas pipeline stages", "records are how rows move, not how they are computed or shown"},
	} {
		for _, p := range packages(t) {
			for _, imported := range p.Imports {
				if imported != ban.library && !strings.HasPrefix(imported, ban.library+"/") {
					continue
				}
				ok := false
				for _, room := range strings.Fields(ban.only) {
					ok = ok || p.ImportPath == module+"/"+room || strings.HasPrefix(p.ImportPath, module+"/"+room+"/")
				}
				if !ok {
					t.Errorf("%s imports %s, which belongs to %s: %s", p.ImportPath, imported, ban.only, ban.why)
				}
			}
		}
	}
}
