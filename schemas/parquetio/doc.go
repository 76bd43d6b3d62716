// Package parquetio writes the rows of package schemas as Parquet files and
// reads them back: the form in which datasets lie in the artifact store, where
// any Parquet reader can open them.
//
// The same rows and metadata give the same bytes, however they were cut into
// batches, on any machine and with any version of the program that has the same
// row struct: columns are zstd-compressed, row groups have a fixed number of
// rows, and the file names a fixed creator. Artifact names (SHA-256) depend on
// this.
//
// File metadata holds glmflow.kind ("dialogue.clean"), glmflow.version ("1")
// and whatever the caller adds.
//
// [Write] and [Read] are for one row type known where they are called, a
// [Codec] for any kind chosen at run time. Reading bytes that somebody else
// wrote ends in an error at worst, never in a panic.
package parquetio
