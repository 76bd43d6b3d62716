// Package chat writes conversations in ChatGLM3's chat format and reads its
// answers.
//
// A conversation is a sequence of ids, never a text:
//
//	[gMASK] sop  <|role|> enc(name + "\n") enc(content)  <|role|> …
//
// Name and content are encoded apart, so each gets the tokenizer's leading "▁".
// Nothing stands between two messages: one ends where the next role begins.
// [Prompt] closes with <|assistant|>, for the model to go on; [Encode] closes
// with the end token and labels what is to be learned. [Text] is what the ids of
// a conversation decode to, which lets a pipeline prove that nothing was lost.
//
// A tool call is an assistant message whose name is the tool and whose content
// is a fenced tool_call(key=value, …) with Python literals. [ParseCall] reads
// those literals; nothing is ever evaluated.
package chat
