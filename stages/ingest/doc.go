// Package ingest is the first stage: it reads customer logs as other systems
// export them and makes conversations of them.
//
// # Consumes
//
// ingest.request: an order that names uploaded files in the artifact store, and
// optionally their format and a [Mapping].
//
// # Produces
//
// dialogue.raw, in shards of a configured number of rows, and dialogue.reject
// for everything that could not be read: file, line, rule and a reason a person
// understands.
//
// A file is read in three steps, each in a file of its own. The character set
// is made UTF-8 (charset.go: UTF-8, UTF-16 with a byte order mark, GB18030). The
// file is cut into records (file.go chooses; lines.go, scanner.go, csv.go
// cut): lines of JSON, the elements of JSON arrays, rows of CSV or TSV. A record
// becomes a conversation by the first layout that knows it (layout.go):
//
//	chatglm3   conversations: [{role, content}], tools, role tool, per-message loss
//	openai     messages: [{role, content, tool_calls}]
//	sharegpt   conversations: [{from, value}], or pairs {human, assistant}
//	alpaca     instruction, input, output, system, history
//	qa         query/response, prompt/response, question/answer …, history
//	table      one row a message: session, sender, text, time (table.go)
//
// or by a mapping that says where things lie (mapping.go).
//
// # Guarantees
//
// Bad input costs as little as can be: a malformed line that line, a row too
// long that row, an unknown file that file. Nothing is dropped without a reject.
// No record is held beyond its size limit, and no file as a whole except the
// text of a table, whose sessions may be interleaved. Output follows from the
// order and the configuration alone; Dialogue.ID is the conversation's content.
//
// # Configuration
//
// See [Config].
//
// # Failure
//
// An order that makes no sense (no source, a broken mapping, an unknown format)
// is parked. Files the store cannot deliver are retried.
package ingest
