package term

import (
	"fmt"
	"math"
	"strings"

	"github.com/charmbracelet/x/ansi"
)

// A Series is one line of a plot. NaN leaves a gap.
type Series struct {
	Name string
	X, Y []float64
	Mark rune // '·' draws points, 0 a continuous line
}

// Plot draws series over a common axis in braille dots, width columns wide and
// height rows high, with the range of both axes written beside it.
func Plot(width, height int, series ...Series) string {
	x0, x1, y0, y1 := bounds(series)
	if math.IsInf(x0, 0) {
		return "(nothing to draw)\n"
	}
	labels := []string{within(y1, y1-y0), within((y0+y1)/2, y1-y0), within(y0, y1-y0)}
	gutter := 0
	for _, l := range labels {
		gutter = max(gutter, len(l))
	}
	columns := max(10, width-gutter-2)
	c := newCanvas(columns, height)
	column := func(x float64) int { return int(math.Round((x - x0) / (x1 - x0) * float64(2*columns-1))) }
	row := func(y float64) int { return int(math.Round((y1 - y) / (y1 - y0) * float64(4*height-1))) }
	for _, s := range series {
		lastX, lastY, started := 0, 0, false
		for i := range s.X {
			if math.IsNaN(s.Y[i]) || math.IsInf(s.Y[i], 0) {
				continue
			}
			x, y := column(s.X[i]), row(s.Y[i])
			switch {
			case s.Mark != 0:
				c.mark(x/2, y/4, s.Mark)
			case started:
				c.line(lastX, lastY, x, y)
			default:
				c.dot(x, y)
			}
			lastX, lastY, started = x, y, true
		}
	}
	var b strings.Builder
	for r := range height {
		label := ""
		switch r {
		case 0:
			label = labels[0]
		case height / 2:
			label = labels[1]
		case height - 1:
			label = labels[2]
		}
		fmt.Fprintf(&b, "%*s ┤%s\n", gutter, label, strings.TrimRight(string(c.cells[r]), "⠀ "))
	}
	left, right := number(x0), number(x1)
	fmt.Fprintf(&b, "%*s  %s%*s\n", gutter, "", left, max(1, columns-ansi.StringWidth(left)), right)
	return b.String()
}

func bounds(series []Series) (x0, x1, y0, y1 float64) {
	x0, y0 = math.Inf(1), math.Inf(1)
	x1, y1 = math.Inf(-1), math.Inf(-1)
	for _, s := range series {
		for i, y := range s.Y {
			if math.IsNaN(y) || math.IsInf(y, 0) {
				continue
			}
			x0, x1 = min(x0, s.X[i]), max(x1, s.X[i])
			y0, y1 = min(y0, y), max(y1, y)
		}
	}
	if x1 == x0 {
		x1++
	}
	if y1 == y0 {
		y1++
	}
	return x0, x1, y0, y1
}

// within writes v with as many digits as tell points of an axis of that range
// apart.
func within(v, span float64) string {
	digits := max(0, 2-int(math.Floor(math.Log10(span))))
	return fmt.Sprintf("%.*f", min(digits, 8), v)
}

func number(v float64) string {
	if v == math.Trunc(v) && math.Abs(v) < 1e6 {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.3g", v)
}

// A canvas of braille cells: each is two dots wide and four high.
type canvas struct{ cells [][]rune }

func newCanvas(columns, rows int) *canvas {
	c := &canvas{cells: make([][]rune, rows)}
	for i := range c.cells {
		c.cells[i] = []rune(strings.Repeat("\u2800", columns))
	}
	return c
}

func (c *canvas) dot(x, y int) {
	if y < 0 || y/4 >= len(c.cells) || x < 0 || x/2 >= len(c.cells[0]) {
		return
	}
	bits := [4][2]rune{{0x01, 0x08}, {0x02, 0x10}, {0x04, 0x20}, {0x40, 0x80}}
	if cell := &c.cells[y/4][x/2]; *cell >= 0x2800 && *cell <= 0x28FF {
		*cell |= bits[y%4][x%2]
	}
}

func (c *canvas) mark(column, row int, mark rune) {
	if row >= 0 && row < len(c.cells) && column >= 0 && column < len(c.cells[0]) {
		c.cells[row][column] = mark
	}
}

// line sets the dots between two points (Bresenham 1965).
func (c *canvas) line(x0, y0, x1, y1 int) {
	dx, dy := abs(x1-x0), -abs(y1-y0)
	sx, sy := 1, 1
	if x0 > x1 {
		sx = -1
	}
	if y0 > y1 {
		sy = -1
	}
	for slack := dx + dy; ; {
		c.dot(x0, y0)
		if x0 == x1 && y0 == y1 {
			return
		}
		twice := 2 * slack
		if twice >= dy {
			slack += dy
			x0 += sx
		}
		if twice <= dx {
			slack += dx
			y0 += sy
		}
	}
}

func abs(n int) int {
	if n < 0 {
		return -n
	}
	return n
}
