package templates

import "fmt"

// AppendRow adds a complete row: one value for each column, in order. It copies
// the values. A row of another width would shift every row after it, and so
// send one recipient's text to the next: it panics instead.
func (s *Sheet) AppendRow(values ...[]byte) {
	if len(values) != s.columns {
		panic(fmt.Sprintf("a row of %d values for a sheet of %d columns", len(values), s.columns))
	}
	for _, v := range values {
		s.buf = append(s.buf, v...)
		s.ends = append(s.ends, len(s.buf))
	}
	s.rows++
}
