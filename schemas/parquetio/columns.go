package parquetio

import (
	"fmt"
	"reflect"

	"github.com/parquet-go/parquet-go"
)

// checkColumns reports a column that want requires and have lacks or stores as
// something else. parquet-go would fill it with zeros, and a file of another
// kind would read as rows of nothing.
func checkColumns(want, have parquet.Node, path string) error {
	if want.Leaf() != have.Leaf() || want.Repeated() != have.Repeated() {
		return fmt.Errorf("column %s has another shape", path)
	}
	if want.Leaf() {
		if w, h := want.Type().Kind(), have.Type().Kind(); w != h {
			return fmt.Errorf("column %s is %s, want %s", path, h, w)
		}
		return nil
	}
	stored := make(map[string]parquet.Node)
	for _, f := range have.Fields() {
		stored[f.Name()] = f
	}
	for _, f := range want.Fields() {
		name := f.Name()
		if path != "" {
			name = path + "." + name
		}
		at, ok := stored[f.Name()]
		if !ok {
			if f.Optional() {
				continue
			}
			return fmt.Errorf("column %s is absent", name)
		}
		if err := checkColumns(f, at, name); err != nil {
			return err
		}
	}
	return nil
}

// nilEmpty sets every empty slice within v to nil, so that rows that came
// through Parquet and through Arrow are equal.
func nilEmpty(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			nilEmpty(v.Elem())
		}
	case reflect.Struct:
		for i := range v.NumField() {
			nilEmpty(v.Field(i))
		}
	case reflect.Slice:
		if v.Len() == 0 {
			v.SetZero()
			return
		}
		if k := v.Type().Elem().Kind(); k == reflect.Struct || k == reflect.Slice {
			for i := range v.Len() {
				nilEmpty(v.Index(i))
			}
		}
	}
}
