package arrowio

import (
	"fmt"
	"reflect"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"
)

// Encode returns rows as one record batch of schema [Schema][T]. The caller
// releases it.
func Encode[T any](mem memory.Allocator, rows []T) (arrow.Record, error) {
	b := array.NewRecordBuilder(mem, Schema[T]())
	defer b.Release()
	columns := columnsOf(reflect.TypeFor[T]())
	b.Reserve(len(rows))
	values := reflect.ValueOf(rows)
	for i, c := range columns {
		for r := range len(rows) {
			if err := appendValue(b.Field(i), values.Index(r).Field(c.index)); err != nil {
				return nil, fmt.Errorf("row %d, column %s: %w", r, c.field.Name, err)
			}
		}
	}
	return b.NewRecord(), nil
}

// appendValue appends v to b, the builder of v's type.
func appendValue(b array.Builder, v reflect.Value) error {
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			b.AppendNull()
			return nil
		}
		v = v.Elem()
	}
	switch b := b.(type) {
	case *array.StringBuilder:
		b.Append(v.String())
	case *array.BinaryBuilder:
		b.Append(v.Bytes())
	case *array.BooleanBuilder:
		b.Append(v.Bool())
	case *array.Int32Builder:
		b.Append(int32(v.Int()))
	case *array.Int64Builder:
		b.Append(v.Int())
	case *array.Uint32Builder:
		b.Append(uint32(v.Uint()))
	case *array.Uint64Builder:
		b.Append(v.Uint())
	case *array.Float32Builder:
		b.Append(float32(v.Float()))
	case *array.Float64Builder:
		b.Append(v.Float())
	case *array.StructBuilder:
		b.Append(true)
		for i, c := range columnsOf(v.Type()) {
			if err := appendValue(b.FieldBuilder(i), v.Field(c.index)); err != nil {
				return fmt.Errorf("%s: %w", c.field.Name, err)
			}
		}
	case *array.ListBuilder:
		b.Append(true)
		return appendList(b.ValueBuilder(), v)
	default:
		return fmt.Errorf("no encoding of %s as %s", v.Type(), b.Type())
	}
	return nil
}

// appendList appends the elements of slice v. Token ids and signatures are long
// and go in as they are.
func appendList(b array.Builder, v reflect.Value) error {
	switch b := b.(type) {
	case *array.Int32Builder:
		if s, ok := v.Interface().([]int32); ok {
			b.AppendValues(s, nil)
			return nil
		}
	case *array.Uint32Builder:
		if s, ok := v.Interface().([]uint32); ok {
			b.AppendValues(s, nil)
			return nil
		}
	}
	for i := range v.Len() {
		if err := appendValue(b, v.Index(i)); err != nil {
			return fmt.Errorf("element %d: %w", i, err)
		}
	}
	return nil
}
