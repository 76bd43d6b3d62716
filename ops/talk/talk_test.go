package talk

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/glmflow/glmflow/gpu/chatglm"
	"github.com/glmflow/glmflow/gpu/chatglm/tokenizer"
	"github.com/glmflow/glmflow/ops/lang"
	"github.com/glmflow/glmflow/ops/term"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func vocabulary(t testing.TB) tokenizer.Encoder {
	t.Helper()
	model, err := tokenizer.Train(slices.Values([]string{"hello there, order refund", "你好，退款 订单", "abcdefghijklmnopqrstuvwxyz"}), 330)
	if err != nil {
		t.Fatal(err)
	}
	enc, err := tokenizer.Parse(model)
	if err != nil {
		t.Fatal(err)
	}
	return enc
}

// A parrot says what it was taught, one answer after the other, and keeps the
// prompts. A "|" in an answer is the token <|assistant|>.
type parrot struct {
	enc     tokenizer.Encoder
	answers []string
	finish  chatglm.Finish
	prompts []string
	spoken  func(id int32) // hears of tokens, nil of none
}

func (p *parrot) Generate(ctx context.Context, prompt []int32, o chatglm.GenerateOptions) (a chatglm.Answer, err error) {
	p.prompts = append(p.prompts, p.enc.Decode(prompt))
	if len(p.answers) == 0 {
		return a, errors.New("the parrot was taught no more")
	}
	var ids []int32
	for i, part := range strings.Split(p.answers[0], "|") {
		if i > 0 {
			ids = append(ids, tokenizer.SpecialsOf(p.enc.Pieces()).Assistant)
		}
		ids = append(ids, p.enc.Encode(part)...)
	}
	p.answers = p.answers[1:]
	for _, id := range ids {
		if ctx.Err() != nil {
			return a, ctx.Err()
		}
		token := chatglm.Token{ID: id}
		a.Tokens = append(a.Tokens, token)
		o.OnToken(0, token)
		if p.spoken != nil {
			p.spoken(id)
		}
	}
	a.Finish = p.finish
	return a, nil
}

// conversing runs a talk over lines of input.
func conversing(t *testing.T, p *parrot, language, in string, change func(*Talk)) (out, notes string, talked *Talk) {
	t.Helper()
	p.enc = vocabulary(t)
	say, err := lang.New(language)
	if err != nil {
		t.Fatal(err)
	}
	var o, e strings.Builder
	talked = &Talk{
		Conversation: Conversation{Speaker: p, Encoder: p.enc, Context: 4096}, Options: chatglm.GenerateOptions{MaxNew: 100},
		In: NewLines(strings.NewReader(in), nil), Out: &term.Screen{W: &o, Width: 80}, Err: &term.Screen{W: &e, Width: 80},
		Say: say, Now: func() time.Time { return time.Time{} },
	}
	if change != nil {
		change(talked)
	}
	if err := talked.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	return o.String(), e.String(), talked
}

