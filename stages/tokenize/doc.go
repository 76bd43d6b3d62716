// Package tokenize is the third stage: it writes conversations as the token ids
// and labels that ChatGLM3 is trained on.
//
// # Consumes
//
// dialogue.clean: conversations that passed every rule.
//
// # Produces
//
// tokens: one [schemas.TokenRow] a conversation, in the order of the input, with
// the signature and the origin it came with. The dataset's meta says "vocab" (the
// digest of tokenizer.model), "tokens", "targets" and "truncated" (rows).
//
// dialogue.reject: every conversation that gave no row, with one of the rules
// no-target (nothing in it is to be learned, or nothing has room within the
// limit), chat-format (a role, a name or tools that the format cannot hold) and
// parity (its ids do not decode to its text).
//
// # Guarantees
//
// Ids and labels are those of package chat. Every row has at least one target
// and at most the configured number of ids, the last of which is the end token.
// Every row was decoded again and compared with the conversation before it was
// cut. A row depends on its conversation, the vocabulary and the configuration
// alone, never on its neighbours, so that shards may be cut anywhere.
//
// # Configuration
//
// See [Config].
//
// # Failure
//
// A conversation that cannot be written costs that conversation. A dataset that
// cannot be read is parked by the pipeline, or retried if the store is at fault.
package tokenize
