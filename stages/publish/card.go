package publish

import (
	"bytes"
	_ "embed"
	"fmt"
	"math"
	"strings"
	"text/template"

	"github.com/glmflow/glmflow/gpu/finetune"
	"github.com/glmflow/glmflow/pipeline/window"
	"github.com/glmflow/glmflow/schemas"
)

//go:embed card.md.tmpl
var cardTemplate string

// card writes the model card: Markdown that a person reads on any host, with the
// front matter that model hubs read.
func (c candidate) card() ([]byte, error) {
	t, err := template.New("card").Funcs(template.FuncMap{
		"cell":   cell,
		"number": number,
		"share": func(part, whole int64) string {
			return fmt.Sprintf("%.1f %%", 100*float64(part)/float64(max(whole, 1)))
		},
	}).Parse(cardTemplate)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = t.Execute(&out, struct {
		schemas.ScoreRow
		Version   int64
		Window    *window.Manifest
		Total     int64
		Lineage   string
		FirstLoss float64
		CurveFile string
		Whole     bool // the version is a model of its own, and no adapter
	}{c.ScoreRow, c.version, c.window, c.rows(), LineageFile, c.firstLoss(), CurveFile, finetune.Whole(c.Adapter.Method)})
	return out.Bytes(), err
}

// rows is the number of conversations in the window.
func (c candidate) rows() (n int64) {
	for _, p := range c.window.Parts {
		n += p.Rows
	}
	return n
}

// firstLoss is the loss that the training began with.
func (c candidate) firstLoss() float64 {
	if len(c.Adapter.Curve) == 0 {
		return math.NaN()
	}
	return c.Adapter.Curve[0].Loss
}

// cell makes text safe inside a table and inside a code span of the card.
func cell(text any) string {
	return strings.NewReplacer("|", "\\|", "\r", " ", "\n", " ", "`", "'", "<", "&lt;").Replace(fmt.Sprint(text))
}

func number(x float64) string {
	if math.IsNaN(x) {
		return "–"
	}
	return fmt.Sprintf("%.4g", x)
}
