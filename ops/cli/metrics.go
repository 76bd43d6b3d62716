package cli

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"

	"github.com/glmflow/glmflow/gpu/finetune"
)

// metricsFile is --metrics: a JSON line a step. A resumed training goes on
// where its first step says, whatever an interrupted one had written beyond.
type metricsFile struct {
	path string
	file *os.File
	err  error // the first; writing stops there
}

// metricsLine is a line of it. Loss and norm of a skipped step are null.
type metricsLine struct {
	Step        int      `json:"step"`
	Loss        *float64 `json:"loss"`
	ValLoss     *float64 `json:"val_loss,omitempty"`
	ValAccuracy *float64 `json:"val_accuracy,omitempty"`
	LR          float64  `json:"lr"`
	GradNorm    *float64 `json:"grad_norm"`
	Tokens      int64    `json:"tokens"`  // in the step
	Seconds     float64  `json:"seconds"` // it took, without validation
}

// step writes a line.
func (m *metricsFile) step(i finetune.StepInfo) {
	if m.path == "" || m.err != nil {
		return
	}
	if m.file == nil {
		if m.file, m.err = keepBefore(m.path, i.Step); m.err != nil {
			return
		}
	}
	m.err = json.NewEncoder(m.file).Encode(metricsLine{
		Step: i.Step, Loss: number(i.Loss), ValLoss: i.ValLoss, ValAccuracy: i.ValAccuracy, LR: i.LR, GradNorm: number(i.GradNorm),
		Tokens: i.Tokens, Seconds: i.Took.Seconds(),
	})
}

// close returns the first error there was.
func (m *metricsFile) close() error {
	if m.file != nil {
		m.err = errors.Join(m.err, m.file.Close())
	}
	if m.err != nil {
		return fmt.Errorf("metrics: %w", m.err)
	}
	return nil
}

// keepBefore opens the file at path for appending, cut after its lines of steps
// before the given one.
func keepBefore(path string, step int) (*os.File, error) {
	old, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	keep := int64(0)
	for rest := old; len(rest) > 0; {
		n, line, _ := bufio.ScanLines(rest, false)
		var l metricsLine
		if keep == 0 && !bytes.HasPrefix(rest, []byte(`{"step":`)) {
			return nil, fmt.Errorf("%s is no file of metrics, and would be written over: name another", path)
		}
		if n == 0 || json.Unmarshal(line, &l) != nil || l.Step >= step {
			break
		}
		keep += int64(n)
		rest = rest[n:]
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	return f, f.Truncate(keep)
}

func number(x float64) *float64 {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return nil
	}
	return &x
}
