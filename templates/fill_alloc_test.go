//go:build !race

package templates

import "testing"

// TestFillAllocatesNothing: a recipient costs no work for the collector, unless
// her message takes the Liquid library. (Buffers grow until they are as large
// as a chunk. Not under the race detector, which lets a sync.Pool forget.)
func TestFillAllocatesNothing(t *testing.T) {
	s := benchSkeleton(t, benchTemplate)
	var sheet Sheet
	fill := func() {
		sheet.Reset(s.Columns())
		for range 10 {
			if err := s.Fill(&sheet, 1, benchRecipient); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n := testing.AllocsPerRun(100, fill); n != 0 {
		t.Errorf("%v allocations for 10 recipients", n)
	}
}
