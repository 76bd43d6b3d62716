package clean

import "github.com/glmflow/glmflow/schemas"

// A rule looks at one dialogue. It may change it, or say in a sentence for
// people why it has to go.
type rule struct {
	name  string
	apply func(*schemas.Dialogue) outcome
}

// An outcome is what a rule did.
type outcome struct {
	edited bool
	reason string // why the dialogue is dropped, "" to keep it
}

// drop is the outcome of a dialogue that has to go.
func drop(reason string) outcome { return outcome{reason: reason} }

// rules returns the rules in the order they run, new ones for every job: some
// remember what they saw.
func rules(c Config, masked map[string]int64) []rule {
	return []rule{
		{"unicode", repairUnicode},                 // mend characters
		{"roles", repairRoles},                     // mend the order of turns
		{"language", tagLanguage},                  // zh, en, mixed, other
		{"personal-data", maskPersonal(masked)},    // mask what identifies a person
		{"length", checkLength(c)},                 // too short, too long
		{"repetition", checkRepetition(c)},         // answers that loop
		{"exact-duplicate", dropExactDuplicates()}, // the same again
	}
}
