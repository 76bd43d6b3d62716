package torchfile

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"
	"strings"
	"testing"
)

// Parts of pickles, as pickletools would write them.
func text(s string) string {
	return string(binary.LittleEndian.AppendUint32([]byte{'X'}, uint32(len(s)))) + s
}

func name(module, n string) string { return "c" + module + "\n" + n + "\n" }

func integer(n int64) string {
	return string(binary.LittleEndian.AppendUint64([]byte{0x8A, 8}, uint64(n)))
}

func tupleOf(items ...string) string { return "(" + strings.Join(items, "") + "t" }

func storageOf(kind, key string, n int64) string {
	return tupleOf(text("storage"), name("torch", kind), text(key), text("cpu"), integer(n)) + "Q"
}

func numbers(values ...int64) string {
	var items []string
	for _, v := range values {
		items = append(items, integer(v))
	}
	return tupleOf(items...)
}

func tensorOf(storage string, offset int64, shape, stride string) string {
	return name("torch._utils", "_rebuild_tensor_v2") + tupleOf(storage, integer(offset), shape, stride, "\x89", name("collections", "OrderedDict")+")R") + "R"
}

func dictOf(items ...string) string { return "\x80\x02}(" + strings.Join(items, "") + "u." }

// entry is a file in an archive.
type entry struct {
	name, data string
	method     uint16
}

