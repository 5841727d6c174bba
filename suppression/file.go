package suppression

import (
	"bufio"
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"utskick/audience"
)

// fileColumns are the columns of a file, in the order in which it is written.
// Only kind and address must be there.
var fileColumns = []string{"kind", "address", "channel", "topic", "purpose", "sender", "cause", "evidence", "expires_at"}

// FileOptions says who is told about a file.
type FileOptions struct {
	// Problems is told everything that is wrong, in the order of lines, once
	// the lines before are recorded. Its error ends the import. It may be nil.
	Problems func(audience.Problem) error
	// Progress is told after every transaction. It may be nil.
	Progress func(FileReport)
}

// FileReport counts the lines of a file: Lines = Recorded + Rejected.
type FileReport struct {
	Lines    int `json:"lines"`
	Recorded int `json:"recorded"`
	Rejected int `json:"rejected"` // lines of which nothing was recorded
	Warnings int `json:"warnings"` // problems of lines that were recorded
}

// ImportFile records the wishes of a CSV file, at most [ImportSize] in one
// transaction. When it returns without an error, every line that is counted as
// recorded is acknowledged as by [Register.Record]. Importing a file again is
// harmless.
//
// The file is UTF-8, its first line names the columns, in any order, separated
// by commas, semicolons or tabs: kind and address, and if need be channel,
// topic, purpose, sender, cause, evidence and expires_at; see [Fields]. A line
// is a record: no field may have a line break, so that a stray quote costs one
// line and not the rest of the file. A line that cannot be read is listed and
// left out, the others count.
//
// A file that cannot be read at all is an [*audience.FileError], and nothing of
// it has been recorded.
func ImportFile(ctx context.Context, r io.Reader, register *Register, keyer *audience.Keyer, region string, o FileOptions) (FileReport, error) {
	lines := &lineReader{src: bufio.NewReaderSize(r, maxLine)}
	im := &fileImport{lines: lines, register: register, reader: Reader{Keyer: keyer, Region: region, Source: "import"}, o: o}
	if err := im.header(); err != nil {
		return im.report, err
	}
	for {
		err := im.line()
		atEnd := errors.Is(err, io.EOF)
		if err != nil && !atEnd {
			return im.report, im.stopped(err)
		}
		if !atEnd && im.counts.Lines < ImportSize {
			continue
		}
		if err := im.record(ctx); err != nil {
			return im.report, im.stopped(err)
		}
		if atEnd {
			return im.report, nil
		}
	}
}

type fileImport struct {
	lines    *lineReader
	columns  []string
	comma    rune
	register *Register
	reader   Reader
	o        FileOptions

	// What has been read since the last transaction.
	wishes   []Wish
	problems []audience.Problem
	counts   FileReport
	report   FileReport
}

func (im *fileImport) stopped(err error) error {
	return fmt.Errorf("the import stopped after %d lines were recorded, import the whole file again: %w", im.report.Recorded, err)
}

// header reads the names of the columns and finds their separator.
func (im *fileImport) header() error {
	const remedy = "begin the file with a line that names the columns: kind,address,channel,topic,purpose,sender,cause,evidence"
	refuse := func(problem string) error {
		return &audience.FileError{Line: 1, Problem: problem, Remedy: remedy}
	}
	line, err := im.lines.next()
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, errLongLine) {
		return fmt.Errorf("reading the header: %w", err)
	}
	line = bytes.TrimPrefix(line, []byte("\xef\xbb\xbf"))
	if err != nil || len(bytes.TrimSpace(line)) == 0 || !utf8.Valid(line) || bytes.IndexByte(line, 0) >= 0 {
		return refuse("there is no header in UTF-8")
	}
	im.comma = ','
	for _, c := range ";\t" {
		if bytes.Count(line, []byte(string(c))) > bytes.Count(line, []byte(string(im.comma))) {
			im.comma = c
		}
	}
	names, rule := im.split(line)
	if rule != "" {
		return refuse("the header " + rule)
	}
	for i, name := range names {
		name = strings.ToLower(strings.TrimSpace(name))
		switch {
		case !slices.Contains(fileColumns, name):
			// It may be an address instead of a header: nothing of it is repeated.
			return refuse(fmt.Sprintf("column %d is not one of %s", i+1, strings.Join(fileColumns, ", ")))
		case slices.Contains(im.columns, name):
			return refuse(fmt.Sprintf("the column %s is there twice", name))
		}
		im.columns = append(im.columns, name)
	}
	if !slices.Contains(im.columns, "kind") || !slices.Contains(im.columns, "address") {
		return refuse("the columns kind and address must be there")
	}
	return nil
}

// line reads the next line that is not empty.
func (im *fileImport) line() error {
	text, err := im.lines.next()
	switch {
	case errors.Is(err, errLongLine):
		im.reject("", err.Error())
		return nil
	case err != nil:
		return err
	case len(bytes.TrimSpace(text)) == 0:
		return nil
	}
	cells, rule := im.split(text)
	if rule == "" && len(cells) != len(im.columns) {
		rule = fmt.Sprintf("has %d fields, the header has %d", len(cells), len(im.columns))
	}
	if rule != "" {
		im.reject("", rule)
		return nil
	}
	im.take(cells)
	return nil
}

