// Package arrowio turns the row structs of package schemas into Arrow record
// batches and back, and record batches into Arrow IPC streams and back.
//
// The struct is the only definition: [Schema] derives the Arrow schema from its
// fields by reflection, so that a column cannot exist in one encoding and not
// in another.
//
//	Go                        Arrow
//	string                    utf8
//	[]byte                    binary
//	bool                      bool
//	int32 int64               int32 int64
//	uint32 uint64             uint32 uint64
//	float32 float64           float32 float64
//	struct                    struct<…>
//	[]T                       list<element: T>, elements never null
//	*T                        T, nullable
//
// The name of a column is the first word of the field's parquet tag. A field
// tagged "-" is no column.
//
// Evolution: [Decode] matches columns by name. A nullable column that is absent
// decodes as the zero value and a column nobody knows is passed over, so an old
// reader reads a new file and a new reader an old one, as long as a row grows by
// appended nullable columns alone.
//
// Ownership is Arrow's: who gets a record releases it. Decoded strings are
// copies and outlive the record.
//
// [ReadIPC] is meant for bytes that somebody else wrote. It bounds what it
// reads and what it allocates and answers hostile input with an error.
package arrowio
