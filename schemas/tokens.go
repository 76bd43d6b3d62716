package schemas

// IgnoreLabel marks a position that is not a target of the loss.
const IgnoreLabel int32 = -100

// A TokenRow is one encoded conversation: a row of tokens. IDs and Labels have
// the same length; the model shifts labels by one itself.
type TokenRow struct {
	ID        string   `parquet:"id" json:"id"`               // the dialogue's id
	IDs       []int32  `parquet:"ids,list" json:"ids"`        // token ids, [gMASK] sop first
	Labels    []int32  `parquet:"labels,list" json:"labels"`  // the id where it is a target, -100 elsewhere
	Targets   int32    `parquet:"targets" json:"targets"`     // how many labels are not -100
	Truncated bool     `parquet:"truncated" json:"truncated"` // whether turns were cut to fit
	Lang      string   `parquet:"lang,dict" json:"lang,omitempty"`
	Signature []uint32 `parquet:"signature,list" json:"signature,omitempty"` // carried over from the dialogue
	Origin    Origin   `parquet:"origin" json:"origin"`
}
