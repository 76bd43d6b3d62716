package tokenizer

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"

	"google.golang.org/protobuf/encoding/protowire"
)

// FileName is the name of the vocabulary in a checkpoint's directory.
const FileName = "tokenizer.model"

// maxModelBytes bounds what Load reads; the real file has one megabyte.
const maxModelBytes = 64 << 20

// kind is SentencePiece's ModelProto.SentencePiece.Type.
type kind uint8

const (
	normal  kind = 1
	unknown kind = 2
	control kind = 3
	byteID  kind = 6 // stands for one byte, text "<0xNN>"
)

// A piece is one entry of the vocabulary; its index is its id.
type piece struct {
	text  string
	score float32 // of a normal piece: higher merges first
	kind  kind
}

// Field numbers of sentencepiece_model.proto.
const (
	modelPieces     = 1
	modelTrainer    = 2
	modelNormalizer = 3

	pieceText  = 1
	pieceScore = 2
	pieceKind  = 3

	trainerModelType    = 3
	trainerVocabSize    = 4
	trainerSplitDigits  = 25
	trainerSuffix       = 24
	trainerByteFallback = 35
	trainerUnk          = 40
	trainerBos          = 41
	trainerEos          = 42
	trainerPad          = 43

	normalizerName        = 1
	normalizerCharsmap    = 2
	normalizerDummyPrefix = 3
	normalizerTrim        = 4
	normalizerEscape      = 5

	modelTypeBPE = 2
)

// Load reads a vocabulary: path is a tokenizer.model file, or a directory that
// holds one. A SentencePiece model of another form than ChatGLM3's is an error
// that says what differs.
func Load(path string) (*Tokenizer, error) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		path = filepath.Join(path, FileName)
	}
	f, err := os.Open(path)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("vocabulary: %w: copy %s from the ChatGLM3 checkpoint there", err, FileName)
		}
		return nil, fmt.Errorf("vocabulary: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxModelBytes+1))
	if err != nil {
		return nil, fmt.Errorf("vocabulary: %w", err)
	}
	t, err := Parse(data)
	if err != nil {
		return nil, fmt.Errorf("vocabulary %s: %w", path, err)
	}
	return t, nil
}