func TestTalk(t *testing.T) {
	call := "track\n ```python\ntool_call(order='7')\n```"
	for what, tt := range map[string]struct {
		answers  []string
		in       string
		out, err string
		prompt   string // the last one, after [gMASK]sop
	}{
		"history": {[]string{"\n hi", "\n bye"}, "hello\nthere\n", "hi\nbye\n", "",
			"<|user|>\n hello<|assistant|>\n hi<|user|>\n there<|assistant|>"},
		"blank lines, no end of line": {[]string{"\n hi"}, "\n  \nhello", "hi\n", "", "<|user|>\n hello<|assistant|>"},
		"several lines":               {[]string{"\n a\nb"}, "one\\\ntwo\\\n\\\nfour\n", "a\nb\n", "", "<|user|>\n one\ntwo\n\nfour<|assistant|>"},
		"a slash":                     {[]string{"\n hi"}, "//help me\n", "hi\n", "", "<|user|>\n /help me<|assistant|>"},
		"system":                      {[]string{"\n hi", "\n yo"}, "/system be kind\nhello\n/system -\n/undo\nhello\n", "hi\nyo\n", "System text: be kind\nThere is no system text.\nThe last turn was taken back; 0 messages are left.\n", "<|user|>\n hello<|assistant|>"},
		"undo":                        {[]string{"\n a", "\n b", "\n c"}, "one\ntwo\n/undo\nthree\n", "a\nb\nc\n", "The last turn was taken back; 2 messages are left.\n", "<|user|>\n one<|assistant|>\n a<|user|>\n three<|assistant|>"},
		"nothing to undo":             {nil, "/undo\n", "", "There is nothing to take back.\n", ""},
		"reset":                       {[]string{"\n a", "\n b"}, "one\n/reset\ntwo\n", "a\nb\n", "A new conversation.\n", "<|user|>\n two<|assistant|>"},
		"exit":                        {[]string{"\n a"}, "one\n/exit\ntwo\n", "a\n", "", "<|user|>\n one<|assistant|>"},
		"a call": {[]string{"\n I look.|" + call, "\n It is on its way."}, "where is 7\nshipped\n", "I look.\n→ track {\"order\":\"7\"}\nIt is on its way.\n", "",
			"<|user|>\n where is 7<|assistant|>\n I look.<|assistant|>track\n ```python\ntool_call(order='7')\n```<|observation|>\n shipped<|assistant|>"},
		"undo a call": {[]string{call, "\n hi"}, "where is 7\n/undo\nhello\n", "→ track {\"order\":\"7\"}\nhi\n", "The last turn was taken back; 0 messages are left.\n", "<|user|>\n hello<|assistant|>"},
		"code is never run": {[]string{"track\n ```python\ntool_call(x=__import__('os').system('ls'))\n```"}, "go\n",
			"→ track\n```python\ntool_call(x=__import__('os').system('ls'))\n```\n", "This cannot be read as a call: tool call: argument x: want a literal at \"__import__('os').sys\"…\n", "<|user|>\n go<|assistant|>"},
		"empty":           {[]string{""}, "hello\n", "", "The answer is empty.\n", "<|user|>\n hello<|assistant|>"},
		"unknown command": {nil, "/nothing\n", "", "There is no command /nothing: /help lists them. For a message that begins with a slash write two.\n", ""},
		"bad files":       {nil, "/save\n/load\n/save x\n/load testdata/none\n/tools testdata/none\n/tools\n", "", "Say where: /save FILE\nSay which: /load FILE\nThere is nothing to save.\nopen testdata/none: no such file or directory\nopen testdata/none: no such file or directory\nThere are no tools.\n", ""},
	} {
		p := &parrot{answers: tt.answers, finish: chatglm.FinishStop}
		out, notes, _ := conversing(t, p, "en", tt.in, nil)
		if out != tt.out || notes != tt.err {
			t.Errorf("%s: said\n%s\nwant\n%s\nnoted\n%s\nwant\n%s", what, out, tt.out, notes, tt.err)
		}
		last := ""
		if n := len(p.prompts); n > 0 {
			last = strings.TrimPrefix(p.prompts[n-1], "[gMASK]sop")
		}
		if last != tt.prompt {
			t.Errorf("%s: the last prompt is\n%s\nwant\n%s", what, last, tt.prompt)
		}
	}
}

func TestTalkInChinese(t *testing.T) {
	out, notes, _ := conversing(t, &parrot{answers: []string{"\n 你好"}, finish: chatglm.FinishLength}, "zh", "你好\n/undo\n/undo\n/help\n", nil)
	if !strings.HasPrefix(out, "你好\n/help              显示此列表\n") {
		t.Errorf("%s", out)
	}
	if want := "回答在 4 个词元后被截断（--max-new）。\n已撤回上一轮；剩余 0 条消息。\n没有可撤回的内容。\n"; notes != want {
		t.Errorf("noted\n%s\nwant\n%s", notes, want)
	}
}

