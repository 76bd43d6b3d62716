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
	columns := columnsOf(reflect.TypeFor[T]())
	if err := checkColumns(rec.Schema(), columns); err != nil {
		return nil, err
	}
	n := int(rec.NumRows())
	for _, c := range rec.Columns() {
		if c.Len() != n {
			return nil, fmt.Errorf("broken record batch: a column of %d rows beside %d", c.Len(), n)
		}
	}
	rows = make([]T, n)
	values := reflect.ValueOf(rows)
	for _, c := range columns {
		at := rec.Schema().FieldIndices(c.field.Name)
		if len(at) == 0 {
			continue
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

// setValue sets v to element i of a, whose type [checkColumns] found right.
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
	switch a := a.(type) {
	case *array.String:
		v.SetString(strings.Clone(a.Value(i)))
	case *array.Binary:
		v.SetBytes(bytes.Clone(a.Value(i)))
	case *array.Boolean:
		v.SetBool(a.Value(i))
	case *array.Int32:
		v.SetInt(int64(a.Value(i)))
	case *array.Int64:
		v.SetInt(a.Value(i))
	case *array.Uint32:
		v.SetUint(uint64(a.Value(i)))
	case *array.Uint64:
		v.SetUint(a.Value(i))
	case *array.Float32:
		v.SetFloat(float64(a.Value(i)))
	case *array.Float64:
		v.SetFloat(a.Value(i))
	case *array.Struct:
		return setStruct(v, a, i)
	case *array.List:
		return setList(v, a, i)
	default:
		return fmt.Errorf("no decoding of %s", a.DataType())
	}
	return nil
}

// setStruct sets struct v to element i of a, field by name.
func setStruct(v reflect.Value, a *array.Struct, i int) error {
	t := a.DataType().(*arrow.StructType)
	for _, c := range columnsOf(v.Type()) {
		at, ok := t.FieldIdx(c.field.Name)
		if !ok {
			continue
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
