package console

import (
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/glmflow/glmflow/ops/lang"
	"github.com/glmflow/glmflow/schemas"
)

func TestThin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Float64Range(-10, 10), 1, 3000).Draw(t, "values")
		n := rapid.IntRange(4, 700).Draw(t, "n")
		marks := make([]mark, len(values))
		low, high := math.Inf(1), math.Inf(-1)
		for i, v := range values {
			marks[i] = mark{int64(i), v}
			low, high = min(low, v), max(high, v)
		}
		got := thin(marks, n)
		if len(got) > n {
			t.Fatalf("%d marks of %d, want at most %d", len(got), len(marks), n)
		}
		if len(marks) <= n && len(got) != len(marks) {
			t.Fatalf("thinned %d marks to %d without need", len(marks), len(got))
		}
		if got[0] != marks[0] || got[len(got)-1] != marks[len(marks)-1] {
			t.Fatal("an end is missing")
		}
		l, h := math.Inf(1), math.Inf(-1)
		for i, m := range got {
			if i > 0 && m.step <= got[i-1].step {
				t.Fatalf("step %d after %d", m.step, got[i-1].step)
			}
			if marks[m.step] != m {
				t.Fatalf("%v was never measured", m)
			}
			l, h = min(l, m.value), max(h, m.value)
		}
		if l != low || h != high {
			t.Fatalf("a spike is lost: [%g, %g], want [%g, %g]", l, h, low, high)
		}
	})
}

func TestCurvePicture(t *testing.T) {
	p, err := lang.New("en")
	if err != nil {
		t.Fatal(err)
	}
	nan, val := math.NaN(), 2.5
	for _, tc := range []struct {
		name         string
		points       []schemas.Point
		lines, marks int // of the path and circles
	}{
		{"nothing", nil, 0, 0},
		{"no number", []schemas.Point{{Step: 1, Loss: nan, ValLoss: &nan}}, 0, 0},
		{"one point", []schemas.Point{{Step: 7, Loss: 2}}, 1, 0},
		{"validation only", []schemas.Point{{Step: 7, Loss: math.Inf(1), ValLoss: &val}}, 0, 1},
		{"a gap", []schemas.Point{{Step: 1, Loss: 3}, {Step: 2, Loss: nan}, {Step: 3, Loss: 1, ValLoss: &val}}, 2, 1},
		{"long", make([]schemas.Point, 50_000), curveMarks, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for i := range tc.points {
				if tc.name == "long" {
					tc.points[i] = schemas.Point{Step: int64(i), Loss: math.Sin(float64(i))}
				}
			}
			svg := string(curvePicture(p, tc.points))
			_, path, _ := strings.Cut(svg, `class="train" d="`)
			path, _, _ = strings.Cut(path, `"`)
			if got := strings.Count(path, "M") + strings.Count(path, "L"); got != tc.lines {
				t.Errorf("%d points on the line, want %d", got, tc.lines)
			}
			if got := strings.Count(svg, "<circle"); got != tc.marks {
				t.Errorf("%d dots, want %d", got, tc.marks)
			}
			for _, bad := range []string{"NaN", "Inf"} {
				if strings.Contains(svg, bad) {
					t.Errorf("the picture holds %s", bad)
				}
			}
		})
	}
}