// TestOldTurnsLeave: where the context ends, the oldest turns go, whole, and
// this is said; system text and tools stay.
func TestOldTurnsLeave(t *testing.T) {
	p := &parrot{finish: chatglm.FinishStop}
	var in strings.Builder
	for range 9 {
		p.answers = append(p.answers, "\n "+strings.Repeat("hello there ", 5))
		in.WriteString(strings.Repeat("order refund ", 5) + "\n")
	}
	in.WriteString(strings.Repeat("x", 500) + "\n")
	p.answers = append(p.answers, "\n never")
	_, notes, talked := conversing(t, p, "en", in.String(), func(t *Talk) {
		t.Context, t.Options.MaxNew, t.System = 300, 20, "be kind"
	})
	left := strings.Count(notes, "The conversation is longer than the model's context: its oldest")
	if left < 1 || left > 3 {
		t.Errorf("turns left %d times:\n%s", left, notes)
	}
	if !strings.Contains(notes, "The message is too long: it takes 5") || len(talked.Messages) != 18 {
		t.Errorf("%d messages, noted\n%s", len(talked.Messages), notes)
	}
	for i, prompt := range p.prompts {
		if n := len(p.enc.Encode(prompt)); n > 400 { // the text of specials is counted, too
			t.Errorf("prompt %d has %d tokens", i, n)
		}
		if !strings.HasPrefix(prompt, "[gMASK]sop<|system|>\n be kind<|user|>\n order") {
			t.Errorf("prompt %d: %s", i, prompt)
		}
	}
	if len(p.prompts) != 9 {
		t.Errorf("%d prompts", len(p.prompts))
	}
}

// TestInterrupt: what was said by then stays; before anything was said, the
// question is taken back.
func TestInterrupt(t *testing.T) {
	interrupts := make(chan os.Signal, 1)
	said := 0
	p := &parrot{answers: []string{"\n one two three", "\n four"}, finish: chatglm.FinishStop}
	p.spoken = func(int32) {
		if said++; said == 8 {
			interrupts <- os.Interrupt
		}
	}
	slow := &waiting{Speaker: p}
	out, notes, talked := conversing(t, p, "en", "count\nand on\n", func(t *Talk) { t.Interrupts, t.Speaker = interrupts, slow })
	if !strings.HasPrefix(out, "one") || strings.Contains(out, "three") || notes != "Interrupted.\n" {
		t.Errorf("said %q, noted %q", out, notes)
	}
	if n := len(talked.Messages); n != 4 || !strings.HasPrefix("one two three", talked.Messages[1].Content) {
		t.Errorf("%+v", talked.Messages)
	}
	interrupts <- os.Interrupt // nobody is answering: the next answer is not concerned
	p = &parrot{answers: []string{"\n hi"}, finish: chatglm.FinishStop}
	if out, _, _ := conversing(t, p, "en", "hello\n", func(t *Talk) { t.Interrupts = interrupts }); out != "hi\n" {
		t.Errorf("after an old interrupt: %q", out)
	}
	p = &parrot{}
	_, notes, talked = conversing(t, p, "en", "hello\n", func(t *Talk) { t.Interrupts, t.Speaker = interrupts, silent{interrupts} })
	if len(talked.Messages) != 0 || notes != "Interrupted before anything was said; the message was taken back.\n" {
		t.Errorf("%+v, noted %q", talked.Messages, notes)
	}
}

// waiting gives an interrupt the time to arrive before the next token.
type waiting struct{ Speaker }

func (w *waiting) Generate(ctx context.Context, prompt []int32, o chatglm.GenerateOptions) (chatglm.Answer, error) {
	hear := o.OnToken
	n := 0
	o.OnToken = func(i int, token chatglm.Token) {
		hear(i, token)
		if n++; n == 9 {
			<-ctx.Done()
		}
	}
	return w.Speaker.Generate(ctx, prompt, o)
}

// silent is interrupted before it says anything.
type silent struct{ interrupts chan os.Signal }

