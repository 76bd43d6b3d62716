package lineage

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/glmflow/glmflow/schemas"
)

const (
	statementType = "https://in-toto.io/Statement/v1"
	predicateType = "https://github.com/glmflow/glmflow/lineage/release/v1"
)

// A Statement claims that its subjects were made as its predicate says.
type Statement struct {
	Type          string    `json:"_type"`
	Subject       []Subject `json:"subject"`
	PredicateType string    `json:"predicateType"`
	Predicate     Predicate `json:"predicate"`
}

// A Subject is one file of the release.
type Subject struct {
	Name   string            `json:"name"`   // slash-separated path inside the release
	Digest map[string]string `json:"digest"` // "sha256" → 64 hex digits
}

// A Predicate is the lineage of a release. Digests have the form
// "sha256:<hex>" and name artifacts of the store.
type Predicate struct {
	Name       string           `json:"name"`             // the model's name
	Version    int64            `json:"version"`          // the version being published
	Base       string           `json:"base"`             // tree of the base model
	Parent     string           `json:"parent,omitempty"` // adapter that this one continues
	Adapter    string           `json:"adapter"`          // tree of the adapter
	Window     string           `json:"window"`           // window manifest: exactly the rows that were seen
	Rows       map[string]int64 `json:"rows"`             // conversations in each split of the window; every row carries its origin
	Method     string           `json:"method"`           // "lora", "ptuning", "freeze" or "full"
	Config     json.RawMessage  `json:"config,omitempty"` // the training options
	Seed       uint64           `json:"seed"`
	Device     string           `json:"device"` // kind of processor
	Steps      int64            `json:"steps"`
	BestStep   int64            `json:"best_step"`
	Evaluation Evaluation       `json:"evaluation"`
}

// An Evaluation is the verdict that the release rests on.
type Evaluation struct {
	Score    string               `json:"score"`    // digest of the score dataset
	Data     string               `json:"data"`     // what was evaluated on
	Baseline string               `json:"baseline"` // what it was compared with
	Metrics  []schemas.Metric     `json:"metrics"`
	Rules    []schemas.RuleResult `json:"rules"`
	Passed   bool                 `json:"passed"`
}

// NewStatement states p about files: path inside the release → "sha256:<hex>".
func NewStatement(p Predicate, files map[string]string) (Statement, error) {
	s := Statement{Type: statementType, PredicateType: predicateType, Predicate: p}
	for name, digest := range files {
		sum, err := parseDigest(digest)
		if err != nil {
			return Statement{}, fmt.Errorf("file %s: %w", name, err)
		}
		s.Subject = append(s.Subject, Subject{name, map[string]string{"sha256": sum}})
	}
	slices.SortFunc(s.Subject, func(a, b Subject) int { return cmp.Compare(a.Name, b.Name) })
	return s, nil
}

// parseDigest returns the hexadecimal part of "sha256:<64 hex>".
func parseDigest(digest string) (string, error) {
	const prefix = "sha256:"
	if len(digest) == len(prefix)+hex.EncodedLen(sha256.Size) && digest[:len(prefix)] == prefix {
		if _, err := hex.DecodeString(digest[len(prefix):]); err == nil {
			return digest[len(prefix):], nil
		}
	}
	return "", fmt.Errorf("%q is no digest of the form sha256:<64 hex digits>", digest)
}

// Check reads every file of a release and reports each one that is missing, was
// altered, or is not named by the statement. Names lists the files there are,
// without the envelope that holds the statement.
func (s Statement) Check(names []string, open func(name string) (io.ReadCloser, error)) error {
	var problems []error
	stated := make(map[string]bool, len(s.Subject))
	for _, subject := range s.Subject {
		stated[subject.Name] = true
		if !slices.Contains(names, subject.Name) {
			problems = append(problems, fmt.Errorf("%s is missing", subject.Name))
			continue
		}
		if err := subject.check(open); err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", subject.Name, err))
		}
	}
	for _, name := range names {
		if !stated[name] {
			problems = append(problems, fmt.Errorf("%s is not part of the release: the signed statement does not name it", name))
		}
	}
	return errors.Join(problems...)
}

func (s Subject) check(open func(name string) (io.ReadCloser, error)) error {
	r, err := open(s.Name)
	if err != nil {
		return err
	}
	defer r.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, r); err != nil {
		return err
	}
	if got, want := hex.EncodeToString(sum.Sum(nil)), s.Digest["sha256"]; got != want {
		return fmt.Errorf("altered: its SHA-256 is %s, the signed statement says %q", got, want)
	}
	return nil
}
