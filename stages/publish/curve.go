package publish

import (
	"bytes"
	"fmt"
	"math"

	"github.com/glmflow/glmflow/schemas"
)

// Size of the drawing, in pixels, and of the border that holds the labels.
const (
	curveWidth, curveHeight = 720, 240
	curveBorder             = 40
)

// curve draws the training loss as a line, the validation loss as dots joined by
// another, and a mark at the best step. It is an SVG that needs nothing else.
func curve(points []schemas.Point, best int64) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img" aria-label="loss by step" font-family="sans-serif" font-size="12">`+"\n", curveWidth, curveHeight)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#fff"/>`+"\n", curveWidth, curveHeight)
	var train, val []dot
	for _, p := range points {
		train = append(train, dot{float64(p.Step), p.Loss})
		if p.ValLoss != nil {
			val = append(val, dot{float64(p.Step), *p.ValLoss})
		}
	}
	train, val = finite(train), finite(val)
	f := frameOf(train, val)
	for i := range 5 {
		y := f.low + (f.high-f.low)*float64(i)/4
		fmt.Fprintf(&b, `<path d="M%d %.1fH%d" stroke="#ddd"/><text x="%d" y="%.1f" text-anchor="end" fill="#555">%.3g</text>`+"\n",
			curveBorder, f.y(y), curveWidth-10, curveBorder-4, f.y(y)+4, y)
	}
	fmt.Fprintf(&b, `<text x="%d" y="%d" fill="#555">step %.0f</text><text x="%d" y="%d" text-anchor="end" fill="#555">step %.0f</text>`+"\n",
		curveBorder, curveHeight-8, f.first, curveWidth-10, curveHeight-8, f.last)
	line(&b, f, train, "#7a8ca8", 1)
	line(&b, f, val, "#c2410c", 2)
	for _, d := range val {
		r := 3
		if int64(d.x) == best {
			r = 6
		}
		fmt.Fprintf(&b, `<circle cx="%.1f" cy="%.1f" r="%d" fill="#c2410c"/>`+"\n", f.x(d.x), f.y(d.y), r)
	}
	fmt.Fprintf(&b, `<text x="%d" y="16" fill="#7a8ca8">training</text><text x="%d" y="16" fill="#c2410c">validation</text>`+"\n</svg>\n", curveBorder+10, curveBorder+80)
	return b.Bytes()
}

type dot struct{ x, y float64 }

// finite leaves out what cannot be drawn.
func finite(dots []dot) []dot {
	var kept []dot
	for _, d := range dots {
		if !math.IsNaN(d.y) && !math.IsInf(d.y, 0) {
			kept = append(kept, d)
		}
	}
	return kept
}

// A frame maps steps and losses to pixels.
type frame struct{ first, last, low, high float64 }

func frameOf(series ...[]dot) frame {
	f := frame{math.Inf(1), math.Inf(-1), math.Inf(1), math.Inf(-1)}
	for _, dots := range series {
		for _, d := range dots {
			f.first, f.last = min(f.first, d.x), max(f.last, d.x)
			f.low, f.high = min(f.low, d.y), max(f.high, d.y)
		}
	}
	if f.first > f.last {
		return frame{0, 1, 0, 1} // nothing to draw
	}
	return f
}

func (f frame) x(step float64) float64 {
	return curveBorder + (step-f.first)/max(f.last-f.first, 1)*(curveWidth-curveBorder-10)
}

func (f frame) y(loss float64) float64 {
	if f.high == f.low {
		return curveHeight / 2
	}
	return 28 + (f.high-loss)/(f.high-f.low)*(curveHeight-28-curveBorder)
}

func line(b *bytes.Buffer, f frame, dots []dot, colour string, width int) {
	if len(dots) == 0 {
		return
	}
	fmt.Fprintf(b, `<polyline fill="none" stroke="%s" stroke-width="%d" points="`, colour, width)
	for _, d := range dots {
		fmt.Fprintf(b, "%.1f,%.1f ", f.x(d.x), f.y(d.y))
	}
	fmt.Fprint(b, `"/>`+"\n")
}
