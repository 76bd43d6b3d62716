package corpus

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"unicode/utf8"
)

// A Plant is something real logs have that training data should not.
type Plant string

// The plants. Those under "mend" stay in the data once repaired; those under
// "drop" must go.
const (
	Honest Plant = ""

	Personal  Plant = "personal-data" // mend: Secrets in the customer's words
	Typing    Plant = "typing-errors" // keep as it is: customers do type like that
	FullWidth Plant = "full-width"    // mend: digits and letters in full-width forms
	Invisible Plant = "invisible"     // mend: zero-width and control characters
	SplitTurn Plant = "split-turns"   // mend: one answer sent as two messages

	ExactCopy Plant = "exact-duplicate" // drop: the same conversation exported twice
	NearCopy  Plant = "near-duplicate"  // drop: the same conversation, lightly edited
	NoAnswer  Plant = "no-answer"       // drop: the desk never answered
	Looping   Plant = "looping-answer"  // drop: a canned answer repeated over and over
	Contents  Plant = "no-content"      // drop: nothing but punctuation
)

// Dropped reports whether conversations with this plant must not be learned.
func (p Plant) Dropped() bool {
	return slices.Contains([]Plant{ExactCopy, NearCopy, NoAnswer, Looping, Contents}, p)
}

// Plants lists all of them in the order reports show them.
func Plants() []Plant {
	return []Plant{ExactCopy, NearCopy, NoAnswer, Looping, Contents, Personal, FullWidth, Invisible, SplitTurn, Typing}
}

// A Secret is a piece of personal data of an invented person.
type Secret struct {
	Kind  string // "email", "mobile", "resident-id", "bank-card"
	Value string // as it stands in the text
}

// plant spoils c in about three of ten cases.
func plant(r *rand.Rand, c *Conversation, earlier []Conversation) {
	switch p := r.IntN(100); {
	case p < 10:
		c.Plant = Personal
		plantSecret(r, c)
	case p < 13:
		c.Plant = Typing
		m := &c.Messages[0]
		m.Content = mistype(r, m.Content)
	case p < 15:
		c.Plant = FullWidth
		c.Messages[0].Content = toFullWidth(c.Messages[0].Content)
	case p < 17:
		c.Plant = Invisible
		m := &c.Messages[len(c.Messages)-1]
		m.Content = "\u200b" + m.Content + "\x07\ufeff"
	case p < 19:
		c.Plant = SplitTurn
		last := &c.Messages[len(c.Messages)-1]
		more := Message{Role: "assistant", Content: "还有其他可以帮您的吗？"}
		if c.Lang == "en" {
			more.Content = "Is there anything else I can do?"
		}
		c.Messages = append(c.Messages[:len(c.Messages)-1], *last, more)
	case p < 23:
		plantCopy(r, c, earlier, ExactCopy)
	case p < 26:
		plantCopy(r, c, earlier, NearCopy)
	case p < 28:
		c.Plant = NoAnswer
		c.Messages = c.Messages[:1]
	case p < 30:
		c.Plant = Looping
		c.Messages[1].Content = strings.Repeat(c.Messages[1].Content+" ", 8)
		c.Messages = c.Messages[:2]
	case p < 31:
		c.Plant = Contents
		c.Messages = []Message{{Role: "user", Content: "？？？"}, {Role: "assistant", Content: "。"}}
	}
}

// plantCopy replaces c by an earlier conversation. Near copies need some length
// for a small edit to be small.
func plantCopy(r *rand.Rand, c *Conversation, earlier []Conversation, p Plant) {
	for range 20 {
		if len(earlier) == 0 {
			return
		}
		o := pick(r, earlier)
		if o.Plant != Honest || p == NearCopy && textLength(o) < 120 {
			continue
		}
		c.Plant, c.Of, c.Lang, c.Topic = p, o.Key, o.Lang, o.Topic
		c.Messages = slices.Clone(o.Messages)
		if p == NearCopy {
			last := &c.Messages[len(c.Messages)-1]
			last.Content = strings.TrimRight(last.Content, "。.") + "！"
			c.Messages[0].Content = mistype(r, c.Messages[0].Content)
		}
		return
	}
}

