// Package evaluate compares a candidate with what it would replace, on
// conversations that neither was trained on, and lets it pass or not.
//
// # Consumes
//
// adapter: a trained candidate. It is held against the model that the alias
// production names, or against the base model while there is none, on the test
// split of the window it was trained from.
//
// eval.request: anybody's wish to compare a model with another one on some data
// (schemas.EvalOrder). The data may be a window manifest (its test split), a
// tokens or dialogue dataset, an uploaded file, or "held-out", the test split of
// the window trained on last.
//
// # Produces
//
// score: one row. Loss and perplexity over all conversations, BLEU-4 and
// ROUGE-1/2/L over answers to the last question of a bounded sample, each for
// everything and for every language, with the 95 % interval of the paired
// difference; some answers side by side; and the gate's rules, each with its
// verdict and the numbers behind it.
//
// A request that names a reply subject gets the same row there, as the data of a
// score event, or an eval.failed event that says why not.
//
// # Guarantees
//
// The row follows from the models, the data, the configuration and the seed:
// no time, no order of arrival and no number of workers is in it. Both models
// answer the same questions, greedily. One model is in memory at a time; where both
// stand on the same base, its weights are loaded once and the adapters changed. A
// rule about something that could not be measured fails.
//
// # Configuration
//
// [Config]; the gate's rules are one line each, see [Rule]. Numbers for BLEU and
// ROUGE are those of package metrics.
//
// # Failure
//
// Parked: a model, window, dataset or file that does not exist, rows that are
// no conversations of this vocabulary, a loss that is not finite, a reply
// subject that belongs to the flow. Where there is a reply subject, the
// requester is told and the job is done. Everything else is tried again.
package evaluate
