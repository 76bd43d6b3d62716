package clean

import (
	"fmt"

	"github.com/glmflow/glmflow/schemas"
)

const (
	repeatLength  = 10 // characters of the pieces that are compared
	repeatPieces  = 20 // pieces that a text needs to be judged
	cannedAnswers = 3  // times the same answer makes a loop
)

// checkRepetition drops dialogues in which an answer repeats itself, or in which
// most answers are one and the same.
func checkRepetition(c Config) func(*schemas.Dialogue) outcome {
	return func(d *schemas.Dialogue) outcome {
		answers, most := 0, 0
		times := make(map[string]int)
		for _, t := range d.Turns {
			if t.Role != schemas.RoleAssistant {
				continue
			}
			if share := repetition(t.Content); share > c.MaxRepetition {
				return drop(fmt.Sprintf("%.0f %% of an answer repeats itself, at most %.0f %% may", 100*share, 100*c.MaxRepetition))
			}
			answers++
			times[t.Content]++
			most = max(most, times[t.Content])
		}
		if most >= cannedAnswers && 2*most > answers {
			return drop(fmt.Sprintf("%d of %d answers are the same", most, answers))
		}
		return outcome{}
	}
}

// repetition returns which share of the text's pieces of ten characters stood in
// it before.
func repetition(s string) float64 {
	runes := []rune(s)
	pieces := len(runes) - repeatLength + 1
	if pieces < repeatPieces {
		return 0
	}
	seen := make(map[[repeatLength]rune]bool, pieces)
	for i := range pieces {
		seen[[repeatLength]rune(runes[i:i+repeatLength])] = true
	}
	return 1 - float64(len(seen))/float64(pieces)
}
