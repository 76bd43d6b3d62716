package chat

import "strings"

// ChatGLM3 was trained to name its own date by a placeholder.
const trainingDate, knownDate = "[[训练时间]]", "2023年"

// ParseReply splits what the model wrote after <|assistant|> into the name on
// its first line, "" for a plain answer and otherwise the tool it calls, and the
// content, without the space around it. Where the model wrote several messages
// it is the last one. A text without a line break is all content.
// The placeholder for the model's date is filled in. [Listener] does the same for
// an answer that is still coming.
func ParseReply(text string) (name, content string) {
	if at := strings.LastIndex(text, "<|assistant|>"); at >= 0 {
		text = text[at+len("<|assistant|>"):]
	}
	name, content, ok := strings.Cut(text, "\n")
	if !ok {
		name, content = "", name
	}
	if name, content = strings.TrimSpace(name), strings.TrimSpace(content); name == "" {
		content = strings.ReplaceAll(content, trainingDate, knownDate)
	}
	return name, content
}
