package console

import (
	"fmt"
	"html"
	"html/template"
	"math"
	"strings"

	"github.com/glmflow/glmflow/ops/lang"
	"github.com/glmflow/glmflow/schemas"
)

// Sizes of the curve's picture, in SVG units.
const (
	curveWidth, curveHeight = 760, 260
	curveLeft, curveRight   = 52, 14
	curveTop, curveBottom   = 10, 28
	curveMarks              = 600 // of each series; more are thinned out
)

// A mark is one measurement.
type mark struct {
	step  int64
	value float64
}

// curvePicture draws training loss as a line and validation loss as dots. A
// value that is no finite number leaves a gap.
func curvePicture(p lang.Printer, points []schemas.Point) template.HTML {
	var train, val []mark
	for _, pt := range points {
		if finite(pt.Loss) {
			train = append(train, mark{pt.Step, pt.Loss})
		}
		if pt.ValLoss != nil && finite(*pt.ValLoss) {
			val = append(val, mark{pt.Step, *pt.ValLoss})
		}
	}
	if len(train)+len(val) == 0 {
		return ""
	}
	f := frameOf(train, val)
	var b strings.Builder
	fmt.Fprintf(&b, `<svg class="curve" viewBox="0 0 %d %d" role="img" aria-label="%s">`, curveWidth, curveHeight, html.EscapeString(p.Sprintf("Loss")))
	for i := range 5 {
		v := f.y0 + (f.y1-f.y0)*float64(i)/4
		fmt.Fprintf(&b, `<path class="grid" d="M%d %.1f H%d"/><text class="tick" x="%d" y="%.1f">%.*f</text>`,
			curveLeft, f.y(v), curveWidth-curveRight, curveLeft-6, f.y(v)+4, decimals(f.y1-f.y0), v)
	}
	b.WriteString(`<path class="train" d="`)
	for i, m := range thin(train, curveMarks) {
		fmt.Fprintf(&b, "%c%.1f %.1f", "ML"[min(i, 1)], f.x(m.step), f.y(m.value))
	}
	b.WriteString(`"/><g class="val">`)
	for _, m := range thin(val, curveMarks) {
		fmt.Fprintf(&b, `<circle cx="%.1f" cy="%.1f" r="4"><title>%d: %.4f</title></circle>`, f.x(m.step), f.y(m.value), m.step, m.value)
	}
	fmt.Fprintf(&b, `</g><text class="tick start" x="%d" y="%d">%d</text><text class="tick" x="%d" y="%d">%d</text></svg>`,
		curveLeft, curveHeight-8, f.first, curveWidth-curveRight, curveHeight-8, f.last)
	return template.HTML(b.String()) // numbers, and one phrase of ours
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

// decimals is how many of them tell marks on an axis of that span apart.
func decimals(span float64) int {
	return min(6, max(0, 2-int(math.Floor(math.Log10(span)))))
}

// A frame maps measurements to the picture.
type frame struct {
	first, last int64
	y0, y1      float64
}

func frameOf(series ...[]mark) frame {
	f := frame{math.MaxInt64, math.MinInt64, math.Inf(1), math.Inf(-1)}
	for _, marks := range series {
		for _, m := range marks {
			f.first, f.last = min(f.first, m.step), max(f.last, m.step)
			f.y0, f.y1 = min(f.y0, m.value), max(f.y1, m.value)
		}
	}
	if f.y0 == f.y1 {
		f.y0, f.y1 = f.y0-0.5, f.y1+0.5
	}
	return f
}

func (f frame) x(step int64) float64 {
	return curveLeft + float64(step-f.first)/float64(max(1, f.last-f.first))*(curveWidth-curveLeft-curveRight)
}

func (f frame) y(v float64) float64 {
	return curveTop + (f.y1-v)/(f.y1-f.y0)*(curveHeight-curveTop-curveBottom)
}

// thin keeps at most n marks, n ≥ 4: the ends, and of each stretch in between
// the lowest and the highest, so that no spike is lost.
func thin(marks []mark, n int) []mark {
	if len(marks) <= n {
		return marks
	}
	out := []mark{marks[0]}
	inner := marks[1 : len(marks)-1]
	stretches := (n - 2) / 2
	for i := range stretches {
		part := inner[i*len(inner)/stretches : (i+1)*len(inner)/stretches]
		low, high := 0, 0
		for j, m := range part {
			if m.value < part[low].value {
				low = j
			}
			if m.value > part[high].value {
				high = j
			}
		}
		out = append(out, part[min(low, high)])
		if low != high {
			out = append(out, part[max(low, high)])
		}
	}
	return append(out, marks[len(marks)-1])
}
