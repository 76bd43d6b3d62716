package finetune

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"math"
	"slices"

	"github.com/glmflow/glmflow/gpu/checkpoint/safetensors"
)

// A digest is that of a checkpoint, of its state and its tensors one after the
// other.
type digest struct{ hash.Hash }

func newDigest(state string) digest {
	d := digest{sha256.New()}
	io.WriteString(d, state)
	return d
}

// add takes a tensor into account.
func (d digest) add(name string, values []float32) {
	fmt.Fprintf(d, "\n%s %d\n", name, len(values))
	hashFloats(d, values)
}

// hashFloats adds the bits of numbers.
func hashFloats(h io.Writer, values []float32) {
	raw := make([]byte, 0, 4<<14)
	for piece := range slices.Chunk(values, 1<<14) {
		raw = raw[:0]
		for _, v := range piece {
			raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(v))
		}
		h.Write(raw)
	}
}

// sealed are the tensors of a checkpoint, and behind them their digest: it is
// computed while they are written, so that each is read once.
func sealed(state string, tensors []safetensors.Output) []safetensors.Output {
	d := newDigest(state)
	for i, t := range tensors {
		tensors[i].Read = func(dst []float32) error {
			if err := t.Read(dst); err != nil {
				return err
			}
			d.add(t.Name, dst)
			return nil
		}
	}
	return append(tensors, safetensors.Output{Name: digestKey, Shape: []int{sha256.Size}, DType: safetensors.I8, Stream: func(w io.Writer) error {
		_, err := w.Write(d.Sum(nil))
		return err
	}})
}

// verify compares a checkpoint with its digest.
func verify(file *safetensors.File) error {
	want, err := savedDigest(file)
	if err != nil {
		return err
	}
	d := newDigest(file.Metadata()[stateKey])
	var values []float32
	for _, t := range file.Tensors() {
		if t.Name == digestKey {
			continue
		}
		values = slices.Grow(values[:0], t.Len())[:t.Len()]
		if err := file.Read(t.Name, values); err != nil {
			return err
		}
		d.add(t.Name, values)
	}
	if got := hex.EncodeToString(d.Sum(nil)); got != want {
		return fmt.Errorf("sha256 is %s, saved as %q", got, want)
	}
	return nil
}

// savedDigest is what a checkpoint says its digest is, in hexadecimal.
func savedDigest(file *safetensors.File) (string, error) {
	if t, ok := file.Tensor(digestKey); ok {
		sum := make([]byte, t.Bytes())
		err := file.ReadBytes(digestKey, sum, 0)
		return hex.EncodeToString(sum), err
	}
	if sum, ok := file.Metadata()[digestKey]; ok {
		return sum, nil
	}
	return "", errors.New("there is no sha256 of it")
}
