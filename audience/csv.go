package audience

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"unicode/utf8"
)

// Rules that a row breaks by its structure.
const (
	ErrFieldLong  Rule = "is longer than 64 KiB"
	ErrRowLong    Rule = "the row is longer than 1 MiB"
	ErrBareQuote  Rule = `has a quote inside an unquoted field; write the field in quotes and the quote twice`
	ErrAfterQuote Rule = `has text behind its closing quote; write quotes inside a field twice`
	ErrOpenQuote  Rule = "has a quote that is not closed within 100 lines"
)

const (
	maxField    = 64 << 10
	maxRow      = 1 << 20
	maxRowLines = 100
	readSize    = 64 << 10
)

// recordReader reads the records of RFC 4180 from a stream, and goes on after a
// broken one: at the line that follows the first line of the broken record. An
// open quote therefore costs one line, where encoding/csv would read the rest
// of the file as one field. The price is that what was meant as the further
// lines of a broken record is read as records, too, and mostly found broken.
//
// It holds one record of at most about [maxRow] bytes, and of a field that is
// too long never more than a read beyond [maxField]. The bound on lines keeps a
// file of nothing but quotes from being read over and over.
type recordReader struct {
	src   io.Reader
	comma byte
	want  int // fields a record shall have; 0 for any number

	buf    []byte
	pos    int   // start in buf of the record that is being read
	err    error // why src gave no more
	line   int   // number of the line at pos
	offset int64 // of pos in src

	text   []byte // the fields of the record, unquoted, one after the other
	ends   []int  // where each ends in text
	breaks int    // line breaks inside the record's quotes
	fields []string
}

// recordError is about one record. The reader stands at the next line already.
type recordError struct {
	line   int
	column int // from 0; negative for the whole row
	rule   Rule
}

func (e *recordError) Error() string { return fmt.Sprintf("line %d: %s", e.line, e.rule) }

func newRecordReader(src io.Reader) *recordReader {
	return &recordReader{src: src, comma: ',', line: 1}
}

// next returns the fields of the next record that is not an empty line, and
// the number of its first line. The fields may be kept, the slice is used
// again. The error is a *recordError, io.EOF or that of the source.
func (r *recordReader) next() (fields []string, line int, err error) {
	r.skipEmptyLines()
	if _, ok := r.at(0); !ok {
		return nil, r.line, r.err
	}
	line = r.line
	end, column, rule := r.record()
	if end >= len(r.held()) && r.failed() {
		return nil, line, r.err // cut off by the source, not broken
	}
	if rule == "" {
		column, rule = r.check()
	}
	if rule != "" {
		r.skipLine()
		return nil, line, &recordError{line, column, rule}
	}
	r.split()
	r.advance(end)
	r.line += r.breaks
	return r.fields, line, nil
}

// record reads one record from pos into text and ends. It returns the offset
// of the line break behind it, or a rule and the column that breaks it.
func (r *recordReader) record() (end, column int, broken Rule) {
	r.text, r.ends, r.breaks = r.text[:0], r.ends[:0], 0
	for i := 0; ; i = end + 1 {
		end, broken = r.field(i)
		switch {
		case broken != "":
			return end, len(r.ends), broken
		case end > maxRow:
			return end, -1, ErrRowLong
		}
		r.ends = append(r.ends, len(r.text))
		if c, ok := r.at(end); !ok || c != r.comma {
			return end, 0, ""
		}
	}
}

// field reads the field at offset i and returns the offset of the separator or
// line break that ends it.
func (r *recordReader) field(i int) (end int, broken Rule) {
	if c, _ := r.at(i); c == '"' {
		return r.quoted(i + 1)
	}
	return r.bare(i)
}

func (r *recordReader) bare(start int) (end int, broken Rule) {
	for end = start; ; {
		held := r.held()
		for ; end < len(held); end++ {
			switch held[end] {
			case r.comma, '\n':
				return r.bareEnd(start, end)
			case '"':
				return end, ErrBareQuote
			}
		}
		if end-start > maxField {
			return end, ErrFieldLong
		}
		if !r.fill() {
			return r.bareEnd(start, end)
		}
	}
}

func (r *recordReader) bareEnd(start, end int) (int, Rule) {
	c, ok := r.at(end)
	field := r.held()[start:end]
	if !ok || c == '\n' {
		field = bytes.TrimSuffix(field, []byte("\r"))
	}
	if len(field) > maxField {
		return end, ErrFieldLong
	}
	r.text = append(r.text, field...)
	return end, ""
}

