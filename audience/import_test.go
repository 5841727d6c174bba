package audience_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"utskick/audience"
)

var update = flag.Bool("update", false, "write the golden files")

// imported reads files one after the other into a store, and tells what came of
// the last: the report, the list of problems and all contacts.
func imported(t *testing.T, store *memory, o audience.ImportOptions, files ...string) string {
	t.Helper()
	var out bytes.Buffer
	for _, file := range files {
		out.Reset()
		data, err := os.ReadFile(filepath.Join("testdata", "import", file))
		if err != nil {
			t.Fatal(err)
		}
		problems := audience.NewProblemWriter(&out)
		o.Problems = problems.Write
		report, err := audience.Import(t.Context(), bytes.NewReader(data), store, o)
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if err := problems.Flush(); err != nil {
			t.Fatal(err)
		}
		checkSum(t, report)
		fmt.Fprintf(&out, "\n%s\n", compact(t, report))
	}
	fmt.Fprintf(&out, "attributes %q\n", store.attributes)
	for _, id := range store.ids() {
		fmt.Fprintf(&out, "\n%s\nconsents %s\n", indented(t, store.contacts[id]), compact(t, store.consents[id]))
	}
	return out.String()
}

func checkSum(t *testing.T, r audience.Report) {
	t.Helper()
	if r.Rows != r.Created+r.Updated+r.Unchanged+r.Merged+r.Rejected {
		t.Errorf("the report does not add up: %+v", r)
	}
}

