package arrowio

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
)

// Decode returns the rows of rec as values of T. Columns are matched by name;
// see the package comment for what may be absent. Empty lists decode as nil.
// Strings and slices are copies: rec may be released afterwards.
//
// A record whose buffers contradict each other, as only hostile or broken input
// has, is an error.
func Decode[T any](rec arrow.Record) (rows []T, err error) {
	defer func() {
		// Arrow checks the bounds of a buffer where it is used, by panicking.
		if p := recover(); p != nil {
			rows, err = nil, fmt.Errorf("broken record batch: %v", p)
		}
	}()
	n := int(rec.NumRows())
	for _, c := range rec.Columns() {
		if c.Len() != n {
			return nil, fmt.Errorf("broken record batch: a column of %d rows beside %d", c.Len(), n)
		}
	}
	rows = make([]T, n)
	values := reflect.ValueOf(rows)
	for _, c := range columnsOf(reflect.TypeFor[T]()) {
		at := rec.Schema().FieldIndices(c.field.Name)
		if len(at) == 0 {
			if c.field.Nullable {
				continue
			}
			return nil, fmt.Errorf("column %s is absent", c.field.Name)
		}
		col := rec.Column(at[0])
		for r := range n {
			if err := setValue(values.Index(r).Field(c.index), col, r); err != nil {
				return nil, fmt.Errorf("row %d, column %s: %w", r, c.field.Name, err)
			}
		}
	}
	return rows, nil
}

// setValue sets v to element i of a.
func setValue(v reflect.Value, a arrow.Array, i int) error {
	if a.IsNull(i) {
		if v.Kind() != reflect.Pointer {
			return fmt.Errorf("null where %s is required", v.Type())
		}
		return nil
	}
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
	}
	mismatch := func() error { return fmt.Errorf("holds %s, want %s", a.DataType(), v.Type()) }
	switch a := a.(type) {
	case *array.String:
		if v.Kind() != reflect.String {
			return mismatch()
		}
		v.SetString(strings.Clone(a.Value(i)))
	case *array.Binary:
		if v.Type() != reflect.TypeFor[[]byte]() {
			return mismatch()
		}
		v.SetBytes(bytes.Clone(a.Value(i)))
	case *array.Boolean:
		if v.Kind() != reflect.Bool {
			return mismatch()
		}
		v.SetBool(a.Value(i))
	case *array.Int32:
		if v.Kind() != reflect.Int32 {
			return mismatch()
		}
		v.SetInt(int64(a.Value(i)))
	case *array.Int64:
		if v.Kind() != reflect.Int64 {
			return mismatch()
		}
		v.SetInt(a.Value(i))
	case *array.Uint32:
		if v.Kind() != reflect.Uint32 {
			return mismatch()
		}
		v.SetUint(uint64(a.Value(i)))
	case *array.Uint64:
		if v.Kind() != reflect.Uint64 {
			return mismatch()
		}
		v.SetUint(a.Value(i))
	case *array.Float32:
		if v.Kind() != reflect.Float32 {
			return mismatch()
		}
		v.SetFloat(float64(a.Value(i)))
	case *array.Float64:
		if v.Kind() != reflect.Float64 {
			return mismatch()
		}
		v.SetFloat(a.Value(i))
	case *array.Struct:
		if v.Kind() != reflect.Struct {
			return mismatch()
		}
		return setStruct(v, a, i)
	case *array.List:
		if v.Kind() != reflect.Slice {
			return mismatch()
		}
		return setList(v, a, i)
	default:
		return mismatch()
	}
	return nil
}

// setStruct sets struct v to element i of a, field by name.
func setStruct(v reflect.Value, a *array.Struct, i int) error {
	t := a.DataType().(*arrow.StructType)
	for _, c := range columnsOf(v.Type()) {
		at, ok := t.FieldIdx(c.field.Name)
		if !ok {
			if c.field.Nullable {
				continue
			}
			return fmt.Errorf("field %s is absent", c.field.Name)
		}
		if err := setValue(v.Field(c.index), a.Field(at), i); err != nil {
			return fmt.Errorf("%s: %w", c.field.Name, err)
		}
	}
	return nil
}

// setList sets slice v to the elements of list i of a.
func setList(v reflect.Value, a *array.List, i int) error {
	from, to := a.ValueOffsets(i)
	elements := a.ListValues()
	if from < 0 || to < from || to > int64(elements.Len()) {
		return fmt.Errorf("list from %d to %d of %d elements", from, to, elements.Len())
	}
	if from == to {
		return nil
	}
	switch elements := elements.(type) {
	case *array.Int32:
		if s, ok := v.Addr().Interface().(*[]int32); ok && elements.NullN() == 0 {
			*s = slices.Clone(elements.Int32Values()[from:to])
			return nil
		}
	case *array.Uint32:
		if s, ok := v.Addr().Interface().(*[]uint32); ok && elements.NullN() == 0 {
			*s = slices.Clone(elements.Uint32Values()[from:to])
			return nil
		}
	}
	v.Set(reflect.MakeSlice(v.Type(), int(to-from), int(to-from)))
	for k := range int(to - from) {
		if err := setValue(v.Index(k), elements, int(from)+k); err != nil {
			return fmt.Errorf("element %d: %w", k, err)
		}
	}
	return nil
}