// pack writes an archive.
func pack(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, e := range entries {
		w, err := z.CreateHeader(&zip.FileHeader{Name: e.name, Method: e.method})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(e.data)); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func read(raw []byte) ([]Tensor, error) {
	f, err := NewFile("file", bytes.NewReader(raw), int64(len(raw)))
	if err != nil {
		return nil, err
	}
	return f.Tensors(), nil
}

// TestPickles runs programs that torch would not write.
func TestPickles(t *testing.T) {
	four := storageOf("FloatStorage", "0", 4)
	good := tensorOf(four, 1, numbers(1, 3), numbers(3, 1))
	for what, tt := range map[string]struct{ pickle, err string }{
		"good":                 {dictOf(text("w"), good), ""},
		"no end":               {strings.TrimSuffix(dictOf(text("w"), good), "."), "the pickle is cut short"},
		"empty":                {"", "offset 0: the pickle is cut short"},
		"two values":           {"}}.", "ends with 2 values"},
		"a tuple":              {").", "holds a tuple: want a dictionary"},
		"a mark":               {"(.", "holds a mark"},
		"old protocol":         {"\x80\x01}.", "pickle protocol 1"},
		"os.system":            {name("os", "system") + text("ls") + "\x85R.", `offset 0: the pickle names "os.system"`},
		"eval by another way":  {text("builtins") + text("eval") + "\x93" + text("1") + "\x85R.", `the pickle names "builtins.eval"`},
		"torch.load":           {name("torch", "load") + ".", `the pickle names "torch.load"`},
		"no storage":           {name("torch", "Storage") + ".", `the pickle names "torch.Storage"`},
		"name without end":     {"cos", "cut short"},
		"name that is no text": {"NN\x93.", "a name is no text"},
		"inst":                 {"(ios\nsystem\n.", "pickle instruction 0x69"},
		"obj":                  {"(" + name("torch", "FloatStorage") + "o.", "pickle instruction 0x6f"},
		"newobj":               {name("collections", "OrderedDict") + ")\x81.", "pickle instruction 0x81"},
		"extension":            {"\x82\x01.", "pickle instruction 0x82"},
		"a storage called":     {name("torch", "FloatStorage") + ")R.", "a call of torch.FloatStorage"},
		"called with no tuple": {name("collections", "OrderedDict") + "}R.", "a call with a dictionary"},
		"a text called":        {text("x") + ")R.", "a call of a text"},
		"attributes of a text": {text("x") + "}b.", "attributes of a text"},
		"parameter of nothing": {name("torch._utils", "_rebuild_parameter") + "N\x88N\x87R.", "a call of torch._utils._rebuild_parameter"},
		"tensor of nothing":    {tensorOf("N", 0, numbers(), numbers()) + ".", "a tensor of nothing"},
		"too few values":       {"\x87.", "3 values are wanted, there are 0"},
		"mark in a tuple":      {"(\x85.", "a mark stands where a value is wanted"},
		"no mark":              {"Nt.", "there is no mark"},
		"odd items":            {"}(Nu.", "1 keys and values"},
		"items of no dict":     {text("x") + "NNs.", "keys and values for a text"},
		"items of nothing":     {"NNs.", "2 keys and values for a dictionary"},
		"nothing remembered":   {"h\x05.", "nothing is remembered as 5"},
		"nothing to remember":  {"q\x00.", "nothing is there to remember"},
		"remembered far away":  {"}r\xff\xff\xff\xff.", "remembered as 4294967295"},
		"long text":            {"X\xff\xff\xff\xffabc.", "cut short"},
		"broken text":          {"\x8c\x01\xff.", "not UTF-8"},
		"long integer":         {"\x8a\xff.", "an integer of 255 bytes"},
		"key that is no text":  {dictOf(integer(1), good), "key 0 is a number"},
		"twice":                {dictOf(text("w"), good, text("w"), good), `tensor "w" is there twice`},
		"persistent text":      {text("0") + "Q.", "a persistent id that is no storage"},
		"persistent module":    {tupleOf(text("module"), "N", "N", "N", "N") + "Q.", "a persistent id that is no storage"},
		"storage of no type":   {tupleOf(text("storage"), "N", text("0"), text("cpu"), integer(1)) + "Q.", "want a type"},
		"negative storage":     {storageOf("FloatStorage", "0", -1) + ".", "want a type"},
		"huge storage":         {storageOf("DoubleStorage", "0", 1<<62) + ".", "want a type"},
		"another storage":      {dictOf(text("w"), tensorOf(storageOf("FloatStorage", "1", 4), 0, numbers(4), numbers(1))), `no entry "a/data/1"`},
		"storage of more":      {dictOf(text("w"), tensorOf(storageOf("FloatStorage", "0", 5), 0, numbers(5), numbers(1))), `5 elements of F32 take 20`},
		"storage elsewhere":    {dictOf(text("w"), tensorOf(storageOf("FloatStorage", "../version", 4), 0, numbers(4), numbers(1))), `no entry "a/data/../version"`},
		"beyond the storage":   {dictOf(text("w"), tensorOf(four, 2, numbers(3), numbers(1))), `tensor "w": 3 elements from element 2 on do not lie in a storage of 4`},
		"far beyond":           {dictOf(text("w"), tensorOf(four, 1<<62, numbers(3), numbers(1))), `do not lie in a storage`},
		"negative offset":      {dictOf(text("w"), tensorOf(four, -1, numbers(3), numbers(1))), "want a storage, an offset"},
		"negative shape":       {dictOf(text("w"), tensorOf(four, 0, numbers(-1), numbers(1))), "a tensor of shape"},
		"huge shape":           {dictOf(text("w"), tensorOf(four, 0, numbers(1<<40, 1<<40), numbers(1, 1))), "is impossible"},
		"shape that overflows": {dictOf(text("w"), tensorOf(four, 0, numbers(1<<32, 1<<32, 0), numbers(0, 0, 1))), "is impossible"},
		"rank 9":               {dictOf(text("w"), tensorOf(four, 0, numbers(make([]int64, 9)...), numbers(make([]int64, 9)...))), "at most 8 dimensions"},
		"shape without stride": {dictOf(text("w"), tensorOf(four, 0, numbers(2, 2), numbers(1))), "want a storage, an offset, a shape and a stride"},
		"repeated":             {dictOf(text("w"), tensorOf(four, 0, numbers(4, 4), numbers(0, 1))), "do not lie in a storage"},
		"expanded":             {dictOf(text("w"), tensorOf(four, 0, numbers(2, 2), numbers(0, 1))), "not contiguous"},
		"backwards":            {dictOf(text("w"), tensorOf(four, 0, numbers(4), numbers(-1))), "not contiguous"},
		"deep":                 {strings.Repeat("}", 1) + strings.Repeat("\x85", 1<<20) + ".", "holds a tuple"},
		"full stack":           {strings.Repeat("N", 1<<17) + ".", "more than 65536 values"},
		"dict in itself":       {"}q\x00" + text("w") + "h\x00s.", `"w" is a dictionary`},
	} {
		tensors, err := read(pack(t, entry{"a/data.pkl", tt.pickle, 0}, entry{"a/byteorder", "little", 0}, entry{"a/data/0", "0123456789abcdef", 0}, entry{"a/version", "3\n", 0}))
		switch {
		case tt.err == "" && (err != nil || len(tensors) != 1 || tensors[0].Bytes != 12):
			t.Errorf("%s: %+v, %v", what, tensors, err)
		case tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)):
			t.Errorf("%s: %v, want %s", what, err, tt.err)
		}
	}
}

