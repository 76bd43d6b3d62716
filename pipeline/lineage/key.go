package lineage

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/nats-io/nkeys"
)

// A Key signs statements. Its public part, which begins with U, is all that
// others need to verify them.
type Key struct {
	pair   nkeys.KeyPair
	public string
}

// NewKey makes a key from random bytes.
func NewKey(random io.Reader) (*Key, error) {
	pair, err := nkeys.CreatePairWithRand(nkeys.PrefixByteUser, random)
	if err != nil {
		return nil, fmt.Errorf("make a signing key: %w", err)
	}
	return newKey(pair)
}

func newKey(pair nkeys.KeyPair) (*Key, error) {
	public, err := pair.PublicKey()
	if err != nil {
		return nil, err
	}
	return &Key{pair, public}, nil
}

// OpenKey reads the key in the file at path; on first use it makes one from
// random there. The file holds the seed and is for its owner alone: OpenKey
// refuses one that others may read.
func OpenKey(path string, random io.Reader) (*Key, error) {
	seed, err := readSeed(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err := createSeed(path, random); err != nil {
			return nil, fmt.Errorf("make signing key %s: %w", path, err)
		}
		seed, err = readSeed(path) // another process may have been first
	}
	if err != nil {
		return nil, err
	}
	pair, err := nkeys.FromSeed(bytes.TrimSpace(seed))
	if err != nil {
		return nil, fmt.Errorf("signing key %s: %w", path, err)
	}
	return newKey(pair)
}

// readSeed reads at most a line: a seed has 58 characters.
func readSeed(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("signing key %s may be read by others (mode %04o): chmod 600 it, or delete it to get a new one", path, info.Mode().Perm())
	}
	return io.ReadAll(io.LimitReader(f, 256))
}

// createSeed writes a new seed whole or not at all, and never over another.
func createSeed(path string, random io.Reader) error {
	key, err := NewKey(random)
	if err != nil {
		return err
	}
	seed, err := key.pair.Seed()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".key-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(append(seed, '\n'))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// Public returns the public part.
func (k *Key) Public() string { return k.public }

// signer and verifier are what DSSE asks of a key; its id is the public nkey.
type signer struct{ key *Key }

func (s signer) KeyID() (string, error) { return s.key.public, nil }

func (s signer) Sign(_ context.Context, data []byte) ([]byte, error) { return s.key.pair.Sign(data) }

type verifier struct {
	public string
	pair   nkeys.KeyPair
}

func newVerifier(public string) (verifier, error) {
	pair, err := nkeys.FromPublicKey(public)
	if err != nil {
		return verifier{}, fmt.Errorf("public key %q: %w", public, err)
	}
	return verifier{public, pair}, nil
}

func (v verifier) KeyID() (string, error) { return v.public, nil }

func (v verifier) Verify(_ context.Context, data, sig []byte) error { return v.pair.Verify(data, sig) }

func (v verifier) Public() crypto.PublicKey {
	raw, err := nkeys.Decode(nkeys.PrefixByteUser, []byte(v.public))
	if err != nil {
		return nil
	}
	return ed25519.PublicKey(raw)
}
