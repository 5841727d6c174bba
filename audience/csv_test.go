package audience

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// readAll gives a line of text for every record and every broken one.
func readAll(t testing.TB, src io.Reader, want int) (lines []string, err error) {
	t.Helper()
	r := newRecordReader(src)
	r.want = want
	last := 0
	for {
		fields, line, err := r.next()
		var broken *recordError
		switch {
		case errors.As(err, &broken):
			lines = append(lines, fmt.Sprintf("%d: column %d %s", broken.line, broken.column, broken.rule))
		case errors.Is(err, io.EOF):
			return lines, nil
		case err != nil:
			return lines, err
		default:
			lines = append(lines, fmt.Sprintf("%d: %q", line, fields))
		}
		if line <= last {
			t.Fatalf("line %d comes after line %d", line, last)
		}
		last = line
	}
}

func TestRecords(t *testing.T) {
	tests := []struct {
		name, in string
		want     []string
	}{
		{"plain", "a,b\nc,d\n", []string{`1: ["a" "b"]`, `2: ["c" "d"]`}},
		{"no line break at the end", "a,b\nc,d", []string{`1: ["a" "b"]`, `2: ["c" "d"]`}},
		{"carriage returns", "a,b\r\nc,d\r\n", []string{`1: ["a" "b"]`, `2: ["c" "d"]`}},
		{"a carriage return at the end", "a,b\r", []string{`1: ["a" "b"]`}},
		{"empty lines", "\n\r\na,b\n\n\r\nc,d\n\n", []string{`3: ["a" "b"]`, `6: ["c" "d"]`}},
		{"empty fields", ",\n\"\",\n", []string{`1: ["" ""]`, `2: ["" ""]`}},
		{"quotes", "\"a\",\"b,\"\"c\"\"\"\r\nd,\"\"\"\"\n", []string{`1: ["a" "b,\"c\""]`, `2: ["d" "\""]`}},
		{"a line break in quotes", "a,\"b\r\nc\nd\"\ne,f\n", []string{`1: ["a" "b\nc\nd"]`, `4: ["e" "f"]`}},
		{"a quote in the middle", "a,5\" rör\nc,d\n", []string{"1: column 1 " + string(ErrBareQuote), `2: ["c" "d"]`}},
		{"text behind a quote", "\"a\"b,c\nd,e\n", []string{"1: column 0 " + string(ErrAfterQuote), `2: ["d" "e"]`}},
		{"a carriage return behind a quote", "\"a\"\rb,c\nd,e\n", []string{"1: column 0 " + string(ErrAfterQuote), `2: ["d" "e"]`}},
		{"a quote that stays open", "a,\"b\nc,d\ne,f\n", []string{"1: column 1 " + string(ErrOpenQuote), `2: ["c" "d"]`, `3: ["e" "f"]`}},
		{"a quote that a later row closes", "a,\"b\nc,d\ne,\"f\"\n", []string{"1: column 1 " + string(ErrAfterQuote), `2: ["c" "d"]`, `3: ["e" "f"]`}},
		{"a quote that swallows a separator", "a,\"b,c\nd,e\nf,\"\ng,h\n", []string{`1: ["a" "b,c\nd,e\nf,"]`, `4: ["g" "h"]`}},
		{"too few and too many fields", "a\nb,c\nd,e,f\n", []string{
			"1: column -1 the row has 1 fields, the header has 2", `2: ["b" "c"]`, "3: column -1 the row has 3 fields, the header has 2"}},
		{"broken UTF-8", "a,b\xff\nc,d\n", []string{"1: column 1 " + string(ErrNotUTF8), `2: ["c" "d"]`}},
		{"a character cut by a separator", "a\xc3,\xa5\n", []string{"1: column 0 " + string(ErrNotUTF8)}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := readAll(t, strings.NewReader(test.in), 2)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestRecordLimits(t *testing.T) {
	most, long := strings.Repeat("a", maxField), strings.Repeat("a", maxField+1)
	megabyte := strings.Repeat("a", 1<<20)
	quoted := func(s string) string { return `"` + s + `"` }
	lines := func(n int) string { return strings.Repeat("x\n", n) }
	tests := []struct {
		name, field string
		rule        Rule
	}{
		{"the longest field", most, ""},
		{"the longest field in quotes", quoted(most), ""},
		{"a field that is one too long", long, ErrFieldLong},
		{"a quoted field that is one too long", quoted(long), ErrFieldLong},
		{"a quote too many in the longest field", quoted(most + `""`), ErrFieldLong},
		{"a megabyte", megabyte, ErrFieldLong},
		{"a megabyte in quotes", quoted(megabyte), ErrFieldLong},
		{"an open megabyte", `"` + megabyte, ErrFieldLong},
		{"the most lines", quoted(lines(99)), ""},
		{"a line too many", quoted(lines(100)), ErrOpenQuote},
		{"the longest row", strings.Repeat(most+",", 15) + most[:maxField-15], ""},
		{"a row that is too long", strings.Repeat(most+",", 16), ErrRowLong},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := newRecordReader(strings.NewReader(test.field + "\nlast\n"))
			_, _, err := r.next()
			var broken *recordError
			if errors.As(err, &broken); (broken == nil) != (test.rule == "") || broken != nil && broken.rule != test.rule {
				t.Fatalf("error %v, want %q", err, test.rule)
			}
			if cap(r.buf) > 4*maxRow {
				t.Errorf("the reader holds %d bytes", cap(r.buf))
			}
			var fields []string
			for err == nil || errors.As(err, &broken) {
				fields = slices.Clone(r.fields)
				_, _, err = r.next()
			}
			if !errors.Is(err, io.EOF) || len(fields) != 1 || fields[0] != "last" {
				t.Errorf("then reads %q, %v, want the last row", fields, err)
			}
		})
	}
}

// A field is not held whole when it is too long, however it is written.
func TestLongFieldsAreNotHeld(t *testing.T) {
	for _, open := range []string{"", `"`} {
		much := io.LimitReader(endless('a'), 1<<28)
		r := newRecordReader(io.MultiReader(strings.NewReader(open), much, strings.NewReader("\nlast\n")))
		var broken *recordError
		if _, _, err := r.next(); !errors.As(err, &broken) || broken.rule != ErrFieldLong {
			t.Errorf("error %v", err)
		}
		if fields, line, err := r.next(); err != nil || line != 2 || fields[0] != "last" {
			t.Errorf("then reads %q in line %d, %v", fields, line, err)
		}
		if held := cap(r.buf) + cap(r.text); held > 8*maxField {
			t.Errorf("the reader holds %d bytes", held)
		}
	}
}

type endless byte

func (e endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(e)
	}
	return len(p), nil
}

