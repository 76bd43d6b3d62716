package corpus

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// A Message is one turn as the shop's systems logged it.
type Message struct {
	Role    string    // "user" or "assistant"
	Content string    // UTF-8
	Time    time.Time // when it was said
}

// A Conversation is one logged conversation and what was planted in it.
type Conversation struct {
	Key      string // the shop's own session id, in every format
	Lang     string // "zh" or "en"
	Topic    string
	Messages []Message
	Plant    Plant    // what is wrong with it; [Honest] for nothing
	Of       string   // Key of the original, for duplicates
	Secrets  []Secret // personal data in its text
}

// Options say how much to generate.
type Options struct {
	Seed          uint64
	Conversations int // in all, planted ones included; 0 means 1200
}

// Generate writes a year's conversations. The same options give the same
// conversations, on any machine.
func Generate(o Options) []Conversation {
	if o.Conversations == 0 {
		o.Conversations = 1200
	}
	r := rand.New(rand.NewPCG(o.Seed, 0x73686f70))
	shops := []*shop{chinese(), english()}
	year := time.Date(2026, 1, 1, 8, 0, 0, 0, time.UTC)
	all := make([]Conversation, 0, o.Conversations)
	for i := range o.Conversations {
		s := shops[r.IntN(2)]
		c := Conversation{Key: fmt.Sprintf("c%05d", i), Lang: s.lang}
		c.Messages, c.Topic = s.conversation(r)
		at := year.Add(time.Duration(r.IntN(365*12*60)) * time.Minute)
		plant(r, &c, all)
		for k := range c.Messages {
			at = at.Add(time.Duration(5+r.IntN(120)) * time.Second)
			c.Messages[k].Time = at
		}
		all = append(all, c)
	}
	return all
}
