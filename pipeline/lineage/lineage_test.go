package lineage

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nkeys"

	"github.com/glmflow/glmflow/schemas"
)

// files is a small release; the digests were computed with sha256sum.
var files = map[string]string{
	"README.md":                 "hello\n",
	"adapter/adapter_model.bin": "",
}

func statement(t *testing.T) Statement {
	t.Helper()
	s, err := NewStatement(Predicate{
		Name: "assistant", Version: 3, Base: "sha256:base", Window: "sha256:window", Seed: 1<<63 + 1,
		Config:     json.RawMessage(`{"method":"lora"}`),
		Evaluation: Evaluation{Passed: true, Metrics: []schemas.Metric{{Name: "loss", Candidate: 1.25}}},
	}, map[string]string{
		"README.md":                 "sha256:5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03",
		"adapter/adapter_model.bin": "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func key(t *testing.T) *Key {
	t.Helper()
	k, err := NewKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestSignVerify(t *testing.T) {
	ctx, k := context.Background(), key(t)
	envelope, err := Sign(ctx, statement(t), k)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Sign(ctx, statement(t), k)
	if err != nil || !bytes.Equal(envelope, again) {
		t.Errorf("signing twice gave different bytes (%v)", err)
	}
	got, signer, err := Verify(ctx, envelope, key(t).Public(), k.Public())
	if err != nil {
		t.Fatal(err)
	}
	if signer != k.Public() {
		t.Errorf("signer is %s, want %s", signer, k.Public())
	}
	if diff := cmp.Diff(statement(t), got); diff != "" {
		t.Errorf("statement (-want +got):\n%s", diff)
	}
}

// TestEnvelopeByHand verifies the signature with nothing but the standard
// library and the text of the DSSE specification.
func TestEnvelopeByHand(t *testing.T) {
	k := key(t)
	envelope, err := Sign(context.Background(), statement(t), k)
	if err != nil {
		t.Fatal(err)
	}
	var e struct {
		Payload, PayloadType string
		Signatures           []struct{ Sig string }
	}
	if err := json.Unmarshal(envelope, &e); err != nil {
		t.Fatal(err)
	}
	payload, _ := base64.StdEncoding.DecodeString(e.Payload)
	sig, _ := base64.StdEncoding.DecodeString(e.Signatures[0].Sig)
	public, err := nkeys.Decode(nkeys.PrefixByteUser, []byte(k.Public()))
	if err != nil {
		t.Fatal(err)
	}
	var pae bytes.Buffer
	pae.WriteString("DSSEv1 28 application/vnd.in-toto+json ")
	lenPayload, _ := json.Marshal(len(payload))
	pae.Write(append(lenPayload, ' '))
	pae.Write(payload)
	if !ed25519.Verify(public, pae.Bytes(), sig) {
		t.Error("the signature does not hold")
	}
}

func TestVerifyRefuses(t *testing.T) {
	ctx, k := context.Background(), key(t)
	good, err := Sign(ctx, statement(t), k)
	if err != nil {
		t.Fatal(err)
	}
	alter := func(change func(e map[string]any)) []byte {
		var e map[string]any
		if err := json.Unmarshal(good, &e); err != nil {
			t.Fatal(err)
		}
		change(e)
		out, _ := json.Marshal(e)
		return out
	}
	payload := func(e map[string]any) string {
		raw, _ := base64.StdEncoding.DecodeString(e["payload"].(string))
		return string(raw)
	}
	tests := []struct {
		name     string
		envelope []byte
		trusted  []string
		says     string
	}{
		{"another signer", good, []string{key(t).Public()}, "does not hold"},
		{"nobody trusted", good, nil, "no trusted key"},
		{"a key that is none", good, []string{"UNONE"}, "public key"},
		{"no JSON", []byte("glm"), []string{k.Public()}, "envelope"},
		{"no signature", alter(func(e map[string]any) { e["signatures"] = []any{} }), []string{k.Public()}, "no signature"},
		{"another payload type", alter(func(e map[string]any) { e["payloadType"] = "text/plain" }), []string{k.Public()}, "text/plain"},
		{"an altered version", alter(func(e map[string]any) {
			e["payload"] = base64.StdEncoding.EncodeToString([]byte(strings.Replace(payload(e), `"version":3`, `"version":4`, 1)))
		}), []string{k.Public()}, "does not hold"},
	}
	for _, test := range tests {
		if _, _, err := Verify(ctx, test.envelope, test.trusted...); err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v; want an error that says %q", test.name, err, test.says)
		}
	}
}

func TestCheck(t *testing.T) {
	tests := []struct {
		name   string
		change func(files map[string]string)
		says   string // "" means it holds
	}{
		{"untouched", func(map[string]string) {}, ""},
		{"altered", func(f map[string]string) { f["README.md"] = "hullo\n" }, "README.md: altered"},
		{"missing", func(f map[string]string) { delete(f, "README.md") }, "README.md is missing"},
		{"added", func(f map[string]string) { f["run.py"] = "" }, "run.py is not part"},
	}
	for _, test := range tests {
		have := map[string]string{}
		var names []string
		for name, text := range files {
			have[name] = text
		}
		test.change(have)
		for name := range have {
			names = append(names, name)
		}
		err := statement(t).Check(names, func(name string) (io.ReadCloser, error) {
			text, ok := have[name]
			if !ok {
				return nil, fs.ErrNotExist
			}
			return io.NopCloser(strings.NewReader(text)), nil
		})
		switch {
		case test.says == "" && err != nil:
			t.Errorf("%s: %v", test.name, err)
		case test.says != "" && (err == nil || !strings.Contains(err.Error(), test.says)):
			t.Errorf("%s: %v; want an error that says %q", test.name, err, test.says)
		}
	}
}

func TestStatementRefusesDigest(t *testing.T) {
	for _, digest := range []string{"", "sha256:", "md5:5891b5b522d5df086d0ff0b110fbd9d2", "sha256:" + strings.Repeat("x", 64)} {
		if _, err := NewStatement(Predicate{}, map[string]string{"a": digest}); err == nil {
			t.Errorf("digest %q was taken", digest)
		}
	}
}

// TestOpenKey starts many processes' worth of first uses at once: all get the
// same key.
func TestOpenKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys", "release.nk")
	publics := make([]string, 8)
	var wg sync.WaitGroup
	for i := range publics {
		wg.Go(func() {
			k, err := OpenKey(path, rand.Reader)
			if err != nil {
				t.Error(err)
				return
			}
			publics[i] = k.Public()
		})
	}
	wg.Wait()
	for _, p := range publics[1:] {
		if p != publics[0] {
			t.Errorf("two keys: %s and %s", publics[0], p)
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("key file has mode %v (%v), want 0600", info.Mode(), err)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".key-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenKey(path, rand.Reader); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("a key that others may read: %v", err)
	}
	if err := errors.Join(os.Chmod(path, 0o600), os.WriteFile(path, []byte("SUNONE\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenKey(path, rand.Reader); err == nil {
		t.Error("a damaged key was taken")
	}
}

func FuzzVerify(f *testing.F) {
	k, err := NewKey(rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(`{"payloadType":"application/vnd.in-toto+json","payload":"e30=","signatures":[{"sig":"AA=="}]}`))
	f.Fuzz(func(t *testing.T, envelope []byte) {
		if _, _, err := Verify(context.Background(), envelope, k.Public()); err == nil {
			t.Fatal("an envelope that nobody signed holds")
		}
	})
}
