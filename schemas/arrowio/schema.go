package arrowio

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/apache/arrow/go/v17/arrow"
)

// elementName is the name of a list's element field, the one that Parquet's
// three-level lists use.
const elementName = "element"

// Schema returns the Arrow schema of row struct T. It panics if T holds a type
// that the table in the package comment does not list: a mistake in the program
// that every test of T finds.
func Schema[T any]() *arrow.Schema {
	return arrow.NewSchema(fieldsOf(reflect.TypeFor[T]()), nil)
}

// A column is one struct field that is stored.
type column struct {
	index int // of the struct field
	field arrow.Field
}

// columnsOf lists the stored fields of struct type t in order.
func columnsOf(t reflect.Type) []column {
	if t.Kind() != reflect.Struct {
		panic(fmt.Sprintf("arrowio: %s is not a struct", t))
	}
	columns := make([]column, 0, t.NumField())
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("parquet"), ",")
		if name == "-" || !f.IsExported() {
			continue
		}
		if name == "" {
			name = f.Name
		}
		columns = append(columns, column{i, arrow.Field{
			Name: name, Type: typeOf(f.Type), Nullable: f.Type.Kind() == reflect.Pointer,
		}})
	}
	return columns
}

// fieldsOf returns the Arrow fields of struct type t.
func fieldsOf(t reflect.Type) []arrow.Field {
	columns := columnsOf(t)
	fields := make([]arrow.Field, len(columns))
	for i, c := range columns {
		fields[i] = c.field
	}
	return fields
}

// typeOf returns the Arrow type that stores values of t.
func typeOf(t reflect.Type) arrow.DataType {
	switch t.Kind() {
	case reflect.Pointer:
		return typeOf(t.Elem())
	case reflect.String:
		return arrow.BinaryTypes.String
	case reflect.Bool:
		return arrow.FixedWidthTypes.Boolean
	case reflect.Int32:
		return arrow.PrimitiveTypes.Int32
	case reflect.Int64:
		return arrow.PrimitiveTypes.Int64
	case reflect.Uint32:
		return arrow.PrimitiveTypes.Uint32
	case reflect.Uint64:
		return arrow.PrimitiveTypes.Uint64
	case reflect.Float32:
		return arrow.PrimitiveTypes.Float32
	case reflect.Float64:
		return arrow.PrimitiveTypes.Float64
	case reflect.Struct:
		return arrow.StructOf(fieldsOf(t)...)
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return arrow.BinaryTypes.Binary
		}
		return arrow.ListOfField(arrow.Field{Name: elementName, Type: typeOf(t.Elem())})
	default:
		panic(fmt.Sprintf("arrowio: no column type for %s", t))
	}
}

// Text renders a schema the way the golden files do: one column a line, nested
// fields indented, "?" after the type of what may be null.
func Text(s *arrow.Schema) string {
	var b strings.Builder
	writeFields(&b, s.Fields(), "")
	return b.String()
}

func writeFields(b *strings.Builder, fields []arrow.Field, indent string) {
	for _, f := range fields {
		name := f.Type.Name()
		nested := f.Type
		for {
			list, ok := nested.(*arrow.ListType)
			if !ok {
				break
			}
			nested = list.Elem()
			name += " " + nested.Name()
		}
		if f.Nullable {
			name += "?"
		}
		fmt.Fprintf(b, "%s%s: %s\n", indent, f.Name, name)
		if st, ok := nested.(*arrow.StructType); ok {
			writeFields(b, st.Fields(), indent+"  ")
		}
	}
}
