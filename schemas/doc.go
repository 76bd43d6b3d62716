// Package schemas says what travels through glmflow: the kinds of dataset, the
// row each kind is made of, and the envelope that announces it.
//
// A stage hands a dataset to the next one in two parts. The rows lie at rest as
// Parquet in the artifact store, named by their SHA-256; an [Event] in the
// CloudEvents 1.0 form travels over JetStream and refers to them. One Go struct
// a kind is the only definition of a row: schemas/arrowio derives the Arrow
// schema from it (batches in memory and in messages), schemas/parquetio the
// Parquet schema (files). The textual Arrow schema of every kind stands in
// testdata/*.schema, and a test lets it grow in one way alone: a nullable column
// appended at the end.
//
// Read kind.go first, then event.go, then the row you care about: dialogue.go,
// tokens.go, adapter.go, score.go, release.go. The requests that people and
// other systems send are in control.go.
//
// This package and its children import nothing else of glmflow.
package schemas
