package safetensors

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/glmflow/glmflow/gpu/checkpoint/atomicfile"
)

// Names of the files of a checkpoint directory.
const (
	singleFile = "model.safetensors"
	indexFile  = "model.safetensors.index.json"
)

// shardBytes is the most that a written file holds.
const shardBytes = 5_000_000_000

type index struct {
	Metadata  map[string]any    `json:"metadata"`
	WeightMap map[string]string `json:"weight_map"`
}

// CreateDir writes tensors into dir as one file, or as shards with an index
// where one would be larger than 5 GB. Files of an earlier checkpoint in dir
// that it does not replace are removed. Every file is replaced at once, the
// directory is not: write over a checkpoint only what may be lost.
func CreateDir(dir string, tensors []Output) error {
	meta := map[string]string{"format": "pt"}
	shards := split(tensors, shardBytes)
	if len(shards) == 1 {
		if err := Create(filepath.Join(dir, singleFile), tensors, meta); err != nil {
			return err
		}
		return removeOthers(dir, singleFile)
	}
	x := index{Metadata: map[string]any{}, WeightMap: map[string]string{}}
	total := int64(0)
	for i, shard := range shards {
		name := fmt.Sprintf("model-%05d-of-%05d.safetensors", i+1, len(shards))
		if err := Create(filepath.Join(dir, name), shard, meta); err != nil {
			return err
		}
		for _, t := range shard {
			x.WeightMap[t.Name] = name
			total += t.bytes()
		}
	}
	x.Metadata["total_size"] = total
	text, err := json.MarshalIndent(x, "", "  ")
	if err != nil {
		return err
	}
	if err := atomicfile.WriteBytes(filepath.Join(dir, indexFile), append(text, '\n')); err != nil {
		return err
	}
	return removeOthers(dir, append(slices.Collect(maps.Values(x.WeightMap)), indexFile)...)
}

// split groups tensors in their order into shards of at most limit bytes; a
// larger tensor gets a shard of its own.
func split(tensors []Output, limit int64) [][]Output {
	var shards [][]Output
	room := int64(0)
	for _, t := range tensors {
		size := t.bytes()
		if len(shards) == 0 || size > room {
			shards, room = append(shards, nil), limit
		}
		shards[len(shards)-1] = append(shards[len(shards)-1], t)
		room -= size
	}
	return shards
}

// removeOthers removes the files of an earlier checkpoint that were not
// replaced, the index first: while it is there, the old weights are read.
func removeOthers(dir string, keep ...string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	old := []string{indexFile, singleFile}
	for _, e := range entries {
		shard, err := filepath.Match("model-*-of-*.safetensors", e.Name())
		if err != nil {
			return err
		}
		if shard {
			old = append(old, e.Name())
		}
	}
	for _, name := range old {
		if slices.Contains(keep, name) {
			continue
		}
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
