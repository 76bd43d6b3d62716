package lineage

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"
)

// payloadType is what in-toto puts into a DSSE envelope.
const payloadType = "application/vnd.in-toto+json"

// Sign returns s in a DSSE envelope signed with key, as JSON.
func Sign(ctx context.Context, s Statement, key *Key) ([]byte, error) {
	payload, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("encode lineage of %s: %w", s.Predicate.Name, err)
	}
	es, err := dsse.NewEnvelopeSigner(signer{key})
	if err != nil {
		return nil, err
	}
	envelope, err := es.SignPayload(ctx, payloadType, payload)
	if err != nil {
		return nil, fmt.Errorf("sign lineage of %s: %w", s.Predicate.Name, err)
	}
	out, err := json.MarshalIndent(envelope, "", "  ")
	return append(out, '\n'), err
}

// Verify opens an envelope that [Sign] made and returns its statement and the
// public key that signed it. The signer must be one of trusted, which are public
// keys as [Key.Public] returns them.
func Verify(ctx context.Context, envelope []byte, trusted ...string) (Statement, string, error) {
	if len(trusted) == 0 {
		return Statement{}, "", errors.New("no trusted key was given: name the public key of whoever may sign")
	}
	var e dsse.Envelope
	if err := json.Unmarshal(envelope, &e); err != nil {
		return Statement{}, "", fmt.Errorf("envelope: %w", err)
	}
	if e.PayloadType != payloadType {
		return Statement{}, "", fmt.Errorf("envelope holds %q, not an in-toto statement", e.PayloadType)
	}
	var verifiers []dsse.Verifier
	for _, public := range trusted {
		v, err := newVerifier(public)
		if err != nil {
			return Statement{}, "", err
		}
		verifiers = append(verifiers, v)
	}
	ev, err := dsse.NewEnvelopeVerifier(verifiers...)
	if err != nil {
		return Statement{}, "", err
	}
	accepted, payload, err := ev.VerifyAndDecode(ctx, &e)
	if err != nil {
		return Statement{}, "", fmt.Errorf("signature by %s does not hold for a trusted key: %w", signers(e), err)
	}
	var s Statement
	decoder := json.NewDecoder(bytes.NewReader(payload))
	if err := decoder.Decode(&s); err != nil {
		return Statement{}, "", fmt.Errorf("statement: %w", err)
	}
	if s.Type != statementType || s.PredicateType != predicateType {
		return Statement{}, "", fmt.Errorf("statement is %q about %q: not the lineage of a release", s.Type, s.PredicateType)
	}
	return s, accepted[0].KeyID, nil
}

// signers names who claims to have signed, for messages.
func signers(e dsse.Envelope) string {
	var ids []string
	for _, s := range e.Signatures {
		ids = append(ids, s.KeyID)
	}
	return fmt.Sprintf("%q", ids)
}
