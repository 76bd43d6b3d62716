package artifact

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// PutFiles stores a tree of files that are in the store already, and returns its
// digest: the same as [Store.PutTree] gives for a directory with those files.
func (s *Store) PutFiles(ctx context.Context, files []File) (Digest, error) {
	m := manifest{Files: slices.Clone(files)}
	slices.SortFunc(m.Files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	text, err := json.Marshal(m)
	if err != nil {
		return "", err
	}
	text = append(text, '\n')
	if _, err := parseManifest(text); err != nil {
		return "", fmt.Errorf("store tree: %w", err)
	}
	return s.PutBytes(ctx, text)
}
