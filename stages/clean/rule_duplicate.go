package clean

import "github.com/glmflow/glmflow/schemas"

// dropExactDuplicates drops a dialogue that says, once cleaned, what an earlier
// one of the same job said.
func dropExactDuplicates() func(*schemas.Dialogue) outcome {
	first := make(map[string]string) // cleaned content → id of the dialogue
	return func(d *schemas.Dialogue) outcome {
		content := d.ContentID()
		if id, ok := first[content]; ok {
			return drop("the same as dialogue " + id)
		}
		first[content] = d.ID
		return outcome{}
	}
}
