package chat

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestCall(t *testing.T) {
	tests := []struct{ arguments, call string }{
		{`{"symbol":"10111"}`, `symbol='10111'`},
		{`{}`, ``},
		{`{"b":1,"a":-2}`, `b=1, a=-2`},
		{`{"x":true,"y":false,"z":null}`, `x=True, y=False, z=None`},
		{`{"x":[1,[],{"k":"v"}],"y":{}}`, `x=[1, [], {'k': 'v'}], y={}`},
		{`{"x":"it's"}`, `x="it's"`},
		{`{"x":"it's \"so\""}`, `x='it\'s "so"'`},
		{`{"x":"a\nb\tc\\d"}`, `x='a\nb\tc\\d'`},
		{`{"x":"北京<&>👋"}`, `x='北京<&>👋'`},
		{`{"x":"\u0007\u3000"}`, `x='\x07\u3000'`},
		{`{"x":1.5}`, `x=1.5`},
		{`{"城市":"北京"}`, `城市='北京'`},
	}
	for _, tt := range tests {
		content := "```python\ntool_call(" + tt.call + ")\n```"
		got, err := FormatCall(json.RawMessage(tt.arguments))
		if err != nil || got != content {
			t.Errorf("format %s: %q, want %q (%v)", tt.arguments, got, content, err)
		}
		back, err := ParseCall(content)
		if err != nil || !sameJSON(t, back, []byte(tt.arguments)) {
			t.Errorf("parse %q: %s, want %s (%v)", content, back, tt.arguments, err)
		}
	}
}

func TestFormatCallNumbers(t *testing.T) {
	// The right-hand sides are what Python's repr prints.
	for in, want := range map[string]string{
		"1.0": "1.0", "1e5": "100000.0", "1e16": "1e+16", "0.0001": "0.0001", "0.00001": "1e-05",
		"123456789012345678901": "123456789012345678901", "-0.0": "-0.0", "1.10": "1.1",
	} {
		got, err := FormatCall(json.RawMessage(`{"x":` + in + `}`))
		if want := "```python\ntool_call(x=" + want + ")\n```"; err != nil || got != want {
			t.Errorf("%s: %q, want %q (%v)", in, got, want, err)
		}
	}
}

func TestParseCallSpellings(t *testing.T) {
	for in, want := range map[string]string{
		"```python\ntool_call( a = (1, 2,) , b = .5, )\n```": `{"a":[1,2],"b":0.5}`,
		"```\ntool_call(a=\"\\u4f60\\x41\\d\")\n```":         `{"a":"你A\\d"}`,
		"```python\ntool_call(\n  a={'k': None,},\n)\n```":   `{"a":{"k":null}}`,
	} {
		got, err := ParseCall(in)
		if err != nil || string(got) != want {
			t.Errorf("%q: %s, want %s (%v)", in, got, want, err)
		}
	}
}

func TestParseCallErrors(t *testing.T) {
	wrap := func(s string) string { return "```python\n" + s + "\n```" }
	for _, in := range []string{
		"", "hello", "```python\n```", wrap(""), wrap("print('x')"), wrap("tool_call('x')"), wrap("tool_call(x=y)"),
		wrap("tool_call(x=__import__('os').system('rm'))"), wrap("tool_call(x=1+1)"), wrap("tool_call(x=1"), wrap("tool_call(x='a)"),
		wrap("tool_call(x=1); y()"), wrap("tool_call(x=[1)"), wrap("tool_call(x={1: 2})"), wrap("tool_call(x=1 y=2)"), wrap("tool_call(x=1e999)"),
		wrap(`tool_call(x='\x4')`), wrap("tool_call(x=" + strings.Repeat("[", 10000) + ")"),
	} {
		if got, err := ParseCall(in); err == nil {
			t.Errorf("%.60q: %s, want an error", in, got)
		}
	}
	for _, in := range []string{``, `[]`, `{"a b":1}`, `{"a":}`, `{"a":1`, `{} {}`, `{"a":1e999}`, `{"a":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`} {
		if got, err := FormatCall(json.RawMessage(in)); err == nil {
			t.Errorf("%.60q: %s, want an error", in, got)
		}
	}
}

