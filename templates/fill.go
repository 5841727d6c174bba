package templates

import (
	"fmt"
	"unicode/utf16"
	"unsafe"

	"github.com/tidwall/gjson"

	"utskick/audience"
)

// row is what is known of one recipient while her row is filled. It lives in
// the sheet, so that filling allocates nothing.
type row struct {
	group   int64
	key     audience.Key
	person  audience.Key // zero unless tracked
	tracked bool
	values  []string // by slot: first name, last name, locale, then attributes
	runs    []run    // what Liquid has rendered, part by part
	scratch []byte
}

// The slots that every row has.
const (
	firstNameSlot = iota
	lastNameSlot
	localeSlot
	firstAttributeSlot
)

// hole is one column.
type hole struct {
	part string // where it stands first
	line int
	fill filler
}

// Columns returns the number of holes.
func (s *Skeleton) Columns() int { return len(s.holes) }

// Fill appends one row for the recipient to the sheet, which must have been
// reset to the skeleton's columns. If the message cannot be made, nothing is
// appended, and the error is a [*RenderError].
func (s *Skeleton) Fill(sheet *Sheet, group int64, r Recipient) error {
	if sheet.columns != len(s.holes) {
		return s.failed("", 0, fmt.Sprintf("the sheet has %d columns, the message has %d", sheet.columns, len(s.holes)))
	}
	row := &sheet.row
	row.group, row.key, row.tracked, row.person = group, r.Key, r.Tracked, audience.Key{}
	if r.Tracked {
		row.person = r.Key
	}
	if err := s.read(row, &r); err != nil {
		return err
	}
	if err := s.render(row); err != nil {
		return err
	}
	start, ends := len(sheet.buf), len(sheet.ends)
	for i := range s.holes {
		sheet.buf = s.holes[i].fill(sheet.buf, row)
		sheet.ends = append(sheet.ends, len(sheet.buf))
	}
	sheet.rows++
	if err := s.tooLong(sheet); err != nil {
		sheet.buf, sheet.ends, sheet.rows = sheet.buf[:start], sheet.ends[:ends], sheet.rows-1
		return err
	}
	return nil
}

// read puts what the template uses of the recipient into the slots.
func (s *Skeleton) read(row *row, r *Recipient) error {
	row.values = append(row.values[:0], r.FirstName, r.LastName, r.Locale)
	for range s.attributes {
		row.values = append(row.values, "")
	}
	if len(s.attributes) > 0 {
		readAttributes(row.values[firstAttributeSlot:], s.attributes, r.Attributes)
	}
	for i, value := range row.values {
		if len(value) > maxVariable {
			return s.failed("", 0, fmt.Sprintf("contact.%s has more than %d bytes", s.slotName(i), maxVariable))
		}
	}
	return nil
}

func (s *Skeleton) slotName(slot int) string {
	if slot < firstAttributeSlot {
		return contactFields[slot]
	}
	return s.attributes[slot-firstAttributeSlot]
}

// readAttributes goes through a flat JSON object once. Of a name that stands
// there twice, the first counts.
func readAttributes(values []string, names []string, object []byte) {
	missing := len(names)
	gjson.Parse(view(object)).ForEach(func(key, value gjson.Result) bool {
		for i, name := range names {
			if key.Str == name && values[i] == "" {
				values[i] = value.String()
				missing--
				break
			}
		}
		return missing > 0
	})
}

// view returns bytes as a string without copying them. Whoever holds it must be
// done before the bytes change.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

func (s *Skeleton) failed(part string, line int, rule string) *RenderError {
	return &RenderError{Template: s.template, Language: s.Language, Part: part, Line: line, Rule: rule}
}

// tooLong judges the row that was just added.
func (s *Skeleton) tooLong(sheet *Sheet) error {
	row := sheet.rows - 1
	switch s.Channel {
	case audience.Email:
		if n := rowBytes(sheet, row) + columnName*sheet.columns; n > MaxRow {
			longest := s.longest(sheet, row)
			return s.failed(longest.part, longest.line, fmt.Sprintf(
				"what differs from recipient to recipient takes %d bytes, %d are possible; the longest piece stands here", n, MaxRow))
		}
		if n := s.Subject.length(sheet, row); n > MaxSubject {
			return s.failed(partSubject, 0, fmt.Sprintf("the subject takes %d bytes, %d are possible", n, MaxSubject))
		}
	case audience.SMS:
		if n := s.Text.units(sheet, row); n > MaxSMS {
			return s.failed(partText, 0, fmt.Sprintf("the message has %d characters, %d are possible", n, MaxSMS))
		}
	case audience.Push:
		n := s.Subject.length(sheet, row) + s.Text.length(sheet, row)
		for _, f := range s.Data {
			n += len(f.Name) + f.Value.length(sheet, row)
		}
		if n > MaxPush {
			return s.failed("", 0, fmt.Sprintf("title, text and data take %d bytes, %d are possible", n, MaxPush))
		}
	}
	return nil
}

// longest returns the hole with the longest value of a row.
func (s *Skeleton) longest(sheet *Sheet, row int) hole {
	best := 0
	for i := range s.holes {
		if len(sheet.At(row, i)) > len(sheet.At(row, best)) {
			best = i
		}
	}
	return s.holes[best]
}

func rowBytes(sheet *Sheet, row int) int {
	start, end := row*sheet.columns, (row+1)*sheet.columns
	if start == end {
		return 0
	}
	if start == 0 {
		return sheet.ends[end-1]
	}
	return sheet.ends[end-1] - sheet.ends[start-1]
}

// length returns how many bytes the part has for a row.
func (p Part) length(sheet *Sheet, row int) int {
	n := 0
	for _, seg := range p {
		if seg.Hole < 0 {
			n += len(seg.Literal)
		} else {
			n += len(sheet.At(row, seg.Hole))
		}
	}
	return n
}

// units returns how many UTF-16 units the part has for a row.
func (p Part) units(sheet *Sheet, row int) int {
	n := 0
	for _, seg := range p {
		if seg.Hole < 0 {
			n += utf16Units(seg.Literal)
		} else {
			n += utf16Units(view(sheet.At(row, seg.Hole)))
		}
	}
	return n
}

func utf16Units(s string) int {
	n := 0
	for _, r := range s {
		n += utf16.RuneLen(r)
	}
	return n
}
