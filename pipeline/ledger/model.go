package ledger

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/glmflow/glmflow/schemas"
)

// ErrNotFound reports that a reference names nothing the ledger knows.
var ErrNotFound = errors.New("not found")

// A Model is a name with its versions and aliases.
type Model struct {
	Name     string               `json:"name"`
	Versions []schemas.ReleaseRow `json:"versions"` // ascending, rejected candidates among them
	Aliases  map[string]int64     `json:"aliases"`
	History  []Entry              `json:"history"` // oldest first
	Seq      uint64               `json:"seq"`     // last sequence of the model's subject, for compare-and-set; 0 if it has none
}

// An Entry is one event of a model's history.
type Entry struct {
	Time  time.Time `json:"time"`
	Event string    `json:"event"` // its id
	Run   string    `json:"run"`
	Seq   uint64    `json:"seq"`
	schemas.AliasChange
}

// Version returns one version.
func (m Model) Version(n int64) (schemas.ReleaseRow, bool) {
	i := slices.IndexFunc(m.Versions, func(r schemas.ReleaseRow) bool { return r.Version == n })
	if i < 0 {
		return schemas.ReleaseRow{}, false
	}
	return m.Versions[i], true
}

// Next is the number of the version that is published next.
func (m Model) Next() int64 {
	if len(m.Versions) == 0 {
		return 1
	}
	return m.Versions[len(m.Versions)-1].Version + 1
}

// At returns the aliases as they were at a moment in the past.
func (m Model) At(t time.Time) map[string]int64 {
	aliases := map[string]int64{}
	for _, e := range m.History {
		if e.Time.After(t) {
			break
		}
		change(aliases, e.Aliases)
	}
	return aliases
}

func change(aliases, by map[string]int64) {
	for alias, version := range by {
		if version == 0 {
			delete(aliases, alias)
		} else {
			aliases[alias] = version
		}
	}
}

func (m Model) clone() Model {
	m.Versions, m.History, m.Aliases = slices.Clone(m.Versions), slices.Clone(m.History), maps.Clone(m.Aliases)
	return m
}

// applyChange folds an event of a model's history.
func (v *view) applyChange(ev schemas.Event, seq uint64) error {
	var c schemas.AliasChange
	if err := ev.Decode(&c); err != nil {
		return err
	}
	m := v.models[ev.Subject]
	if m == nil {
		m = &Model{Name: ev.Subject, Aliases: map[string]int64{}}
		v.models[ev.Subject] = m
	}
	r := v.runs[ev.Run]
	if r != nil {
		r.Last = seq
		r.sawBefore(ev)
		defer r.settle(time.Time{})
	}
	m.Seq = seq
	m.History = append(m.History, Entry{ev.Time, ev.ID, ev.Run, seq, c})
	change(m.Aliases, c.Aliases)
	if c.Release == nil {
		return nil
	}
	if _, there := m.Version(c.Release.Version); !there {
		m.Versions = append(m.Versions, *c.Release)
	}
	if r != nil {
		r.Releases = keep(r.Releases, *c.Release)
	}
	return nil
}

// resolve finds the version that ref names.
func (v *view) resolve(ref string) (schemas.ReleaseRow, error) {
	none := func(format string, args ...any) (schemas.ReleaseRow, error) {
		return schemas.ReleaseRow{}, fmt.Errorf("model %s: %s: %w", ref, fmt.Sprintf(format, args...), ErrNotFound)
	}
	if strings.HasPrefix(ref, "sha256:") {
		for _, name := range slices.Sorted(maps.Keys(v.models)) {
			for _, r := range slices.Backward(v.models[name].Versions) {
				if ref == r.Files || ref == r.Adapter || ref == r.Manifest {
					return r, nil
				}
			}
		}
		return none("no version has this digest")
	}
	name, alias, byAlias := strings.Cut(ref, "@")
	number := ""
	if !byAlias {
		name, number, _ = strings.Cut(ref, ":")
	}
	m := v.models[name]
	if m == nil {
		return none("no model is called %q; there %s", name, listed(slices.Sorted(maps.Keys(v.models))))
	}
	version, err := strconv.ParseInt(number, 10, 64)
	switch {
	case byAlias && m.Aliases[alias] == 0:
		return none("it has no alias %q; there %s", alias, listed(slices.Sorted(maps.Keys(m.Aliases))))
	case byAlias:
		version = m.Aliases[alias]
	case err != nil:
		return schemas.ReleaseRow{}, fmt.Errorf("model %q: write name@alias, name:version or sha256:…", ref)
	}
	if r, ok := m.Version(version); ok {
		return r, nil
	}
	return none("it has no version %d, the newest is %d", version, m.Next()-1)
}

func listed(names []string) string {
	switch len(names) {
	case 0:
		return "is none"
	case 1:
		return "is " + names[0]
	}
	return "are " + strings.Join(names, ", ")
}
