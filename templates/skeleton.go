// Package templates turns versioned content and a contact into one message:
// Liquid, rewritten links, the unsubscribe footer and the list headers.
package templates

import (
	"utskick/audience"
)

// Skeleton is the message of one group: everything that its recipients share,
// with numbered holes where they differ. One skeleton serves many recipients;
// it is immutable once compiled and safe for concurrent use.
//
// E-mail uses From, ReplyTo, Subject, HTML, Text and Headers. SMS uses Text.
// Push uses Subject as its title, Text as its body, and Data.
type Skeleton struct {
	Channel  audience.Channel
	Language string
	Sender   Sender
	Topic    string

	Subject Part
	HTML    Part
	Text    Part
	Headers []Field // List-Unsubscribe, List-Unsubscribe-Post, List-Id
	Data    []Field // push payload

	template   string
	holes      []hole    // what fills each hole
	attributes []string  // that the template uses, by slot
	scripts    []*script // what takes the Liquid library
}

// Part is a text made of literals and holes, in order.
type Part []Segment

// Segment is a literal when Hole is negative, else the number of a hole.
type Segment struct {
	Literal string
	Hole    int
}

// Field is a named part: a mail header, or an entry of a push payload.
type Field struct {
	Name  string
	Value Part
}

// Append appends the part to dst with the values of one row.
func (p Part) Append(dst []byte, s *Sheet, row int) []byte {
	for _, seg := range p {
		if seg.Hole < 0 {
			dst = append(dst, seg.Literal...)
		} else {
			dst = append(dst, s.At(row, seg.Hole)...)
		}
	}
	return dst
}

// Sheet holds what fills the holes for a chunk of recipients: a row for each
// recipient, a column for each hole. Its bytes lie in one buffer that is used
// again, chunk after chunk. It belongs to one goroutine while it is filled and
// may be read by many afterwards.
type Sheet struct {
	columns int
	rows    int
	buf     []byte
	ends    []int // ends[row*columns+column]
	row     row   // the recipient whose row is being filled
}

// Reset empties the sheet and sets its number of columns.
func (s *Sheet) Reset(columns int) {
	s.columns, s.rows, s.buf, s.ends = columns, 0, s.buf[:0], s.ends[:0]
}

// Columns returns the number of holes.
func (s *Sheet) Columns() int { return s.columns }

// Rows returns the number of complete rows.
func (s *Sheet) Rows() int { return s.rows }

// At returns the value of a hole for a row. The bytes are the sheet's own.
func (s *Sheet) At(row, column int) []byte {
	i := row*s.columns + column
	start := 0
	if i > 0 {
		start = s.ends[i-1]
	}
	return s.buf[start:s.ends[i]]
}
