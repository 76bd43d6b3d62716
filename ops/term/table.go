package term

import (
	"fmt"
	"math"
	"strings"

	"github.com/charmbracelet/x/ansi"
)

// Width is the number of columns text takes, colour codes not counted and wide
// characters twice.
func Width(text string) int { return ansi.StringWidth(text) }

// pad fills text with spaces up to width columns.
func pad(text string, width int) string {
	return text + strings.Repeat(" ", max(0, width-ansi.StringWidth(text)))
}

// Table writes rows in aligned columns, the first row as headings. Columns
// named in right are aligned right. Where the table is wider than width, its
// widest column is cut with an ellipsis.
func (s *Screen) Table(rows [][]string, right ...int) string {
	if len(rows) == 0 {
		return ""
	}
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], ansi.StringWidth(cell))
		}
	}
	total := 2 * (len(widths) - 1)
	widest := 0
	for i, w := range widths {
		total += w
		if w > widths[widest] {
			widest = i
		}
	}
	if over := total - s.Width; over > 0 {
		widths[widest] = max(8, widths[widest]-over)
	}
	toRight := map[int]bool{}
	for _, i := range right {
		toRight[i] = true
	}
	var b strings.Builder
	for r, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			if i > 0 {
				line.WriteString("  ")
			}
			cell = ansi.Truncate(cell, widths[i], "…")
			if toRight[i] {
				cell = strings.Repeat(" ", widths[i]-ansi.StringWidth(cell)) + cell
			} else {
				cell = pad(cell, widths[i])
			}
			if r == 0 {
				cell = s.Style(Faint, cell)
			}
			line.WriteString(cell)
		}
		b.WriteString(strings.TrimRight(line.String(), " "))
		b.WriteByte('\n')
	}
	return b.String()
}

// Wrap breaks text at width columns and indents every line.
func Wrap(text string, width int, indent string) string {
	text = ansi.Wrap(text, max(10, width-ansi.StringWidth(indent)), "")
	return indent + strings.ReplaceAll(text, "\n", "\n"+indent)
}

// Figure writes a measure with four decimals, and a large one, of which nobody
// reads so many, with one; signed puts a plus before what is not negative.
func Figure(x float64, signed bool) string {
	sign := ""
	if signed {
		sign = "+"
	}
	switch size := math.Abs(x); {
	case size >= 1e6:
		return fmt.Sprintf("%"+sign+".4g", x)
	case size >= 1e3:
		return fmt.Sprintf("%"+sign+".1f", x)
	}
	return fmt.Sprintf("%"+sign+".4f", x)
}
