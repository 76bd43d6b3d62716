package reference

import "github.com/glmflow/glmflow/gpu/device"

// Embed widens rows of table.
func (d *host) Embed(y device.Tensor, table device.Matrix, p *device.Pass, h int) {
	out := floats(y)
	row, per := table.Format.Row(h), table.Format.Scales(h)
	scales := table.Scales.Floats()
	for m, id := range batch(p).IDs {
		r := int(id)
		table.Format.Decode(out[m*h:(m+1)*h], table.Data.Host[r*row:(r+1)*row], scales[r*per:(r+1)*per])
	}
	store(y, out)
}

// EmbedBackward adds rows of dy to the rows they came from.
func (d *host) EmbedBackward(dtable, dy device.Tensor, p *device.Pass, h int) {
	addRows(dtable, dy, batch(p).IDs, h)
}

// Gather copies rows of x.
func (d *host) Gather(y, x device.Tensor, p *device.Pass, h int) {
	line := h * x.Format.Size()
	for n, r := range batch(p).Rows {
		copy(y.Mem.Host[n*line:(n+1)*line], x.Mem.Host[int(r)*line:])
	}
}

// GatherBackward adds rows of dy to the rows they came from.
func (d *host) GatherBackward(dx, dy device.Tensor, p *device.Pass, h int) {
	addRows(dx, dy, batch(p).Rows, h)
}

// addRows is sum[at[n]] += x[n].
func addRows(sum, x device.Tensor, at []int32, h int) {
	sums, rows := floats(sum), floats(x)
	for n, r := range at {
		row := sums[int(r)*h : (int(r)+1)*h]
		for j := range row {
			row[j] += rows[n*h+j]
		}
	}
	store(sum, sums)
}