// values draws JSON values whose strings are made of runes, any if there are none.
func values(depth int, runes ...rune) *rapid.Generator[any] {
	text := rapid.String()
	if len(runes) > 0 {
		text = rapid.StringOfN(rapid.SampledFrom(runes), 0, 8, -1)
	}
	kinds := []*rapid.Generator[any]{
		text.AsAny(), rapid.Bool().AsAny(), rapid.Just[any](nil), rapid.Float64Range(-1e20, 1e20).AsAny(),
		rapid.SampledFrom([]float64{1e16, 1e15, 1e-4, 9e-5, 1e300, 0.1}).AsAny(), rapid.Int64().AsAny(),
	}
	if depth > 0 {
		kinds = append(kinds,
			rapid.SliceOfN(values(depth-1, runes...), 0, 3).AsAny(),
			rapid.MapOfN(text, values(depth-1, runes...), 0, 3).AsAny())
	}
	return rapid.OneOf(kinds...)
}

// TestCallRoundTrip formats and parses arguments that nobody thought of.
func TestCallRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in, err := json.Marshal(map[string]any{"x": values(2).Draw(t, "x"), "y": values(2).Draw(t, "y")})
		if err != nil {
			t.Fatal(err)
		}
		content, err := FormatCall(in)
		if err != nil {
			t.Fatal(err)
		}
		back, err := ParseCall(content)
		if err != nil {
			t.Fatalf("parse %q: %v", content, err)
		}
		if !sameJSON(t, in, back) {
			t.Fatalf("%s came back as %s through %s", in, back, content)
		}
	})
}

// TestPython compares our spelling of tools and calls with Python's own. Its
// characters are of an age that every Unicode table agrees on.
func TestPython(t *testing.T) {
	if err := exec.Command("python3", "-c", "import json").Run(); err != nil {
		t.Skipf("no python3: %v", err)
	}
	var in []any
	for seed := range 500 {
		in = append(in, values(2, []rune("ab '\"\\/<&>\n\t\r\b\f\x00\x7f\u00a0\u00ad\u00e9\u2028\u3000\ufeff你👋")...).Example(seed))
	}
	raw, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("python3", filepath.Join("testdata", "original.py"))
	cmd.Stdin, cmd.Stderr = bytes.NewReader(raw), os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var want [][2]string
	var values []json.RawMessage
	if err := errors.Join(json.Unmarshal(out, &want), json.Unmarshal(raw, &values)); err != nil {
		t.Fatal(err)
	}
	for i, value := range values {
		list, err := indentTools("[" + string(value) + "]")
		if err != nil || list != want[i][0] {
			t.Errorf("tools of %s:\n%s\nwant\n%s\n(%v)", value, list, want[i][0], err)
		}
		call, err := FormatCall(json.RawMessage(`{"x":` + string(value) + `}`))
		if err != nil || call != want[i][1] {
			t.Errorf("call with %s:\n%s\nwant\n%s\n(%v)", value, call, want[i][1], err)
		}
	}
}

func sameJSON(t interface{ Fatal(...any) }, a, b []byte) bool {
	var x, y any
	if err := json.Unmarshal(a, &x); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &y); err != nil {
		t.Fatal(err)
	}
	return reflect.DeepEqual(x, y)
}

func FuzzParseCall(f *testing.F) {
	f.Add("```python\ntool_call(symbol='10111', n=[1, {'a': None}])\n```")
	f.Fuzz(func(t *testing.T, content string) {
		if got, err := ParseCall(content); err == nil && !json.Valid(got) {
			t.Errorf("%q: %s is no JSON", content, got)
		}
	})
}

func TestParseReply(t *testing.T) {
	tests := []struct{ text, name, content string }{
		{"\n 你好", "", "你好"},
		{"", "", ""},
		{"no line break", "", "no line break"},
		{"track\n ```python\ntool_call(symbol='1')\n```", "track", "```python\ntool_call(symbol='1')\n```"},
		{"\n I need a tool.<|assistant|>track\n call", "track", "call"},
		{"\n [[训练时间]]", "", "2023年"},
		{"track\n [[训练时间]]", "track", "[[训练时间]]"},
	}
	for _, tt := range tests {
		if name, content := ParseReply(tt.text); name != tt.name || content != tt.content {
			t.Errorf("%q: %q, %q, want %q, %q", tt.text, name, content, tt.name, tt.content)
		}
	}
}
