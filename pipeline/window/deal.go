package window

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"github.com/glmflow/glmflow/schemas"
)

// Rules by which a window leaves rows out.
const (
	ruleExact      = "exact-duplicate"
	ruleNear       = "near-duplicate"
	ruleNoTarget   = "no-target"
	ruleVocabulary = "vocabulary"
)

// A candidate is a row that may enter a window.
type candidate struct {
	schemas.TokenRow
	vocab    string // vocabulary it is encoded in
	returned bool   // an earlier window held it and gave it back
}

// compare puts candidates into the canonical order: by id, and among rows of
// one id by everything that is in them, so that the order of arrival never
// decides which one stays.
func compare(a, b candidate) int {
	return cmp.Or(
		cmp.Compare(a.ID, b.ID),
		-compareBool(a.returned, b.returned),
		cmp.Compare(a.vocab, b.vocab),
		slices.Compare(a.IDs, b.IDs),
		slices.Compare(a.Labels, b.Labels),
		compareBool(a.Truncated, b.Truncated),
		cmp.Compare(a.Lang, b.Lang),
		cmp.Compare(a.Origin.File, b.Origin.File),
		cmp.Compare(a.Origin.Digest, b.Origin.Digest),
		cmp.Compare(a.Origin.Line, b.Origin.Line),
		cmp.Compare(a.Origin.Key, b.Origin.Key),
	)
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

// memory is what earlier windows published.
type memory struct {
	ids  map[string]bool
	near Near
}

func (m *memory) add(f fingerprint) {
	if m.ids == nil {
		m.ids = make(map[string]bool)
	}
	m.ids[f.ID] = true
	m.near.Add(f.ID, f.Signature)
}

// sift sorts the candidates and keeps those that are encoded in vocab, have
// something to learn and are no copy of a published row or of an earlier one of
// their own. The rest it returns with the rule and the reason. Kept rows join m.
func sift(rows []candidate, vocab string, m *memory) (kept []candidate, dropped []schemas.Reject) {
	published := len(m.near.ids)
	slices.SortFunc(rows, compare)
	for _, row := range rows {
		drop := func(rule, format string, args ...any) {
			dropped = append(dropped, schemas.Reject{
				ID: row.ID, Stage: Name, Rule: rule, Reason: fmt.Sprintf(format, args...), Origin: row.Origin,
			})
		}
		if row.vocab != vocab {
			drop(ruleVocabulary, "encoded in vocabulary %q, the window's is %q: ingest it again", row.vocab, vocab)
			continue
		}
		if row.Targets == 0 {
			drop(ruleNoTarget, "none of its %d tokens is to be learned", len(row.IDs))
			continue
		}
		if m.ids[row.ID] {
			drop(ruleExact, "the same conversation is in this window or in an earlier one")
			continue
		}
		if i, found := m.near.find(row.Signature); found {
			where := "in this window"
			if i < published {
				where = "in an earlier window"
			}
			drop(ruleNear, "%.0f %% like %s %s", 100*Similarity(row.Signature, m.near.signatures[i]), m.near.ids[i], where)
			continue
		}
		m.add(fingerprint{row.ID, row.Signature})
		kept = append(kept, row)
	}
	return kept, dropped
}

// deal assigns the kept rows, which are in canonical order, to the splits. A
// row's place follows from the keyed hash of its id: copies never get this far,
// so the row is the first published member of its cluster, and no later window
// holds it again.
//
// Where chance gives test or validation fewer than atLeast rows, the rows with
// the next hashes fill them up; validation then takes up where test ends.
func deal(rows []candidate, key string, validation, test float64, atLeast int) map[Split][]schemas.TokenRow {
	places := make([]float64, len(rows)) // in [0, 1)
	for i, row := range rows {
		places[i] = place(key, row.ID)
	}
	sorted := slices.Sorted(slices.Values(places))
	below := func(share float64) int {
		n, _ := slices.BinarySearch(sorted, share)
		return n
	}
	testRows := max(below(test), atLeast)
	heldOut := max(below(test+validation), testRows+atLeast)
	limit := func(n int) float64 {
		if n < len(sorted) {
			return sorted[n]
		}
		return math.Inf(1)
	}
	testLimit, heldOutLimit := limit(testRows), limit(heldOut)
	splits := make(map[Split][]schemas.TokenRow)
	for i, row := range rows {
		split := Train
		switch {
		case places[i] < testLimit:
			split = Test
		case places[i] < heldOutLimit:
			split = Validation
		}
		splits[split] = append(splits[split], row.TokenRow)
	}
	return splits
}

// place maps an id to [0, 1) by HMAC-SHA256 under key.
func place(key, id string) float64 {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(id))
	return float64(binary.BigEndian.Uint64(mac.Sum(nil))>>11) / (1 << 53)
}