// quoted reads the rest of a field whose opening quote is at offset i-1.
func (r *recordReader) quoted(i int) (end int, broken Rule) {
	start := len(r.text)
	for {
		part, closed := r.untilQuote(i, maxField+1-(len(r.text)-start))
		r.text = append(r.text, part...)
		r.breaks += bytes.Count(part, []byte("\n"))
		i += len(part)
		switch {
		case r.breaks >= maxRowLines:
			return i, ErrOpenQuote
		case len(r.text)-start > maxField:
			return i, ErrFieldLong
		case !closed && !r.fill():
			return i, ErrOpenQuote
		case !closed:
			continue
		}
		i++
		if c, _ := r.at(i); c != '"' {
			return r.quotedEnd(start, i)
		}
		r.text = append(r.text, '"')
		i++
	}
}

// untilQuote returns what is held from offset i on, up to a quote or to most
// bytes, and whether it ends at a quote.
func (r *recordReader) untilQuote(i, most int) (part []byte, closed bool) {
	part = r.held()[i:]
	if n := bytes.IndexByte(part, '"'); n >= 0 {
		part, closed = part[:n], true
	}
	if len(part) > most {
		part, closed = part[:most], false
	}
	return part, closed
}

// quotedEnd looks at what is behind a closing quote. Line breaks inside the
// field become a plain line feed, however the file writes them.
func (r *recordReader) quotedEnd(start, i int) (end int, broken Rule) {
	field := r.text[start:]
	r.text = append(r.text[:start], bytes.ReplaceAll(field, []byte("\r\n"), []byte("\n"))...)
	c, ok := r.at(i)
	if ok && c == '\r' {
		i++
		if c, ok = r.at(i); ok && c != '\n' {
			return i, ErrAfterQuote
		}
	}
	if ok && c != r.comma && c != '\n' {
		return i, ErrAfterQuote
	}
	return i, ""
}

// check returns the rule that a complete record breaks, and in which column.
func (r *recordReader) check() (column int, broken Rule) {
	if r.want > 0 && len(r.ends) != r.want {
		return -1, Rule(fmt.Sprintf("the row has %d fields, the header has %d", len(r.ends), r.want))
	}
	start := 0
	for i, end := range r.ends {
		if !utf8.Valid(r.text[start:end]) {
			return i, ErrNotUTF8
		}
		start = end
	}
	return 0, ""
}

// split cuts text into fields, which share one string.
func (r *recordReader) split() {
	text, start := string(r.text), 0
	r.fields = r.fields[:0]
	for _, end := range r.ends {
		r.fields = append(r.fields, text[start:end])
		start = end
	}
}

// peekLine returns the first line of the input, or a little more than
// [maxField] bytes of it.
func (r *recordReader) peekLine() []byte {
	for {
		held := r.held()
		if n := bytes.IndexByte(held, '\n'); n >= 0 {
			return held[:n]
		}
		if len(held) > maxField || !r.fill() {
			return held
		}
	}
}

// skip passes over n bytes that are held.
func (r *recordReader) skip(n int) {
	r.pos += n
	r.offset += int64(n)
}

// skipLine drops the rest of the line at pos, however long it is.
func (r *recordReader) skipLine() {
	for {
		if n := bytes.IndexByte(r.held(), '\n'); n >= 0 {
			r.advance(n)
			return
		}
		r.skip(len(r.held()))
		if !r.fill() {
			return
		}
	}
}

func (r *recordReader) skipEmptyLines() {
	for {
		c, _ := r.at(0)
		switch next, more := r.at(1); {
		case c == '\n':
			r.advance(0)
		case c == '\r' && (next == '\n' || !more):
			r.advance(1)
		default:
			return
		}
	}
}

// advance moves pos behind the line break at offset end.
func (r *recordReader) advance(end int) {
	if end < len(r.held()) {
		end++
		r.line++
	}
	r.skip(end)
}

// failed reports whether the source gave up before its end.
func (r *recordReader) failed() bool { return r.err != nil && !errors.Is(r.err, io.EOF) }

// held is the input that has been read, from the start of the record on.
func (r *recordReader) held() []byte { return r.buf[r.pos:] }

// at returns the byte at offset i of the record, reading on if need be.
func (r *recordReader) at(i int) (c byte, ok bool) {
	for i >= len(r.buf)-r.pos {
		if !r.fill() {
			return 0, false
		}
	}
	return r.buf[r.pos+i], true
}

// fill reads on, and reports whether anything came. Offsets from pos stay.
func (r *recordReader) fill() bool {
	if r.err != nil {
		return false
	}
	n := copy(r.buf, r.held())
	r.buf, r.pos = slices.Grow(r.buf[:n], readSize), 0
	for range 100 { // as many as bufio allows readers that give nothing
		read, err := r.src.Read(r.buf[n : n+readSize])
		r.buf, r.err = r.buf[:n+read], err
		if read > 0 || err != nil {
			return read > 0
		}
	}
	r.err = io.ErrNoProgress
	return false
}