func textLength(c Conversation) int {
	n := 0
	for _, m := range c.Messages {
		n += utf8.RuneCountInString(m.Content)
	}
	return n
}

// mistype swaps two neighbouring characters somewhere in s.
func mistype(r *rand.Rand, s string) string {
	runes := []rune(s)
	if len(runes) < 4 {
		return s
	}
	i := 1 + r.IntN(len(runes)-3)
	runes[i], runes[i+1] = runes[i+1], runes[i]
	return string(runes)
}

// toFullWidth writes ASCII digits and letters in their full-width forms.
func toFullWidth(s string) string {
	return strings.Map(func(c rune) rune {
		if c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' {
			return c + 0xFEE0
		}
		return c
	}, s)
}

// plantSecret lets the customer give away something about an invented person.
func plantSecret(r *rand.Rand, c *Conversation) {
	s := inventSecret(r)
	templates := map[string][2]string{
		"email":       {"[我的邮箱是|发到这个邮箱：|联系邮箱]%s[，谢谢|]", "[My e-mail is|Please write to|You can reach me at] %s"},
		"mobile":      {"[我的电话是|手机号|打这个电话：]%s[，随时联系|]", "[Call me on|My number is|Phone:] %s"},
		"resident-id": {"[身份证号|身份证号码是|实名信息：身份证]%s", "[My resident id is|ID card number] %s"},
		"bank-card":   {"[退到这张银行卡：|我的银行卡号是|卡号]%s[，建设银行|]", "[Refund to my card|My bank card is] %s"},
	}
	lang := 0
	if c.Lang == "en" {
		lang = 1
	}
	i := 2 * r.IntN((len(c.Messages)+1)/2)
	m := &c.Messages[i]
	m.Content = strings.TrimRight(m.Content, "。.！!")
	joint := []string{"，", ". "}[lang]
	if strings.HasSuffix(m.Content, "？") {
		joint = ""
	} else if strings.HasSuffix(m.Content, "?") {
		joint = " "
	}
	m.Content += joint + fmt.Sprintf(expand(r, templates[s.Kind][lang], nil), s.Value)
	c.Secrets = append(c.Secrets, s)
}

func inventSecret(r *rand.Rand) Secret {
	digits := func(n int) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte('0' + r.IntN(10))
		}
		return string(b)
	}
	switch r.IntN(4) {
	case 0:
		user := pick(r, []string{"li.wei", "wang_fang", "sam.hill", "j.brown", "zhao88", "kate-o", "m.novak", "chen.yu"})
		return Secret{"email", user + digits(3) + "@" + pick(r, []string{"example.com", "example.org", "mail.example.net"})}
	case 1:
		n := pick(r, []string{"138", "139", "150", "158", "176", "186", "199"}) + digits(8)
		if r.IntN(3) == 0 {
			n = n[:3] + pick(r, []string{" ", "-"}) + n[3:7] + pick(r, []string{" ", "-"}) + n[7:]
		}
		return Secret{"mobile", n}
	case 2:
		id := pick(r, []string{"110105", "310112", "440305", "510104", "330106"}) +
			fmt.Sprintf("%d%02d%02d", 1955+r.IntN(50), 1+r.IntN(12), 1+r.IntN(28)) + digits(3)
		return Secret{"resident-id", id + residentCheck(id)}
	default:
		card := pick(r, []string{"622202", "621700", "625912"}) + digits(12)
		card += luhnCheck(card)
		if r.IntN(2) == 0 {
			card = card[:4] + " " + card[4:8] + " " + card[8:12] + " " + card[12:16] + " " + card[16:]
		}
		return Secret{"bank-card", card}
	}
}

// residentCheck is the check character of a resident id (GB 11643-1999).
func residentCheck(id string) string {
	sum := 0
	for i, w := range [...]int{7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2} {
		sum += w * int(id[i]-'0')
	}
	return "10X98765432"[sum%11 : sum%11+1]
}

// luhnCheck is the digit that makes card pass the Luhn test (ISO/IEC 7812-1).
func luhnCheck(card string) string {
	sum := 0
	for i := range len(card) {
		d := int(card[len(card)-1-i] - '0')
		if i%2 == 0 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	return fmt.Sprint((10 - sum%10) % 10)
}
