package finetune

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Bytes is an amount of memory. As text it is a number with a unit: "8GiB",
// "512MiB", "1.5GB", "0".
type Bytes int64

// units are ordered so that the binary ones come first where a number is written.
var units = []struct {
	name string
	size float64
}{
	{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10},
	{"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"KB", 1e3}, {"B", 1}, {"", 1},
}

// ParseBytes reads an amount of memory.
func ParseBytes(text string) (Bytes, error) {
	number := strings.TrimRight(text, "BKMGTbkigmt")
	unit := text[len(number):]
	value, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	for _, u := range units {
		if err == nil && strings.EqualFold(u.name, unit) && value >= 0 && value*u.size < math.MaxInt64 {
			return Bytes(value * u.size), nil
		}
	}
	return 0, fmt.Errorf("%q is no amount of memory: want a number and a unit, such as 8GiB or 512MiB", text)
}

// String writes whole amounts in the largest unit that leaves them whole.
func (b Bytes) String() string {
	for _, u := range units[:4] {
		if b > 0 && b%Bytes(u.size) == 0 {
			return strconv.FormatInt(int64(b/Bytes(u.size)), 10) + u.name
		}
	}
	return strconv.FormatInt(int64(b), 10)
}

// about is the amount to three digits or whole, for people.
func (b Bytes) about() string {
	for _, u := range units[:4] {
		if float64(b) >= u.size {
			x, decimals := float64(b)/u.size, 2
			for limit := 10.0; x >= limit && decimals > 0; limit *= 10 {
				decimals--
			}
			return strconv.FormatFloat(x, 'f', decimals, 64) + " " + u.name
		}
	}
	return strconv.FormatInt(int64(b), 10) + " bytes"
}

// MarshalText implements encoding.TextMarshaler.
func (b Bytes) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (b *Bytes) UnmarshalText(text []byte) (err error) {
	*b, err = ParseBytes(string(text))
	return err
}

// Set and Type make it a flag.
func (b *Bytes) Set(text string) error { return b.UnmarshalText([]byte(text)) }

// Type implements pflag.Value.
func (b *Bytes) Type() string { return "bytes" }
