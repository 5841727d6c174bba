package audience

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// Store saves what is imported.
type Store interface {
	// RegisterAttributes makes the names known as attributes. It is called
	// once, before any row is saved, also with names that are known already.
	RegisterAttributes(ctx context.Context, names []string) error
	// SaveContacts saves rows, at most [MaxBatchRows], no two of which have the
	// same external id, in one transaction, and their consents with them. What
	// a row does to its contact is said by [Row.Apply].
	SaveContacts(ctx context.Context, rows []Row) (Saved, error)
}

// Saved counts what became of the rows of a batch. A row is Unchanged when
// neither the contact nor a consent differs.
type Saved struct{ Created, Updated, Unchanged int }

// MaxBatchRows is the most rows that are saved in one transaction, so that an
// import never keeps an unsubscribe waiting for long.
const MaxBatchRows = 1000

// blockBatches is how many batches are read before they are saved, in the order
// of their keys. Campaigns read contacts in that order: those of a block then
// lie together in the store.
const blockBatches = 20

// ErrRepeated is the warning for a row whose external id came before.
const ErrRepeated Rule = "is in the file before; this row counts"

// ImportOptions says how a file is read and who is told about it.
type ImportOptions struct {
	Region   string   // two-letter country of phone numbers without a country code
	Basis    Basis    // for rows without one
	Evidence string   // for rows without basis_evidence
	Sale     Sale     // for rows with soft_optin that lack a part of it
	Purposes []string // that a column consent.<purpose> may name
	FromLine int      // rows that start before this line are passed over; see Report.NextLine

	// Keyer orders rows before they are saved, whole blocks of them; without one,
	// and at the end of a file, they stay as they are.
	Keyer *Keyer

	// Progress is told after every batch. It may be nil.
	Progress func(Progress)
	// Problems is told everything that is wrong with rows, in the order of
	// lines, once they are saved. Its error ends the import. It may be nil.
	Problems func(Problem) error

	BatchRows int // rows of one transaction; 0 is MaxBatchRows
}

func (o *ImportOptions) blockRows() int {
	if o.Keyer == nil {
		return o.BatchRows
	}
	return o.BatchRows * blockBatches
}

func (o *ImportOptions) check() error {
	if o.BatchRows == 0 {
		o.BatchRows = MaxBatchRows
	}
	switch {
	case o.BatchRows < 0 || o.BatchRows > MaxBatchRows:
		return fmt.Errorf("batches of %d rows: use 1 to %d", o.BatchRows, MaxBatchRows)
	case !o.Basis.Valid():
		return fmt.Errorf("basis %q %w", o.Basis, ErrBasis)
	case o.Region != "" && !KnownRegion(o.Region):
		return fmt.Errorf("region %q: use a two-letter country in capitals, such as SE", o.Region)
	}
	if _, err := plainText(o.Evidence); err != nil {
		return fmt.Errorf("the evidence %w", err)
	}
	return o.checkSale()
}

func (o *ImportOptions) checkSale() error {
	for _, f := range []struct {
		what  string
		value *string
		check func(string) (string, error)
	}{{"the sale", &o.Sale.Reference, saleReference}, {"whether opting out was offered", &o.Sale.Offered, yesNo}, {"the product family", &o.Sale.Family, productFamily}} {
		if *f.value == "" {
			continue
		}
		var err error
		if *f.value, err = f.check(*f.value); err != nil {
			return fmt.Errorf("%s %w", f.what, err)
		}
	}
	return nil
}

// Progress is how far an import has come.
type Progress struct {
	Bytes int64 // of the file
	// Report also counts what is saved after NextLine; it will be Unchanged if
	// the import stops here and is taken up again.
	Report Report
}

