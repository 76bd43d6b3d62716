package artifact

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"strings"
)

const prefix = "sha256:"

// A Digest names bytes by their hash: "sha256:" and 64 lower-case hex digits.
type Digest string

// Parse checks that s is a digest.
func Parse(s string) (Digest, error) {
	sum, ok := strings.CutPrefix(s, prefix)
	if !ok || len(sum) != 2*sha256.Size || strings.Trim(sum, "0123456789abcdef") != "" {
		return "", fmt.Errorf("%.80q is no digest: want sha256: and 64 hex digits", s)
	}
	return Digest(s), nil
}

// Of returns the digest of b.
func Of(b []byte) Digest {
	sum := sha256.Sum256(b)
	return Digest(prefix + hex.EncodeToString(sum[:]))
}

// Hex returns the 64 hex digits of d.
func (d Digest) Hex() string { return strings.TrimPrefix(string(d), prefix) }

// Short returns the first 12 hex digits of d, for people.
func (d Digest) Short() string { return d.Hex()[:min(12, len(d.Hex()))] }

func (d Digest) key() string { return "sha256/" + d.Hex()[:2] + "/" + d.Hex() }

func digestOf(h hash.Hash) Digest { return Digest(prefix + hex.EncodeToString(h.Sum(nil))) }