func compact(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func indented(t *testing.T, c audience.Contact) []byte {
	t.Helper()
	fields := map[string]any{}
	if err := json.Unmarshal(compact(t, c), &fields); err != nil {
		t.Fatal(err)
	}
	for name, value := range fields {
		switch name {
		case "ID", "CreatedAt", "UpdatedAt": // the store's matter
			delete(fields, name)
		}
		if value == nil || value == "" {
			delete(fields, name)
		}
	}
	b, err := json.MarshalIndent(fields, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestImport(t *testing.T) {
	ground := audience.ImportOptions{Basis: audience.SoftOptIn, Evidence: "köp i butik 2025"}
	tests := []struct {
		golden  string
		options audience.ImportOptions
		files   []string
	}{
		{"everything", audience.ImportOptions{}, []string{"everything.csv"}},
		{"everything-twice", audience.ImportOptions{}, []string{"everything.csv", "everything.csv"}},
		{"everything-with-ground", ground, []string{"everything.csv"}},
		{"changes", audience.ImportOptions{}, []string{"everything.csv", "changes.csv"}},
		{"changes-with-ground", ground, []string{"everything.csv", "changes.csv"}},
		{"spreadsheet", audience.ImportOptions{}, []string{"spreadsheet.csv"}},
		{"bad-cells", audience.ImportOptions{}, []string{"bad-cells.csv"}},
		{"broken-rows", audience.ImportOptions{}, []string{"broken-rows.csv"}},
		{"repeated", audience.ImportOptions{}, []string{"repeated.csv"}},
		{"repeated-in-batches", audience.ImportOptions{BatchRows: 1}, []string{"repeated.csv"}},
	}
	for _, test := range tests {
		t.Run(test.golden, func(t *testing.T) {
			test.options.Region, test.options.Purposes = "SE", purposes
			got := imported(t, newMemory(), test.options, test.files...)
			golden := filepath.Join("testdata", "import", test.golden+".golden")
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// One file in batches of any size saves the same.
func TestBatchesChangeNothing(t *testing.T) {
	contacts := func(batchRows int) string {
		store := newMemory()
		imported(t, store, audience.ImportOptions{Region: "SE", Purposes: purposes, BatchRows: batchRows}, "everything.csv", "repeated.csv")
		return string(compact(t, store.contacts)) + string(compact(t, store.consents))
	}
	for _, rows := range []int{1, 2, 3} {
		if diff := cmp.Diff(contacts(0), contacts(rows)); diff != "" {
			t.Errorf("batches of %d (-one batch +many):\n%s", rows, diff)
		}
	}
}

func TestFilesThatAreRefused(t *testing.T) {
	tests := []struct{ name, file, want string }{
		{"empty", "", "line 1: there is no header"},
		{"only an empty line", "\n\n", "line 1: there is no header"},
		{"a spreadsheet", "PK\x03\x04\x14\x00", "line 1: the file is a spreadsheet"},
		{"UTF-16", "\xff\xfee\x00x\x00", "line 1: the file is UTF-16 text; save it as CSV UTF-8"},
		{"compressed", "\x1f\x8b\x08", "line 1: the file is compressed"},
		{"binary", "\x7fELF\x02\x01\x01\x00\x00", "line 1: the file is not text"},
		{"another encoding", "external_id,f\xf6rnamn\n", "line 1: the header is not UTF-8"},
		{"no line break", strings.Repeat("a,", 1<<20), "line 1: the first line is longer than 64 KiB"},
		{"no header", "K1,anna@example.com,0701740605\n", "line 1: there is no column external_id; begin"},
		{"another format", `{"external_id": "K1"}` + "\n", "line 1, column 1: the header has a quote inside"},
		{"a column twice", "external_id,email,city,email\n", `line 1, column 4: the column "email" is there twice`},
		{"external_id twice", "external_id,external_id\n", `line 1, column 2: the column "external_id" is there twice`},
		{"an unknown purpose", "external_id,consent.sms\n", `line 1, column 2: "consent.sms" names no purpose: known are marketing,`},
		{"no name", "external_id,,city\n", `line 1, column 2: "" cannot be the name of an attribute`},
		{"capitals", "external_id,City\n", `line 1, column 2: "City" cannot be the name of an attribute`},
		{"a long name", "external_id," + strings.Repeat("a", 64) + "\n", `line 1, column 2: "aaaa`},
		{"a quote that stays open", "external_id,\"city\nK1,Malmö\n", "line 1, column 2: the header has a quote that is not closed"},
		{"too many columns", "external_id" + strings.Repeat(",a", 500) + "\n", "line 1: there are 501 columns, at most 500"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			store := newMemory()
			_, err := audience.Import(t.Context(), strings.NewReader(test.file), store, audience.ImportOptions{Purposes: purposes})
			var refused *audience.FileError
			if !errors.As(err, &refused) || !strings.HasPrefix(err.Error(), test.want) {
				t.Errorf("error %v, want %s", err, test.want)
			}
			if refused != nil && refused.Remedy == "" {
				t.Error("the error does not say what to do")
			}
			if len(store.batches) > 0 || len(store.attributes) > 0 || strings.Contains(fmt.Sprint(err), "@") {
				t.Errorf("saved %d batches, %v; error %v", len(store.batches), store.attributes, err)
			}
		})
	}
}

func TestOptionsThatAreRefused(t *testing.T) {
	for name, o := range map[string]audience.ImportOptions{
		"batch of 1001": {BatchRows: audience.MaxBatchRows + 1},
		"batch of -1":   {BatchRows: -1},
		"basis":         {Basis: "legitimate_interest"},
		"region":        {Region: "se"},
		"evidence":      {Evidence: "köp\x00"},
	} {
		if _, err := audience.Import(t.Context(), strings.NewReader("external_id\nK1\n"), newMemory(), o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

const fiveRows = "external_id,email\nK1,anna@example.com\nK2,bengt\nK3,cilla@example.com\nK4,david\nK5,eva@example.com\n"

// An import that is stopped says where, and goes on from there to the same end.
func TestStoppedImportGoesOn(t *testing.T) {
	failure := errors.New("the database is gone")
	stop := map[string]func(o *audience.ImportOptions, store *memory) (context.Context, io.Reader){
		"cancelled": func(o *audience.ImportOptions, _ *memory) (context.Context, io.Reader) {
			ctx, cancel := context.WithCancelCause(context.Background())
			o.Progress = func(audience.Progress) { cancel(failure) }
			return ctx, strings.NewReader(fiveRows)
		},
		"store fails": func(_ *audience.ImportOptions, store *memory) (context.Context, io.Reader) {
			store.err, store.failAt = failure, 1
			return context.Background(), strings.NewReader(fiveRows)
		},
		"source fails": func(*audience.ImportOptions, *memory) (context.Context, io.Reader) {
			return context.Background(), io.MultiReader(strings.NewReader(fiveRows[:len(fiveRows)-40]), iotest.ErrReader(failure))
		},
		"report cannot be written": func(o *audience.ImportOptions, store *memory) (context.Context, io.Reader) {
			list := o.Problems
			o.Problems = func(p audience.Problem) error {
				if p.Line > 3 {
					return failure
				}
				return list(p)
			}
			return context.Background(), strings.NewReader(fiveRows)
		},
	}
	for name, prepare := range stop {
		t.Run(name, func(t *testing.T) {
			store, listed := newMemory(), []int(nil)
			o := audience.ImportOptions{BatchRows: 2, Problems: func(p audience.Problem) error {
				listed = append(listed, p.Line)
				return nil
			}}
			first := o
			ctx, src := prepare(&first, store)
			before, err := audience.Import(ctx, src, store, first)
			if err == nil || !strings.Contains(err.Error(), "the rows before line 4 are saved, import again from that line") {
				t.Fatalf("error %v", err)
			}
			if before.NextLine != 4 || before.Rows != 2 || before.Created != 2 || before.Warnings != 1 {
				t.Errorf("stopped with %+v", before)
			}
			checkSum(t, before)

			store.err, o.FromLine = nil, before.NextLine
			after, err := audience.Import(t.Context(), strings.NewReader(fiveRows), store, o)
			if err != nil || after.NextLine != 0 || before.Rows+after.Rows != 5 || before.Warnings+after.Warnings != 2 {
				t.Errorf("went on with %+v, %v", after, err)
			}
			if diff := cmp.Diff([]int{3, 5}, listed); diff != "" {
				t.Errorf("lines listed (-want +got):\n%s", diff)
			}
			if len(store.contacts) != 5 {
				t.Errorf("%d contacts, want 5", len(store.contacts))
			}
		})
	}
}

func TestProgress(t *testing.T) {
	var seen []audience.Progress
	_, err := audience.Import(t.Context(), strings.NewReader(fiveRows), newMemory(), audience.ImportOptions{
		BatchRows: 3, Progress: func(p audience.Progress) { seen = append(seen, p) },
	})
	if err != nil || len(seen) != 2 {
		t.Fatalf("told %d times, %v", len(seen), err)
	}
	if last := seen[1]; last.Bytes != int64(len(fiveRows)) || last.Report.Rows != 5 {
		t.Errorf("at last %+v", last)
	}
	if first := seen[0]; first.Report.Rows != 3 || first.Bytes != int64(strings.Index(fiveRows, "K4")) {
		t.Errorf("at first %+v", first)
	}
}

// With a keyer, rows are saved in the order of their keys, in batches, over many
// batches of the file; a contact that is there twice is saved once.
func TestRowsAreSavedInTheOrderOfKeys(t *testing.T) {
	keyer, err := audience.NewKeyer(bytes.Repeat([]byte("k"), 32))
	if err != nil {
		t.Fatal(err)
	}
	store := newMemory()
	var rows []int
	report, err := audience.Import(t.Context(), bytes.NewReader(file(500, func(int) string { return "" })), store, audience.ImportOptions{
		Purposes: purposes, BatchRows: 10, Keyer: keyer, Progress: func(p audience.Progress) { checkSum(t, p.Report); rows = append(rows, p.Report.Rows) },
	})
	if err != nil || report.Rows != 500 || report.Created != 500 || report.NextLine != 0 || len(store.order) != 500 {
		t.Fatalf("%+v, %v, saved %d", report, err, len(store.order))
	}
	for _, size := range store.batches {
		if size > 10 {
			t.Errorf("a batch of %d", size)
		}
	}
	block := store.order[:200]
	if !slices.IsSortedFunc(block, func(a, b audience.Contact) int {
		x, y := keyer.Key(audience.KindEmail, a.Email), keyer.Key(audience.KindEmail, b.Email)
		return bytes.Compare(x[:], y[:])
	}) {
		t.Error("the first block is not in the order of its keys")
	}
	if !slices.IsSorted(rows) || len(rows) != 50 || rows[0] != 10 {
		t.Errorf("progress %v", rows)
	}
	before := store.order
	store = newMemory()
	store.err, store.failAt = errors.New("the database is gone"), 25
	report, err = audience.Import(t.Context(), bytes.NewReader(file(500, func(int) string { return "" })), store, audience.ImportOptions{Purposes: purposes, BatchRows: 10, Keyer: keyer})
	if err == nil || report.NextLine != 202 || report.Rows != 200 || len(store.order) != 250 {
		t.Errorf("stopped with %+v, %v; saved %d of %d", report, err, len(store.order), len(before))
	}
}

// Rejected rows count for a batch too, so that a file of nothing else can still
// be cancelled, and its problems do not pile up.
func TestBatchesOfRejectedRows(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	report, err := audience.Import(ctx, strings.NewReader("external_id,email\n"+strings.Repeat(",\n", 1000)), newMemory(), audience.ImportOptions{
		BatchRows: 10, Progress: func(audience.Progress) { cancel() },
	})
	if !errors.Is(err, context.Canceled) || report.Rejected != 10 || report.NextLine != 12 {
		t.Errorf("stopped with %+v, %v", report, err)
	}
}

func TestBatchesAreBounded(t *testing.T) {
	store := newMemory()
	if _, err := audience.Import(t.Context(), bytes.NewReader(file(2500, func(int) string { return "" })), store, audience.ImportOptions{Purposes: purposes}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]int{1000, 1000, 500}, store.batches); diff != "" {
		t.Errorf("rows a batch (-want +got):\n%s", diff)
	}
}

// FuzzImport reads anything at all: the report adds up, problems come in the
// order of lines, what is saved is in its normal form, and reading the file
// again changes nothing.
func FuzzImport(f *testing.F) {
	files, err := filepath.Glob("testdata/import/*.csv")
	if err != nil || len(files) == 0 {
		f.Fatal(files, err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, 3)
	}
	f.Fuzz(func(t *testing.T, data []byte, batchRows int) {
		store, last := newMemory(), 0
		o := audience.ImportOptions{Region: "SE", Purposes: purposes, BatchRows: batchRows, Problems: func(p audience.Problem) error {
			if p.Line < last || p.Rule == "" {
				t.Errorf("problem %+v after line %d", p, last)
			}
			last = p.Line
			return nil
		}}
		report, err := audience.Import(t.Context(), bytes.NewReader(data), store, o)
		if err != nil {
			return
		}
		checkSum(t, report)
		for id, c := range store.contacts {
			checkSaved(t, id, c)
		}
		if report.Merged > 0 || report.Created != report.Rows-report.Rejected {
			return // of two rows the first is undone before the second does its part again
		}
		last = 0
		again, err := audience.Import(t.Context(), bytes.NewReader(data), store, o)
		if err != nil || again.Unchanged != report.Created || again.Rejected != report.Rejected {
			t.Errorf("the second time %+v, %v; the first time %+v", again, err, report)
		}
	})
}

func checkSaved(t *testing.T, id string, c audience.Contact) {
	t.Helper()
	check := func(kind audience.Kind, s string) {
		if normal, err := audience.Normalize(kind, s, ""); s != "" && (normal != s || err != nil) {
			t.Errorf("contact %q has the %s %q; its normal form is %q, %v", id, kind, s, normal, err)
		}
	}
	check(audience.KindContact, id)
	check(audience.KindEmail, c.Email)
	check(audience.KindPhone, c.Phone)
	for _, d := range c.Devices {
		check(audience.KindPush, d.Token)
	}
	if !c.Basis.Valid() || strings.ContainsAny(c.FirstName+c.LastName, "\r\n\x00") {
		t.Errorf("contact %q: %+v", id, c)
	}
}
