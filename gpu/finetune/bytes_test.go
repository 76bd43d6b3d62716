package finetune

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/goccy/go-yaml"
	"pgregory.net/rapid"
)

func ExampleParseBytes() {
	b, _ := ParseBytes("1.5GiB")
	fmt.Println(b, int64(b))
	// Output: 1536MiB 1610612736
}

func TestBytes(t *testing.T) {
	for text, want := range map[string]Bytes{
		"0": 0, "8GiB": 8 << 30, "8 GiB": 8 << 30, "8gib": 8 << 30, "512MiB": 512 << 20, "1.5GB": 1.5e9, "100": 100, "7B": 7, "1TB": 1e12, "3KiB": 3072,
	} {
		if got, err := ParseBytes(text); err != nil || got != want {
			t.Errorf("%q is %d (%v), want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "GiB", "-1GiB", "8G", "8GiBB", "eight", "1e30TiB", "NaN", "InfB"} {
		if got, err := ParseBytes(text); err == nil {
			t.Errorf("%q was taken for %d", text, got)
		}
	}
}

func TestAboutSoMuch(t *testing.T) {
	for b, want := range map[Bytes]string{
		0: "0 bytes", 1023: "1023 bytes", 1024: "1.00 KiB", 10 << 10: "10.0 KiB", 1000 << 20: "1000 MiB", 3 << 29: "1.50 GiB", 123 << 40: "123 TiB",
	} {
		if got := b.about(); got != want {
			t.Errorf("%d is about %s, want %s", b, got, want)
		}
	}
}

// TestBytesInFiles: what is written is read again, in both kinds of files.
func TestBytesInFiles(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := DefaultOptions()
		want.Memory = Bytes(rapid.Int64Range(0, 1<<50).Draw(t, "bytes"))
		if rapid.Bool().Draw(t, "round") {
			want.Memory <<= 10
		}
		text, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		var got Options
		if err := json.Unmarshal(text, &got); err != nil || got.Memory != want.Memory {
			t.Fatalf("JSON %s: %d (%v), want %d", text, got.Memory, err, want.Memory)
		}
		if text, err = yaml.Marshal(want); err != nil {
			t.Fatal(err)
		}
		got = Options{}
		if err := yaml.Unmarshal(text, &got); err != nil || got.Memory != want.Memory {
			t.Fatalf("YAML: %d (%v), want %d\n%s", got.Memory, err, want.Memory, text)
		}
	})
	for text, want := range map[string]Bytes{"memory: 8GiB": 8 << 30, "memory: 0": 0, "memory: 1073741824": 1 << 30} {
		var got Options
		if err := yaml.Unmarshal([]byte(text), &got); err != nil || got.Memory != want {
			t.Errorf("%s is %d (%v), want %d", text, got.Memory, err, want)
		}
	}
}