// A source that fails in the middle of a record is not taken for the end.
func TestFailingSource(t *testing.T) {
	failure := errors.New("the disk is gone")
	for _, in := range []string{"a,b\nc", "a,b\nc,d", "a,b\n\"c", "a,b\n\"c\"", "a,b\n"} {
		lines, err := readAll(t, io.MultiReader(strings.NewReader(in), iotest.ErrReader(failure)), 2)
		if !errors.Is(err, failure) || len(lines) != 1 {
			t.Errorf("%q reads as %q, %v", in, lines, err)
		}
	}
	if _, err := readAll(t, idle{}, 2); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("a source that gives nothing: %v", err)
	}
}

type idle struct{}

func (idle) Read([]byte) (int, error) { return 0, nil }

// FuzzRecords holds the reader to three things: how a file arrives changes
// nothing; what encoding/csv reads without complaint is read alike; and every
// line is a record, or broken, or part of one of those.
func FuzzRecords(f *testing.F) {
	for _, s := range []string{
		"a,b\nc,d\n", "a,\"b\nc,d\ne,\"f\"\n", "a,\"b\"\"\r\n\"\r\n", "\",\"\n\",\"\n\"", "a\r\r\nb\r", "\"\"\"\n\"\"",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		for want := range 3 {
			whole, err := readAll(t, bytes.NewReader(in), want)
			if err != nil {
				t.Fatal(err)
			}
			for name, src := range map[string]io.Reader{
				"bytes": iotest.OneByteReader(bytes.NewReader(in)), "data with an error": iotest.DataErrReader(bytes.NewReader(in)),
			} {
				if got, err := readAll(t, src, want); err != nil || !slices.Equal(got, whole) {
					t.Fatalf("%q in %s reads as %q, %v, else as %q", in, name, got, err, whole)
				}
			}
			if oracle, ok := standardRecords(in, want); ok && !slices.Equal(oracle, whole) {
				t.Fatalf("%q reads as %q, encoding/csv reads %q", in, whole, oracle)
			}
		}
	})
}

// standardRecords reads with encoding/csv, if that has no complaint and neither
// this reader's limits nor broken UTF-8 stand in the way.
func standardRecords(in []byte, want int) (lines []string, ok bool) {
	if !utf8.Valid(in) || len(in) > maxField || bytes.Count(in, []byte("\n")) >= maxRowLines {
		return nil, false
	}
	r := csv.NewReader(bytes.NewReader(in))
	r.FieldsPerRecord = want
	if want == 0 {
		r.FieldsPerRecord = -1
	}
	for {
		fields, err := r.Read()
		if err == io.EOF {
			return lines, true
		}
		if err != nil {
			return nil, false
		}
		line, _ := r.FieldPos(0)
		lines = append(lines, fmt.Sprintf("%d: %q", line, fields))
	}
}
