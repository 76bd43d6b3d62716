package term

import (
	"bytes"
	"math"
	"strings"
	"testing"
	"time"
)

func TestTableAlignsWideCharacters(t *testing.T) {
	s := &Screen{Width: 80}
	got := s.Table([][]string{{"rule", "rows"}, {"重复", "12"}, {"length", "3"}}, 1)
	want := "rule    rows\n重复      12\nlength     3\n"
	if got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

func TestTableFitsItsWidth(t *testing.T) {
	s := &Screen{Width: 40}
	got := s.Table([][]string{{"id", "text"}, {"1", strings.Repeat("很长的句子", 20)}})
	for _, line := range strings.Split(strings.TrimRight(got, "\n"), "\n") {
		if Width(line) > 40 {
			t.Errorf("%d columns wide: %s", Width(line), line)
		}
	}
	if !strings.Contains(got, "…") {
		t.Error("the cut does not show")
	}
}

func TestPlotKeepsToItsSize(t *testing.T) {
	x, y := []float64{}, []float64{}
	for i := range 200 {
		x, y = append(x, float64(i)), append(y, 5*math.Exp(-float64(i)/50))
	}
	y[10] = math.NaN()
	got := Plot(60, 8, Series{X: x, Y: y}, Series{X: x[:3], Y: y[:3], Mark: '●'})
	lines := strings.Split(strings.TrimRight(got, "\n"), "\n")
	if len(lines) != 9 {
		t.Errorf("%d lines, want 8 and the axis:\n%s", len(lines), got)
	}
	for _, l := range lines {
		if Width(l) > 60 {
			t.Errorf("%d columns wide: %s", Width(l), l)
		}
	}
	if !strings.Contains(lines[0], "5") || !strings.Contains(got, "●") {
		t.Errorf("the axis or the marks are missing:\n%s", got)
	}
	if Plot(60, 8) == "" {
		t.Error("an empty plot says nothing")
	}
}

func TestPlotTellsNarrowRangesApart(t *testing.T) {
	got := Plot(60, 5, Series{X: []float64{1, 2, 3}, Y: []float64{11.02, 11.05, 11.08}})
	for _, label := range []string{"11.0200", "11.0500", "11.0800"} {
		if !strings.Contains(got, label) {
			t.Errorf("no %s at the axis:\n%s", label, got)
		}
	}
}

func TestProgressWithoutTerminalSpeaksEveryFewSeconds(t *testing.T) {
	var out bytes.Buffer
	at := time.Unix(0, 0)
	p := NewProgress(&Screen{W: &out, Width: 80}, func() time.Time { return at })
	for i := range 100 {
		at = at.Add(time.Second)
		p.Show("train", int64(i), 100, "loss 3.1")
	}
	if n := strings.Count(out.String(), "\n"); n < 18 || n > 21 {
		t.Errorf("%d lines in 100 s, want one every five:\n%s", n, out.String())
	}
	if strings.Contains(out.String(), "\r") {
		t.Error("a pipe got terminal codes")
	}
}

func TestProgressOnATerminalStaysOnOneLine(t *testing.T) {
	var out bytes.Buffer
	at := time.Unix(0, 0)
	p := NewProgress(&Screen{W: &out, Width: 50, Terminal: true}, func() time.Time { return at })
	for i := range 50 {
		at = at.Add(time.Second)
		p.Show("训练", int64(i), 50, strings.Repeat("very long detail ", 5))
	}
	for _, frame := range strings.Split(out.String(), "\r")[1:] {
		if w := Width(frame); w > 49 {
			t.Errorf("a frame is %d columns wide: %q", w, frame)
		}
	}
	if strings.Contains(out.String(), "\n") {
		t.Error("progress broke its line")
	}
	p.Done("训练", "done")
	if !strings.HasSuffix(out.String(), "\n") {
		t.Error("Done did not end the line")
	}
}

// TestResumedProgressLooksAhead: what was done earlier took no time now.
func TestResumedProgressLooksAhead(t *testing.T) {
	var out bytes.Buffer
	at := time.Unix(0, 0)
	p := NewProgress(&Screen{W: &out, Width: 79, Terminal: true}, func() time.Time { return at })
	for done := int64(400); done <= 410; done++ {
		p.Show("train", done, 420, "")
		at = at.Add(3 * time.Second)
	}
	if frames := strings.Split(out.String(), "\r"); !strings.Contains(frames[len(frames)-1], "410/420 ~30s left") {
		t.Errorf("ten steps of three seconds are left: %q", frames[len(frames)-1])
	}
}

func TestDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		1500 * time.Millisecond: "1.5s", 45 * time.Second: "45s", 200 * time.Second: "3m20s", 125 * time.Minute: "2h05m",
	} {
		if got := Duration(d); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
}

func TestFigure(t *testing.T) {
	for _, c := range []struct {
		x      float64
		signed bool
		want   string
	}{
		{0.72424, false, "0.7242"}, {0, true, "+0.0000"}, {-2.503, true, "-2.5030"}, {999.99, false, "999.9900"},
		{-5740.4937, true, "-5740.5"}, {1234.56, true, "+1234.6"}, {12345678, false, "1.235e+07"}, {math.NaN(), false, "NaN"},
	} {
		if got := Figure(c.x, c.signed); got != c.want {
			t.Errorf("%v is %s, want %s", c.x, got, c.want)
		}
	}
}
