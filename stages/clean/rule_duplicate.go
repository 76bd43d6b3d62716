package clean

import (
	"cmp"
	"slices"

	"github.com/glmflow/glmflow/schemas"
)

// dropExactDuplicates drops a dialogue that says, once cleaned, what an earlier
// one of the same job said. Per-message loss flags that differ make a difference.
func dropExactDuplicates() func(*schemas.Dialogue) outcome {
	first := make(map[string]string) // cleaned content and flags → id of the dialogue
	return func(d *schemas.Dialogue) outcome {
		content := d.ContentID() + flags(d.Turns)
		if id, ok := first[content]; ok {
			return drop("the same as dialogue " + id)
		}
		first[content] = d.ID
		return outcome{}
	}
}

func flags(turns []schemas.Turn) string {
	text := make([]byte, len(turns))
	for i, t := range turns {
		switch {
		case t.Train == nil:
			text[i] = '-'
		case *t.Train:
			text[i] = '1'
		default:
			text[i] = '0'
		}
	}
	return string(text)
}

// canonical returns the places of rows in the order in which a window would take
// them: by id, then by origin. Of duplicates the same one stays then, whether they
// meet here or, in different shards, where the window is cut.
func canonical(rows []schemas.Dialogue) []int {
	order := make([]int, len(rows))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int {
		a, b := rows[i], rows[j]
		return cmp.Or(
			cmp.Compare(a.ID, b.ID),
			cmp.Compare(a.Origin.File, b.Origin.File),
			cmp.Compare(a.Origin.Digest, b.Origin.Digest),
			cmp.Compare(a.Origin.Line, b.Origin.Line),
			cmp.Compare(a.Origin.Key, b.Origin.Key),
			cmp.Compare(i, j),
		)
	})
	return order
}