// Parse is [Load] for a tokenizer.model that is in memory already.
func Parse(model []byte) (*Tokenizer, error) {
	if len(model) > maxModelBytes {
		return nil, fmt.Errorf("more than %d bytes", maxModelBytes)
	}
	sum := sha256.Sum256(model)
	t := &Tokenizer{digest: "sha256:" + hex.EncodeToString(sum[:])}
	trainer, normalizer := defaultTrainer(), defaultNormalizer()
	err := eachField(model, func(num protowire.Number, v value) error {
		switch num {
		case modelPieces:
			p, err := parsePiece(v.bytes)
			if err != nil {
				return fmt.Errorf("piece %d: %w", len(t.pieces), err)
			}
			t.pieces = append(t.pieces, p)
		case modelTrainer:
			return eachField(v.bytes, trainer.set)
		case modelNormalizer:
			return eachField(v.bytes, normalizer.set)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("not a SentencePiece model: %w", err)
	}
	if err := errors.Join(trainer.check(), normalizer.check()); err != nil {
		return nil, err
	}
	return t, t.index()
}

// value is one decoded field of a protobuf message: its integer, or its bytes.
type value struct {
	num   uint64
	bytes []byte
}

// eachField calls fn for every field of a protobuf message.
func eachField(msg []byte, fn func(protowire.Number, value) error) error {
	for len(msg) > 0 {
		num, typ, n := protowire.ConsumeTag(msg)
		if n < 0 {
			return protowire.ParseError(n)
		}
		msg = msg[n:]
		var v value
		switch typ {
		case protowire.VarintType:
			v.num, n = protowire.ConsumeVarint(msg)
		case protowire.Fixed32Type:
			var x uint32
			x, n = protowire.ConsumeFixed32(msg)
			v.num = uint64(x)
		case protowire.BytesType:
			v.bytes, n = protowire.ConsumeBytes(msg)
		default:
			n = protowire.ConsumeFieldValue(num, typ, msg)
		}
		if n < 0 {
			return protowire.ParseError(n)
		}
		msg = msg[n:]
		if err := fn(num, v); err != nil {
			return err
		}
	}
	return nil
}

func parsePiece(msg []byte) (piece, error) {
	p := piece{kind: normal}
	err := eachField(msg, func(num protowire.Number, v value) error {
		switch num {
		case pieceText:
			p.text = string(v.bytes)
		case pieceScore:
			p.score = math.Float32frombits(uint32(v.num))
		case pieceKind:
			p.kind = kind(v.num)
		}
		return nil
	})
	switch {
	case err != nil:
		return p, err
	case p.text == "":
		return p, errors.New("empty text")
	case p.score != p.score:
		return p, errors.New("score is not a number")
	case p.kind == normal, p.kind == unknown, p.kind == control, p.kind == byteID:
		return p, nil
	}
	return p, fmt.Errorf("%q is of kind %d, which ChatGLM3's vocabulary does not use", p.text, p.kind)
}

// settings are the integer fields of a specification message that must have a
// certain value for our encoder to be right.
type settings map[protowire.Number]*setting

type setting struct {
	name      string
	got, want int64
}

// defaultTrainer lists what ChatGLM3 asks of the trainer_spec; got starts at
// SentencePiece's default.
func defaultTrainer() settings {
	return settings{
		trainerModelType:    {"model_type", 1, modelTypeBPE},
		trainerSuffix:       {"treat_whitespace_as_suffix", 0, 0},
		trainerByteFallback: {"byte_fallback", 0, 1},
		trainerUnk:          {"unk_id", 0, int64(PAD)},
		trainerBos:          {"bos_id", 1, int64(BOS)},
		trainerEos:          {"eos_id", 2, int64(EOS)},
	}
}

// defaultNormalizer does the same for the normalizer_spec.
func defaultNormalizer() settings {
	return settings{
		normalizerCharsmap:    {"precompiled_charsmap (bytes)", 0, 0},
		normalizerDummyPrefix: {"add_dummy_prefix", 1, 1},
		normalizerTrim:        {"remove_extra_whitespaces", 1, 0},
		normalizerEscape:      {"escape_whitespaces", 1, 1},
	}
}

func (s settings) set(num protowire.Number, v value) error {
	if f := s[num]; f != nil {
		f.got = int64(int32(v.num)) + int64(len(v.bytes)) // one of the two is zero
	}
	return nil
}

func (s settings) check() error {
	for num := protowire.Number(1); num <= trainerPad; num++ {
		if f := s[num]; f != nil && f.got != f.want {
			return fmt.Errorf("%s is %d, and ChatGLM3's tokenizer needs %d", f.name, f.got, f.want)
		}
	}
	return nil
}

// marshal writes pieces as a SentencePiece model of ChatGLM3's form.
func marshal(pieces []piece) []byte {
	var out []byte
	for _, p := range pieces {
		var m []byte
		m = protowire.AppendTag(m, pieceText, protowire.BytesType)
		m = protowire.AppendString(m, p.text)
		m = protowire.AppendTag(m, pieceScore, protowire.Fixed32Type)
		m = protowire.AppendFixed32(m, math.Float32bits(p.score))
		m = appendInt(m, pieceKind, int64(p.kind))
		out = protowire.AppendTag(out, modelPieces, protowire.BytesType)
		out = protowire.AppendBytes(out, m)
	}
	var t []byte
	t = appendInt(t, trainerModelType, modelTypeBPE)
	t = appendInt(t, trainerVocabSize, int64(len(pieces)))
	t = appendInt(t, trainerSuffix, 0)
	t = appendInt(t, trainerSplitDigits, 1)
	t = appendInt(t, trainerByteFallback, 1)
	t = appendInt(t, trainerUnk, int64(PAD))
	t = appendInt(t, trainerBos, int64(BOS))
	t = appendInt(t, trainerEos, int64(EOS))
	t = appendInt(t, trainerPad, -1)
	out = protowire.AppendTag(out, modelTrainer, protowire.BytesType)
	out = protowire.AppendBytes(out, t)

	var n []byte
	n = protowire.AppendTag(n, normalizerName, protowire.BytesType)
	n = protowire.AppendString(n, "identity")
	n = appendInt(n, normalizerDummyPrefix, 1)
	n = appendInt(n, normalizerTrim, 0)
	n = appendInt(n, normalizerEscape, 1)
	out = protowire.AppendTag(out, modelNormalizer, protowire.BytesType)
	return protowire.AppendBytes(out, n)
}

func appendInt(b []byte, num protowire.Number, v int64) []byte {
	b = protowire.AppendTag(b, num, protowire.VarintType)
	return protowire.AppendVarint(b, uint64(v))
}
