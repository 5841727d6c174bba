package audience

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// FileError says why a file cannot be imported at all, and what to do about
// it. Nothing of the file has been saved.
type FileError struct {
	Line    int // from 1
	Column  int // from 1; 0 for the whole line
	Problem string
	Remedy  string
}

func (e *FileError) Error() string {
	place := fmt.Sprintf("line %d", e.Line)
	if e.Column > 0 {
		place += fmt.Sprintf(", column %d", e.Column)
	}
	return fmt.Sprintf("%s: %s; %s", place, e.Problem, e.Remedy)
}

const (
	maxColumns     = 500
	consentPrefix  = "consent."
	relationPrefix = "relation."
	idColumn       = "external_id"
	saveAsCSV      = "save it as CSV UTF-8 and import that"
)

var attributeName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,62}$`)

// openings are how files begin that are often taken for CSV.
var openings = []struct{ bytes, what string }{
	{"PK\x03\x04", "the file is a spreadsheet or a zip archive"},
	{"\x1f\x8b", "the file is compressed"},
	{"\xff\xfe", "the file is UTF-16 text"},
	{"\xfe\xff", "the file is UTF-16 text"},
	{"%PDF", "the file is a PDF"},
}

const byteOrderMark = "\xef\xbb\xbf"

// readHeader reads the first line: it finds the separator, and how the cells of
// each column are read.
func readHeader(r *recordReader, cells *cellReader, purposes []string) ([]column, error) {
	if err := prepare(r); err != nil {
		return nil, err
	}
	names, line, err := r.next()
	var broken *recordError
	switch {
	case errors.As(err, &broken):
		return nil, &FileError{broken.line, broken.column + 1, "the header " + string(broken.rule), "write the column names separated by commas or semicolons"}
	case err != nil:
		return nil, fmt.Errorf("reading the header: %w", err)
	}
	names = slices.Clone(names)
	for i := range names {
		names[i] = strings.TrimSpace(names[i])
	}
	if err := checkNames(names, line); err != nil {
		return nil, err
	}
	columns := make([]column, len(names))
	for i, name := range names {
		c, problem := cells.column(name, purposes)
		if problem != "" {
			return nil, &FileError{line, i + 1, fmt.Sprintf("%q %s", shorten(name), problem), "rename or remove the column"}
		}
		columns[i] = c
	}
	r.want = len(columns)
	return columns, nil
}

// checkNames looks at the header as a whole. Without the column external_id the
// line may be a contact instead of a header, so nothing of it is repeated.
func checkNames(names []string, line int) error {
	if !slices.Contains(names, idColumn) {
		return &FileError{line, 0, "there is no column " + idColumn, "begin the file with a line that names the columns, " + idColumn + " among them, separated by commas or semicolons"}
	}
	if len(names) > maxColumns {
		return &FileError{line, 0, fmt.Sprintf("there are %d columns, at most %d are read", len(names), maxColumns), "remove columns that no template uses"}
	}
	for i, name := range names {
		if slices.Contains(names[:i], name) {
			return &FileError{line, i + 1, fmt.Sprintf("the column %q is there twice", shorten(name)), "remove or rename one of the two"}
		}
	}
	return nil
}

// prepare looks at how the file begins, skips the byte order mark and sets the
// separator.
func prepare(r *recordReader) error {
	first := r.peekLine()
	switch {
	case r.failed() && len(first) == len(r.held()):
		return fmt.Errorf("reading the header: %w", r.err)
	case len(bytes.TrimSpace(first)) == 0:
		return &FileError{1, 0, "there is no header", "begin the file with a line that names the columns"}
	}
	for _, o := range openings {
		if bytes.HasPrefix(first, []byte(o.bytes)) {
			return &FileError{1, 0, o.what, saveAsCSV}
		}
	}
	switch {
	case bytes.IndexByte(first, 0) >= 0:
		return &FileError{1, 0, "the file is not text", saveAsCSV}
	case len(first) > maxField:
		return &FileError{1, 0, "the first line is longer than 64 KiB", saveAsCSV}
	case !utf8.Valid(first):
		return &FileError{1, 0, "the header is not UTF-8", saveAsCSV}
	}
	if bytes.HasPrefix(first, []byte(byteOrderMark)) {
		r.skip(len(byteOrderMark))
	}
	r.comma = separator(first)
	return nil
}

// separator returns the one of comma, semicolon and tab that a header has most
// of. Spreadsheets write semicolons where the comma is the decimal sign.
func separator(header []byte) byte {
	best, most := byte(','), bytes.Count(header, []byte(","))
	for _, c := range []byte(";\t") {
		if n := bytes.Count(header, []byte{c}); n > most {
			best, most = c, n
		}
	}
	return best
}

// shorten keeps an error message readable whatever the header has in it.
func shorten(name string) string {
	const most = 80
	if len(name) <= most {
		return name
	}
	return strings.ToValidUTF8(name[:most], "") + "…"
}
