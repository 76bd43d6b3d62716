package broker_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/glmflow/glmflow/pipeline/broker"
)

// TestSubjectTable compares docs/subjects.md with the subjects that exist.
func TestSubjectTable(t *testing.T) {
	page, err := os.ReadFile("../../docs/subjects.md")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, row := range regexp.MustCompile("(?m)^\\| `(glmflow\\.[^`]+)`").FindAllStringSubmatch(string(page), -1) {
		got = append(got, regexp.MustCompile(`<[a-z]+>`).ReplaceAllString(row[1], "*"))
	}
	var want []string
	for _, s := range []string{
		broker.AllData, broker.AllEvents, broker.AllDone, broker.AllDead, broker.AllModels,
		broker.AllCancels, broker.AllMetrics, broker.AllSchedules, broker.AllFires,
	} {
		want = append(want, strings.Replace(s, ">", "*", 1))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("docs/subjects.md has other subjects than the broker:\n%s", diff)
	}

	b, _ := start(t, t.TempDir())
	for _, name := range []string{broker.Stream, broker.MetricStream, broker.ScheduleStream} {
		stream, err := b.JetStream().Stream(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		var short []string
		for _, s := range stream.CachedInfo().Config.Subjects {
			short = append(short, strings.Split(s, ".")[1])
		}
		row := "| `" + name + "` | " + strings.Join(short, ", ") + " |"
		if !slices.ContainsFunc(strings.Split(string(page), "\n"), func(line string) bool { return strings.HasPrefix(line, row) }) {
			t.Errorf("docs/subjects.md lacks a row that begins with %s", row)
		}
	}
}