func (s silent) Generate(ctx context.Context, _ []int32, _ chatglm.GenerateOptions) (a chatglm.Answer, err error) {
	s.interrupts <- os.Interrupt
	<-ctx.Done()
	return a, ctx.Err()
}

// TestEndOfTheContext is what SIGTERM does, between answers and within one.
func TestEndOfTheContext(t *testing.T) {
	say, err := lang.New("en")
	if err != nil {
		t.Fatal(err)
	}
	enc := vocabulary(t)
	r, w := io.Pipe()
	defer w.Close()
	talked := &Talk{Conversation: Conversation{Encoder: enc, Context: 4096}, In: NewLines(r, nil), Out: &term.Screen{W: io.Discard}, Err: &term.Screen{W: io.Discard}, Say: say, Now: time.Now}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := talked.Run(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("between answers: %v", err)
	}
	ctx, cancel = context.WithCancel(t.Context())
	p := &parrot{enc: enc, answers: []string{"\n hi"}, spoken: func(int32) { cancel() }}
	talked.Speaker, talked.In = p, NewLines(strings.NewReader("hello\n"), nil)
	if err := talked.Run(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("within an answer: %v", err)
	}
}

func TestSaveAndLoad(t *testing.T) {
	t.Chdir(t.TempDir())
	tools := `[{"name":"track"},{"function":{"name":"refund"}},"words"]`
	if err := os.WriteFile("tools.json", []byte(tools+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := &parrot{answers: []string{"track\n ```python\ntool_call(order='7')\n```", "\n 已发货 <b>", "\n more"}, finish: chatglm.FinishStop}
	_, notes, first := conversing(t, p, "en", "/tools tools.json\n/system be kind\nwhere\nshipped\n/save a.json\n/save a.json\nmore\n/undo\n/save tools.json\n", nil)
	if want := "Tools: track, refund, ?\nSystem text: be kind\n4 messages were written to a.json.\n4 messages were written to a.json.\nThe last turn was taken back; 4 messages are left.\ntools.json is there already: choose another name.\n"; notes != want {
		t.Errorf("noted\n%s\nwant\n%s", notes, want)
	}
	_, notes, second := conversing(t, &parrot{}, "en", "/load a.json\n/tools\n/system\n", nil)
	if want := "4 messages were read from a.json.\nTools: track, refund, ?\nSystem text: be kind\n"; notes != want {
		t.Errorf("noted\n%s\nwant\n%s", notes, want)
	}
	if !slices.Equal(first.Messages, second.Messages) || second.System != "be kind" || second.Tools != tools {
		t.Errorf("%+v\nwant\n%+v", second.Conversation, first.Conversation)
	}
	for what, text := range map[string]string{
		"none.json": "", "text": "hello", "list": "[]", "empty": "{}", "role": `{"conversations":[{"role":"robot","content":"x"}]}`,
		"late system": `{"conversations":[{"role":"user","content":"x"},{"role":"system","content":"x"},{"role":"assistant","content":"x"}]}`,
		"no answer":   `{"conversations":[{"role":"user","content":"x"}]}`, "no question": `{"conversations":[{"role":"assistant","content":"x"}]}`,
		"other keys": `{"conversations":[],"x":1}`, "two": `{"conversations":[{"role":"user","content":"x"},{"role":"assistant","content":"x"}]} {}`,
		"tools":     `{"tools":{},"conversations":[{"role":"user","content":"x"},{"role":"assistant","content":"x"}]}`,
		"long name": `{"conversations":[{"role":"user","content":"x"},{"role":"assistant","metadata":"a\nb","content":"x"}]}`,
	} {
		path := filepath.Join(t.TempDir(), "file")
		if text != "" {
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		before := second.Conversation
		if err := second.Conversation.load(path); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", what, err)
		}
		if !slices.Equal(before.Messages, second.Messages) || before.System != second.System {
			t.Errorf("%s: a bad file changed the conversation", what)
		}
	}
	if _, err := ReadTools("a.json"); err == nil {
		t.Error("a conversation was taken for tools")
	}
}
