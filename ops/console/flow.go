package console

import (
	"fmt"
	"html"
	"html/template"
	"strings"

	"github.com/glmflow/glmflow/ops/lang"
)

// Sizes of the flow's picture, in SVG units.
const (
	boxWidth, boxHeight = 118, 74
	boxGap              = 34
	boxTop              = 26
)

// flowPicture draws the stages as boxes from left to right, with what waits
// before each and what works inside.
func flowPicture(p lang.Printer, queues []Queue) template.HTML {
	if len(queues) == 0 {
		return ""
	}
	var b strings.Builder
	text := func(class string, x, y int, s string) {
		fmt.Fprintf(&b, `<text class="%s" x="%d" y="%d">%s</text>`, class, x, y, html.EscapeString(s))
	}
	width, height := len(queues)*(boxWidth+boxGap)+boxGap/2, boxTop+boxHeight+22
	fmt.Fprintf(&b, `<svg class="flow" viewBox="0 0 %d %d" role="img" aria-label="%s">`, width, height, html.EscapeString(p.Sprintf("Flow")))
	for i, q := range queues {
		x := boxGap + i*(boxWidth+boxGap)
		middle, centre := boxTop+boxHeight/2, x+boxWidth/2
		fmt.Fprintf(&b, `<path class="edge" d="M%d %d h%d"/><path class="head" d="M%d %d l-7 -4 v8 z"/>`, x-boxGap, middle, boxGap-6, x, middle)
		if q.Waiting > 0 {
			text("queue", x-boxGap/2-3, middle-8, p.Sprintf("%d", q.Waiting))
		}
		about := fmt.Sprintf("%s\n%s → %s", q.About, strings.Join(q.In, ", "), strings.Join(q.Out, ", "))
		fmt.Fprintf(&b, `<g class="%s"><title>%s</title><rect x="%d" y="%d" width="%d" height="%d" rx="8"/>`,
			boxClass(q), html.EscapeString(about), x, boxTop, boxWidth, boxHeight)
		text("name", centre, boxTop+24, q.Name)
		text("count", centre, boxTop+44, p.Sprintf("%d working", q.Working))
		text("count", centre, boxTop+62, p.Sprintf("%d done", q.Done))
		b.WriteString(`</g>`)
		if q.Parked > 0 {
			text("trouble", centre, boxTop-8, p.Sprintf("%d parked", q.Parked))
		}
		if q.Retried > 0 {
			text("trouble", centre, boxTop+boxHeight+16, p.Sprintf("%d tried again", q.Retried))
		}
	}
	b.WriteString(`</svg>`)
	return template.HTML(b.String()) // every text above is escaped
}

func boxClass(q Queue) string {
	class := "stage"
	switch {
	case q.Parked > 0:
		class += " parked"
	case q.Working > 0:
		class += " working"
	case q.Waiting > 0:
		class += " waiting"
	}
	if !q.Here {
		class += " elsewhere"
	}
	return class
}
