package plan

import (
	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
)

// A cell keeps a value that was worked out from others, until one of them
// changes. Cells form a graph: each knows the cells that were worked out from it.
type cell struct {
	filled  bool
	filling bool // it is being worked out: asking for it now is a circle
	value   cty.Value
	diags   hcl.Diagnostics
	texts   int // the bytes of texts in the value of a local or variable
	readers map[*cell]bool
}

// read returns the cell's value, worked out by fill if need be, for reader
// (nil: nobody who would keep what comes of it).
func (c *cell) read(reader *cell, fill func() (cty.Value, hcl.Diagnostics)) (cty.Value, hcl.Diagnostics) {
	if c.filling {
		return cty.DynamicVal, nil // only in a plan whose circles were reported
	}
	if reader != nil {
		if c.readers == nil {
			c.readers = map[*cell]bool{}
		}
		c.readers[reader] = true
	}
	if c.filled {
		return c.value, c.diags
	}
	c.filling = true
	c.value, c.diags = fill()
	c.filling, c.filled = false, true
	return c.value, c.diags
}

// changed forgets the value, and what was worked out from it.
func (c *cell) changed() {
	c.filled, c.value, c.diags = false, cty.NilVal, nil
	readers := c.readers
	c.readers = nil
	for reader := range readers {
		reader.changed()
	}
}

// weigh notes how much text the value has that the cell will hold.
func (c *cell) weigh(value cty.Value) {
	measured, _ := measure(value) // that it is not too large was checked where it was made
	c.texts = measured.texts
}
