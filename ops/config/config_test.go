package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestDefaultIsValid(t *testing.T) {
	if err := Default().Validate(); err != nil {
		t.Error(err)
	}
}

// Each bad file's first line says the error it must give.
func TestBadFiles(t *testing.T) {
	files, _ := filepath.Glob("testdata/*.bad.yaml")
	if len(files) == 0 {
		t.Fatal("no bad files")
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		first, _, _ := strings.Cut(string(text), "\n")
		want := strings.TrimPrefix(first, "# error: ")
		c, err := Load(file, []string{"HOME=/home/x"})
		if err == nil {
			err = c.Validate()
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want one with %q", file, err, want)
		}
	}
}

func TestGoodFilesOverDefaults(t *testing.T) {
	c, err := Load("testdata/example.good.yaml", []string{"HOME=/home/x", "GLMFLOW_MODEL_NAME=fromenv", "GLMFLOW_DEVICE_WORKERS=3", "GLMFLOW_REDELIVER=5s"})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
	if c.Train.LoRA.Rank != 16 || c.Train.LearningRate != 1e-4 || c.Train.Memory != 8<<30 || c.Train.Optimizer != "lion" || len(c.Train.NoDecay) != 3 {
		t.Errorf("the file did not count: %+v", c.Train.Options)
	}
	if c.Train.Epochs != Default().Train.Epochs {
		t.Errorf("a default is lost: epochs %d", c.Train.Epochs)
	}
	if c.Model.Name != "fromenv" || c.Device.Workers != 3 || c.Redeliver != 5*time.Second {
		t.Errorf("the environment did not count: %+v %+v", c.Model, c.Device)
	}
	if c.Dir != "/srv/glmflow" {
		t.Errorf("dir %q", c.Dir)
	}
}

func TestDataDir(t *testing.T) {
	for want, environ := range map[string][]string{
		"/data/glmflow":                {"XDG_DATA_HOME=/data", "HOME=/home/x"},
		"/home/x/.local/share/glmflow": {"HOME=/home/x"},
		"/over/there":                  {"HOME=/home/x", "GLMFLOW_DIR=/over/there"},
	} {
		if c, err := Load("", environ); err != nil || c.Dir != want {
			t.Errorf("%v: %q, %v; want %q", environ, c.Dir, err, want)
		}
	}
	for want, environ := range map[string][]string{
		"/tmp/c/glmflow":         {"XDG_CACHE_HOME=/tmp/c", "HOME=/home/x"},
		"/home/x/.cache/glmflow": {"HOME=/home/x", "GLMFLOW_DIR=/over/there"},
		"/over/there/cache":      {"GLMFLOW_DIR=/over/there"},
		"/over/here":             {"HOME=/home/x", "GLMFLOW_CACHE=/over/here"},
	} {
		if c, err := Load("", environ); err != nil || c.Cache != want {
			t.Errorf("%v: cache %q, %v; want %q", environ, c.Cache, err, want)
		}
	}
	if _, err := Load("", nil); err == nil || !strings.Contains(err.Error(), "--dir") {
		t.Errorf("without a home: %v", err)
	}
}

// TestBadEnvironment: every mistake is named by its variable, and what others
// keep there is left alone.
func TestBadEnvironment(t *testing.T) {
	for variable, want := range map[string]string{
		"GLMFLOW_DEVICE_WORKERS=many":     `GLMFLOW_DEVICE_WORKERS is "many": want a value such as 0`,
		"GLMFLOW_REDELIVER=soon":          `GLMFLOW_REDELIVER is "soon": want a value such as 0s`,
		"GLMFLOW_DEVICE_WORKRES=2":        "GLMFLOW_DEVICE_WORKRES is no setting: there are GLMFLOW_DEVICE_BACKEND, GLMFLOW_DEVICE_WORKERS",
		"GLMFLOW_TRAIN_LEARNING_RATE=0.1": "GLMFLOW_TRAIN_LEARNING_RATE: the section train is configured in the file alone",
		"GLMFLOW_LANG=zh":                 "",
		"GLMFLOW_E2E_SOAK=20":             "",
		"DEVICE_WORKRES=2":                "",
	} {
		_, err := Load("", []string{"HOME=/home/x", variable})
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: error %v, want %q", variable, err, want)
		}
	}
}