// Report counts the rows before NextLine, so that at every moment
// Rows = Created + Updated + Unchanged + Merged + Rejected.
type Report struct {
	Rows      int `json:"rows"`
	Created   int `json:"created"`
	Updated   int `json:"updated"`
	Unchanged int `json:"unchanged"`
	Merged    int `json:"merged"`   // saved as one with a later row of the same contact
	Rejected  int `json:"rejected"` // rows of which nothing was saved
	Warnings  int `json:"warnings"` // problems of rows that were saved
	// NextLine is the first line that was not dealt with: the FromLine with
	// which to go on. It is 0 when the file was read to its end.
	NextLine int `json:"next_line,omitempty"`
}

// Import reads a file of contacts from r into store, in batches, with memory
// for twenty of them and some 20 bytes for every external id. Reading the same
// file again is harmless.
//
// # The file
//
// The file is CSV (RFC 4180) in UTF-8. Its first line names the
// columns, in any order, separated by commas, semicolons or tabs:
//
//	external_id       the retailer's own name for the contact; the only column that must be there
//	email             see NormalizeEmail
//	phone             see NormalizePhone
//	push_token        one or several, separated by spaces
//	locale            such as sv-SE (BCP 47)
//	timezone          such as Europe/Stockholm (IANA)
//	first_name
//	last_name
//	basis             consent, soft_optin or empty: the legal ground for marketing
//	basis_evidence    free text: how the ground is known
//	soft_optin.sale, soft_optin.offered, soft_optin.family  what soft opt-in rests on, see [Sale]
//	consent.<purpose> yes, no or empty, for a purpose such as marketing, towards all senders
//	consent.<purpose>.<sender>  the same towards one
//	<any other name>  an attribute: a to z, 0 to 9 and _, a letter first, at most 63
//
// A row creates the contact of its external id, or updates it. A column that
// the file does not have leaves what is stored. An empty cell clears the field:
// an empty email removes the address, an empty push_token all devices, an empty
// basis the legal ground. An empty consent is the exception: it says that the
// file does not know, and leaves a stored grant or refusal.
//
// What is wrong is listed by line, field and rule, and costs as little as it
// can. A bad e-mail address, phone number, token, locale, time zone, name or
// attribute costs that one field, which stays as it was; the row is kept. A row
// is rejected whole if its structure is broken, if it has no external id, or if
// its basis, what it rests on, or a consent cannot be read, since a legal ground is not guessed.
// A broken file, or a wrong header, is refused before anything is saved.
//
// An external id that is in the file twice is listed, and the later row counts,
// as it would in a second file. An attribute that looks like a payment card
// number, a Swedish personal identity number or a moment to the minute is
// refused: what a person bought is kept as aggregates alone.
//
// # Errors
//
// A file that cannot be read at all is a [*FileError]. When ctx ends, or the
// store or r fails, the error and Report.NextLine say which rows are saved.
func Import(ctx context.Context, r io.Reader, store Store, o ImportOptions) (Report, error) {
	if err := o.check(); err != nil {
		return Report{}, err
	}
	records, cells := newRecordReader(r), newCellReader(o)
	columns, err := readHeader(records, cells, o.Purposes)
	if err != nil {
		return Report{}, err
	}
	im := &importer{
		records: records, cells: cells, columns: columns, store: store, o: o,
		block:  newBlock(),
		seen:   newRepeats(),
		report: Report{NextLine: max(records.line, o.FromLine)},
	}
	if err := store.RegisterAttributes(ctx, im.attributes()); err != nil {
		return im.report, im.stopped(err)
	}
	return im.run(ctx)
}

type importer struct {
	records *recordReader
	cells   *cellReader
	columns []column
	store   Store
	o       ImportOptions

	block    *block
	seen     repeats
	report   Report
	progress int64 // bytes of the file, as last told
}

func (im *importer) run(ctx context.Context) (Report, error) {
	for {
		err := im.read()
		atEnd := errors.Is(err, io.EOF)
		if err != nil && !atEnd {
			return im.report, im.stopped(err)
		}
		if !atEnd && im.block.counts.Rows < im.o.blockRows() {
			continue
		}
		if err := im.save(ctx); err != nil {
			return im.report, im.stopped(err)
		}
		if atEnd {
			im.report.NextLine = 0
			return im.report, nil
		}
	}
}

