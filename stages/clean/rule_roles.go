package clean

import (
	"slices"
	"strings"
	"unicode"

	"github.com/glmflow/glmflow/schemas"
)

// repairRoles gives the turns the order that ChatGLM3 is trained on: at most one
// system message, first; then a user, then answers; an observation behind an
// answer; an answer last. Empty turns go, as do answers before any question and
// questions after the last answer; messages that one side sent in a row become
// one. What has no question or no answer, or only greets, is dropped.
func repairRoles(d *schemas.Dialogue) outcome {
	var turns []schemas.Turn
	asked := false
	for _, t := range d.Turns {
		last := len(turns) - 1
		switch {
		case strings.TrimSpace(t.Content) == "" && t.Name == "":
			continue
		case t.Role == schemas.RoleSystem && asked:
			continue // a notice of the chat system
		case t.Role == schemas.RoleAssistant && !asked:
			continue
		case t.Role == schemas.RoleObservation && (!asked || turns[last].Role == schemas.RoleUser):
			continue
		}
		asked = asked || t.Role == schemas.RoleUser
		if last >= 0 && mergeable(turns[last], t) {
			turns[last].Content += "\n" + t.Content
			continue
		}
		turns = append(turns, t)
	}
	for len(turns) > 0 && turns[len(turns)-1].Role != schemas.RoleAssistant {
		turns = turns[:len(turns)-1]
	}
	switch {
	case !asked:
		return drop("the customer said nothing")
	case len(turns) == 0:
		return drop("the customer got no answer")
	case onlyGreets(turns):
		return drop("the customer only greeted")
	}
	edited := !slices.Equal(turns, d.Turns)
	d.Turns = turns
	return outcome{edited: edited}
}

// mergeable reports whether two turns in a row are one message in two parts.
func mergeable(a, b schemas.Turn) bool {
	sameFlag := a.Train == nil && b.Train == nil || a.Train != nil && b.Train != nil && *a.Train == *b.Train
	return a.Role == b.Role && a.Role != schemas.RoleObservation && a.Name == "" && b.Name == "" && sameFlag
}

// onlyGreets reports whether the customer never said more than hello, thanks or
// goodbye.
func onlyGreets(turns []schemas.Turn) bool {
	for _, t := range turns {
		if t.Role == schemas.RoleUser && !isGreeting(t.Content) {
			return false
		}
	}
	return true
}

// isGreeting reports whether nothing is left of s without greetings and
// punctuation. A text without any letter is none.
func isGreeting(s string) bool {
	s = strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) || r == ' ' || r == '\n' {
			return unicode.ToLower(r)
		}
		return ' '
	}, s)
	words := strings.Join(strings.Fields(s), " ")
	if words == "" {
		return false
	}
	for _, greeting := range []string{
		"good morning", "good afternoon", "good evening", "hello", "hiya", "hi", "hey", "there", "thank you", "thanks", "bye", "goodbye",
	} {
		words = strings.TrimSpace(strings.ReplaceAll(" "+strings.ReplaceAll(words, " ", "  ")+" ", " "+strings.ReplaceAll(greeting, " ", "  ")+" ", " "))
		words = strings.Join(strings.Fields(words), " ")
	}
	for _, greeting := range []string{
		"早上好", "上午好", "中午好", "下午好", "晚上好", "您好", "你好", "在不在", "在吗", "在么", "有人吗", "有人么", "哈喽", "哈啰", "嗨", "亲",
		"谢谢你", "谢谢您", "谢谢", "多谢", "再见", "拜拜", "客服", "呀", "啊", "吗",
	} {
		words = strings.ReplaceAll(words, greeting, "")
	}
	return strings.TrimSpace(words) == ""
}