func TestArchives(t *testing.T) {
	pickle := dictOf(text("w"), tensorOf(storageOf("FloatStorage", "0", 4), 0, numbers(4), numbers(1)))
	whole := []entry{{"a/data.pkl", pickle, 0}, {"a/data/0", "0123456789abcdef", 0}, {"a/version", "3\n", 0}, {"a/byteorder", "little", 0}}
	with := func(e entry) []byte {
		entries := slices.Clone(whole)
		i := slices.IndexFunc(entries, func(x entry) bool { return x.name == e.name })
		entries[i] = e
		return pack(t, entries...)
	}
	bomb := pack(t, entry{"a/data.pkl", strings.Repeat("N", 1<<24+1), 0}, entry{"a/version", "3", 0})
	for what, tt := range map[string]struct {
		raw []byte
		err string
	}{
		"whole":             {pack(t, whole...), ""},
		"before byteorder":  {pack(t, whole[:3]...), ""},
		"packed pickle":     {with(entry{"a/data.pkl", pickle, zip.Deflate}), `entry "a/data.pkl" is compressed`},
		"packed weights":    {with(entry{"a/data/0", strings.Repeat("0", 1<<20), zip.Deflate}), `tensor "w": entry "a/data/0" is compressed`},
		"big-endian":        {with(entry{"a/byteorder", "big", 0}), "only little-endian"},
		"long byteorder":    {with(entry{"a/byteorder", strings.Repeat(" ", 17), 0}), "17 bytes, more than 16"},
		"newer":             {with(entry{"a/version", "11", 0}), "want a format of 1 to 10"},
		"version of words":  {with(entry{"a/version", "three", 0}), "want a format"},
		"no version":        {pack(t, whole[:2]...), `no entry "a/version"`},
		"no pickle":         {pack(t, whole[1:]...), "has no data.pkl"},
		"pickle too deep":   {pack(t, entry{"a/b/data.pkl", pickle, 0}), "has no data.pkl"},
		"twice":             {pack(t, append(whole, whole[1])...), `entry "a/data/0" is there twice`},
		"short weights":     {with(entry{"a/data/0", "0123", 0}), "has 4 bytes: 4 elements of F32 take 16"},
		"a huge pickle":     {bomb, "more than 16777216"},
		"no archive":        {[]byte("no archive"), "no zip archive"},
		"nothing":           {nil, "no zip archive"},
		"sizes that differ": {lie(t), "is compressed"},
	} {
		_, err := read(tt.raw)
		if tt.err == "" && err != nil || tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
			t.Errorf("%s: %v, want %s", what, err, tt.err)
		}
	}
}

// lie is an archive with an entry that claims more bytes than are stored.
func lie(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	data := []byte("0123456789abcdef")
	for i, e := range []string{"a/data.pkl", "a/version"} {
		w, err := z.CreateRaw(&zip.FileHeader{Name: e, CRC32: crc32.ChecksumIEEE(data), CompressedSize64: uint64(len(data)), UncompressedSize64: 1 << (40 * (1 - i))})
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(w, "%s", data)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
