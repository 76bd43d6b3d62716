package arrowio

import (
	"fmt"

	"github.com/apache/arrow/go/v17/arrow"
)

// checkColumns reports a column that s lacks, although it is required, or holds
// as another type. Once types are right, Arrow itself has made sure that no
// array is longer than its buffers, and lengths may be trusted for allocation.
func checkColumns(s *arrow.Schema, want []column) error {
	for _, c := range want {
		at := s.FieldIndices(c.field.Name)
		if len(at) == 0 {
			if c.field.Nullable {
				continue
			}
			return fmt.Errorf("column %s is absent", c.field.Name)
		}
		if err := checkType(s.Field(at[0]).Type, c.field.Type); err != nil {
			return fmt.Errorf("column %s: %w", c.field.Name, err)
		}
	}
	return nil
}

// checkType reports where values of type have cannot be read as want: fields of
// structs are matched by name, everything else must be equal.
func checkType(have, want arrow.DataType) error {
	switch want := want.(type) {
	case *arrow.StructType:
		st, ok := have.(*arrow.StructType)
		if !ok {
			break
		}
		for _, f := range want.Fields() {
			at, ok := st.FieldIdx(f.Name)
			if !ok {
				if f.Nullable {
					continue
				}
				return fmt.Errorf("field %s is absent", f.Name)
			}
			if err := checkType(st.Field(at).Type, f.Type); err != nil {
				return fmt.Errorf("%s: %w", f.Name, err)
			}
		}
		return nil
	case *arrow.ListType:
		if list, ok := have.(*arrow.ListType); ok {
			return checkType(list.Elem(), want.Elem())
		}
	default:
		if arrow.TypeEqual(have, want) {
			return nil
		}
	}
	return fmt.Errorf("holds %s, want %s", have, want)
}
