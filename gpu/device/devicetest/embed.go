package devicetest

import (
	"fmt"

	"github.com/glmflow/glmflow/gpu/device"
)

// rowsAdded is before[·,H] with rows of dy added at ids.
func rowsAdded(before, dy []float64, ids []int32, h int) []float64 {
	after := append([]float64(nil), before...)
	for m, id := range ids {
		for j := range h {
			after[int(id)*h+j] += dy[m*h+j]
		}
	}
	return after
}

// rowsOf are the rows ids of x[·,H].
func rowsOf(x []float64, ids []int32, h int) []float64 {
	var y []float64
	for _, id := range ids {
		y = append(y, x[int(id)*h:(int(id)+1)*h]...)
	}
	return y
}

func embedCases() []testCase {
	var all []testCase
	ids := []int32{3, 0, 3, 10, 3}
	batch := device.Batch{IDs: ids}
	for _, h := range []int{1, 7, 64, 130} {
		for _, residual := range activations {
			name := fmt.Sprintf("H=%d,residual=%v", h, residual)
			for _, f := range formats {
				table := newWeight(random(name), f, 11, h)
				all = append(all, testCase{name: fmt.Sprintf("Embed/%s,table=%v", name, f),
					operands: append(table.operands("table"), out("y", residual, rowsOf(table.values, ids, h))),
					run:      func(c *call) { c.Embed(c.t("y"), table.matrix(c, "table"), c.pass(batch), h) }})
			}
			for _, f := range activations {
				r := random(name)
				dy, before := draw(r, residual, len(ids)*h, 1), draw(r, f, 11*h, 1)
				all = append(all, testCase{name: fmt.Sprintf("EmbedBackward/%s,dtable=%v", name, f),
					operands: []operand{inout("dtable", f, before, rowsAdded(before, dy, ids, h)), in("dy", residual, dy)},
					run:      func(c *call) { c.EmbedBackward(c.t("dtable"), c.t("dy"), c.pass(batch), h) }})
			}
		}
	}
	return all
}

func gatherCases() []testCase {
	var all []testCase
	for _, rows := range [][]int32{{0}, {7, 2, 2, 0, 9}, {9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 5, 5, 5}} {
		batch := device.Batch{Rows: rows, CuSeqlens: []int32{0, 4, 10}}
		for _, h := range []int{1, 19, 64} {
			for _, f := range activations {
				name := fmt.Sprintf("N=%d,H=%d,%v", len(rows), h, f)
				r := random(name)
				x, dy, before := draw(r, f, 10*h, 1), draw(r, f, len(rows)*h, 1), draw(r, f, 10*h, 1)
				all = append(all,
					testCase{name: "Gather/" + name,
						operands: []operand{out("y", f, rowsOf(x, rows, h)), in("x", f, x)},
						run:      func(c *call) { c.Gather(c.t("y"), c.t("x"), c.pass(batch), h) }},
					testCase{name: "GatherBackward/" + name,
						operands: []operand{inout("dx", f, before, rowsAdded(before, dy, rows, h)), in("dy", f, dy)},
						run:      func(c *call) { c.GatherBackward(c.t("dx"), c.t("dy"), c.pass(batch), h) }})
			}
		}
	}
	return all
}
