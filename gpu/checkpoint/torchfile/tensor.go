package torchfile

import (
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/glmflow/glmflow/gpu/checkpoint/safetensors"
)

// The names that a pickle may use.
const (
	orderedDict      = "collections.OrderedDict"
	rebuildTensor    = "torch._utils._rebuild_tensor_v2"
	rebuildParameter = "torch._utils._rebuild_parameter"
)

// types are the storages, and safetensors' names for their elements.
func types(g global) (safetensors.DType, int64, bool) {
	name, ok := strings.CutSuffix(strings.TrimPrefix(string(g), "torch."), "Storage")
	if !ok {
		return "", 0, false
	}
	switch name {
	case "Float":
		return safetensors.F32, 4, true
	case "Half":
		return safetensors.F16, 2, true
	case "BFloat16":
		return safetensors.BF16, 2, true
	case "Double":
		return "F64", 8, true
	case "Char":
		return "I8", 1, true
	case "Byte":
		return "U8", 1, true
	case "Bool":
		return "BOOL", 1, true
	case "Short":
		return "I16", 2, true
	case "Int":
		return "I32", 4, true
	case "Long":
		return "I64", 8, true
	}
	return "", 0, false
}

func (g global) known() bool {
	_, _, storage := types(g)
	return storage || g == orderedDict || g == rebuildTensor || g == rebuildParameter
}

// A storage is a run of elements in an entry of the archive.
type storage struct {
	dtype    safetensors.DType
	size     int64 // bytes of an element
	key      string
	elements int64
}

// newStorage reads a persistent id: ("storage", type, key, device, elements).
func newStorage(id any) (storage, error) {
	t, _ := id.(tuple)
	if len(t) != 5 || t[0] != "storage" {
		return storage{}, errors.New("a persistent id that is no storage")
	}
	g, _ := t[1].(global)
	dtype, size, known := types(g)
	key, isText := t[2].(string)
	n, isNumber := t[4].(int64)
	if !known || !isText || !isNumber || n < 0 || n > math.MaxInt64/size {
		return storage{}, fmt.Errorf("storage %.40q: want a type, a key, a device and a number of elements", key)
	}
	return storage{dtype, size, key, n}, nil
}

// A view is a tensor: elements of a storage from offset on.
type view struct {
	storage
	offset int64
	shape  []int
	stride []int64
}

// call is what reduce does: one of the known names, applied to its arguments.
func call(what, with any) (any, error) {
	args, ok := with.(tuple)
	if !ok {
		return nil, fmt.Errorf("a call with %s: want a tuple of arguments", describe(with))
	}
	switch {
	case what == global(orderedDict) && len(args) == 0:
		return &dict{}, nil
	case what == global(rebuildTensor) && (len(args) == 6 || len(args) == 7): // storage, offset, shape, stride, gradient wanted, hooks[, metadata]
		return newView(args)
	case what == global(rebuildParameter) && len(args) == 3: // tensor, gradient wanted, hooks
		if v, ok := args[0].(view); ok {
			return v, nil
		}
	}
	return nil, fmt.Errorf("a call of %s with %d arguments", describe(what), len(args))
}

// maxRank bounds a tensor's dimensions.
const maxRank = 8

func newView(args tuple) (view, error) {
	s, ok1 := args[0].(storage)
	offset, ok2 := args[1].(int64)
	shape, ok3 := args[2].(tuple)
	stride, ok4 := args[3].(tuple)
	if !ok1 || !ok2 || !ok3 || !ok4 || len(shape) != len(stride) || len(shape) > maxRank || offset < 0 {
		return view{}, fmt.Errorf("a tensor of %s, %s, %s, %s: want a storage, an offset, a shape and a stride of at most %d dimensions",
			describe(args[0]), describe(args[1]), describe(args[2]), describe(args[3]), maxRank)
	}
	v := view{storage: s, offset: offset}
	for i := range shape {
		n, isSize := shape[i].(int64)
		step, isStep := stride[i].(int64)
		if !isSize || !isStep || n < 0 || n > math.MaxInt {
			return view{}, fmt.Errorf("a tensor of shape %v and stride %v", shape, stride)
		}
		v.shape, v.stride = append(v.shape, int(n)), append(v.stride, step)
	}
	return v, nil
}

// elements counts the tensor's elements and checks that they lie in its storage,
// one behind the other.
func (v view) elements() (int64, error) {
	n := int64(1)
	for _, d := range v.shape {
		if d > 0 && n > math.MaxInt64/8/int64(d) {
			return 0, fmt.Errorf("shape %v is impossible", v.shape)
		}
		n *= int64(d)
	}
	if v.offset > v.storage.elements || n > v.storage.elements-v.offset {
		return 0, fmt.Errorf("%d elements from element %d on do not lie in a storage of %d", n, v.offset, v.storage.elements)
	}
	want := int64(1)
	for i := len(v.shape) - 1; i >= 0; i-- {
		if d := int64(v.shape[i]); d != 1 && n > 0 {
			if v.stride[i] != want {
				return 0, fmt.Errorf("shape %v with stride %v is not contiguous: save it with .contiguous()", v.shape, v.stride)
			}
			want *= d
		}
	}
	return n, nil
}