func (im *importer) stopped(err error) error {
	return fmt.Errorf("the import stopped: the rows before line %d are saved, import again from that line: %w", im.report.NextLine, err)
}

// read takes the next record into the block.
func (im *importer) read() error {
	fields, line, err := im.records.next()
	var broken *recordError
	switch {
	case errors.As(err, &broken):
		if line >= im.o.FromLine {
			im.block.reject(Problem{Line: line, Field: im.columnName(broken.column), Rule: string(broken.rule)})
		}
		return nil
	case err != nil:
		return err
	}
	if line >= im.o.FromLine {
		im.take(line, fields)
	}
	return nil
}

// take reads the cells of a row, all of them, so that everything that is wrong
// with it is listed at once.
func (im *importer) take(line int, fields []string) {
	row := Row{Line: line}
	var problems []Problem
	rejected := false
	for i, c := range im.columns {
		if err := c.read(fields[i], &row); err != nil {
			problems = append(problems, Problem{Line: line, Field: c.name, Rule: err.Error()})
			rejected = rejected || c.rejects
		}
	}
	if rejected {
		im.block.reject(problems...)
		return
	}
	if im.seen.add(row.Contact.ExternalID) {
		problems = append(problems, Problem{Line: line, Field: idColumn, Rule: string(ErrRepeated)})
	}
	im.cells.fill(&row)
	if row.Contact.Basis == SoftOptIn && !row.Contact.Sale.Proves() {
		problems = append(problems, Problem{Line: line, Field: "basis", Rule: string(ErrUnproven)})
	}
	im.block.keep(row, problems)
}

// save brings what was read into the store, batch by batch, and only then speaks
// of what is wrong with it.
func (im *importer) save(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	b := im.block
	if im.o.Keyer != nil && b.counts.Rows >= im.o.blockRows() {
		b.arrange(im.o.Keyer)
	}
	soFar := im.report
	soFar.add(b.counts)
	soFar.Rows -= len(b.rows)
	start := im.progress
	for saved := 0; saved < len(b.rows); {
		if err := ctx.Err(); err != nil {
			return err
		}
		batch := b.rows[saved:min(len(b.rows), saved+im.o.BatchRows)]
		s, err := im.store.SaveContacts(ctx, batch)
		if err != nil {
			return err
		}
		saved += len(batch)
		soFar.add(Report{Rows: len(batch), Created: s.Created, Updated: s.Updated, Unchanged: s.Unchanged})
		if saved < len(b.rows) {
			im.tell(start+(im.records.offset-start)*int64(saved)/int64(len(b.rows)), soFar)
		}
	}
	if err := im.list(b.problems); err != nil {
		return err
	}
	im.report = soFar
	im.report.NextLine = max(im.records.line, im.o.FromLine)
	im.block = newBlock()
	im.tell(im.records.offset, im.report)
	return nil
}

func (im *importer) tell(bytes int64, r Report) {
	im.progress = bytes
	if im.o.Progress != nil {
		im.o.Progress(Progress{Bytes: bytes, Report: r})
	}
}

func (im *importer) list(problems []Problem) error {
	if im.o.Problems == nil {
		return nil
	}
	for _, p := range problems {
		if err := im.o.Problems(p); err != nil {
			return fmt.Errorf("listing what is wrong with line %d: %w", p.Line, err)
		}
	}
	return nil
}

func (im *importer) attributes() (names []string) {
	for _, c := range im.columns {
		if c.attribute {
			names = append(names, c.name)
		}
	}
	return names
}

// columnName names a column of a broken record, which may have more of them
// than the header.
func (im *importer) columnName(i int) string {
	if i < 0 || i >= len(im.columns) {
		return ""
	}
	return im.columns[i].name
}

func (r *Report) add(b Report) {
	r.Rows += b.Rows
	r.Created += b.Created
	r.Updated += b.Updated
	r.Unchanged += b.Unchanged
	r.Merged += b.Merged
	r.Rejected += b.Rejected
	r.Warnings += b.Warnings
}