// split cuts a line into its fields, or returns the rule that it breaks.
func (im *fileImport) split(line []byte) (cells []string, rule string) {
	if !utf8.Valid(line) {
		return nil, string(audience.ErrNotUTF8)
	}
	r := csv.NewReader(bytes.NewReader(line))
	r.Comma, r.FieldsPerRecord = im.comma, -1
	cells, err := r.Read()
	if err != nil {
		return nil, "has a stray quote, or a line break inside quotes"
	}
	return cells, ""
}

func (im *fileImport) take(cells []string) {
	var f Fields
	for i, name := range im.columns {
		*f.column(name) = cells[i]
	}
	wish, problems := im.reader.Wish(f)
	im.counts.Lines++
	rejected := slices.ContainsFunc(problems, func(p audience.Problem) bool { return p.Rejected })
	for _, p := range problems {
		p.Line, p.Rejected = im.lines.n, rejected
		im.problems = append(im.problems, p)
	}
	if rejected {
		im.counts.Rejected++
		return
	}
	im.counts.Recorded++
	im.counts.Warnings += len(problems)
	im.wishes = append(im.wishes, wish)
}

func (im *fileImport) reject(field, rule string) {
	im.counts.Lines++
	im.counts.Rejected++
	im.problems = append(im.problems, audience.Problem{Line: im.lines.n, Field: field, Rule: rule, Rejected: true})
}

// record commits what has been read, and only then speaks of it.
func (im *fileImport) record(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if len(im.wishes) > 0 {
		if err := im.register.RecordAll(ctx, im.wishes); err != nil {
			return err
		}
	}
	im.report.add(im.counts)
	for _, p := range im.problems {
		if im.o.Problems == nil {
			break
		}
		if err := im.o.Problems(p); err != nil {
			return fmt.Errorf("listing what is wrong with line %d: %w", p.Line, err)
		}
	}
	im.wishes, im.problems, im.counts = im.wishes[:0], im.problems[:0], FileReport{}
	if im.o.Progress != nil {
		im.o.Progress(im.report)
	}
	return nil
}

func (r *FileReport) add(b FileReport) {
	r.Lines += b.Lines
	r.Recorded += b.Recorded
	r.Rejected += b.Rejected
	r.Warnings += b.Warnings
}

// column returns where the field of a column lies.
func (f *Fields) column(name string) *string {
	all := []*string{&f.Kind, &f.Address, &f.Channel, &f.Topic, &f.Purpose, &f.Sender, &f.Cause, &f.Evidence, &f.ExpiresAt}
	return all[slices.Index(fileColumns, name)]
}

const maxLine = 64 << 10

var errLongLine = fmt.Errorf("is longer than %d KiB", maxLine>>10)

// lineReader reads lines without ever holding more than maxLine bytes.
type lineReader struct {
	src *bufio.Reader
	n   int // number of the line that was read last
}

// next returns the next line without its line break; it is good until the next
// call. A line that is too long is passed over as a whole.
func (l *lineReader) next() ([]byte, error) {
	line, err := l.src.ReadSlice('\n')
	l.n++
	if errors.Is(err, bufio.ErrBufferFull) {
		for errors.Is(err, bufio.ErrBufferFull) {
			_, err = l.src.ReadSlice('\n')
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		return nil, errLongLine
	}
	if err != nil && (!errors.Is(err, io.EOF) || len(line) == 0) {
		return nil, err
	}
	return bytes.TrimRight(line, "\r\n"), nil
}

// Entries is where entries are read from.
type Entries interface {
	// EachEntry calls f for every entry, in the order of their versions.
	EachEntry(ctx context.Context, f func(Entry) error) error
}

// WriteEntries writes the entries that block at now as a file that [ImportFile]
// reads, and returns how many they are. The addresses are keys: they bind
// wherever the same pepper is used, and say nothing elsewhere.
func WriteEntries(ctx context.Context, w io.Writer, from Entries, now time.Time) (n int, err error) {
	out := csv.NewWriter(w)
	if err := out.Write(fileColumns); err != nil {
		return 0, fmt.Errorf("write the header: %w", err)
	}
	err = from.EachEntry(ctx, func(e Entry) error {
		if !e.Active || (!e.ExpiresAt.IsZero() && !e.ExpiresAt.After(now)) {
			return nil
		}
		expires := ""
		if !e.ExpiresAt.IsZero() {
			expires = e.ExpiresAt.UTC().Format(time.RFC3339Nano)
		}
		n++
		return out.Write([]string{string(KindKey), e.Key.String(), e.Channel, e.Topic, e.Purpose, e.Sender, string(e.Cause),
			strings.Join(strings.Fields(e.Evidence), " "), expires})
	})
	out.Flush()
	if err = errors.Join(err, out.Error()); err != nil {
		return n, fmt.Errorf("write the entries: %w", err)
	}
	return n, nil
}
