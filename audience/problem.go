package audience

import (
	"encoding/csv"
	"io"
	"strconv"
)

// Problem is one thing that is wrong with a row. It never holds the value.
type Problem struct {
	Line     int    `json:"line"`            // where the row starts
	Field    string `json:"field,omitempty"` // name of the column; empty for the row as a whole
	Rule     string `json:"rule"`            // what is wrong, to be read behind the field
	Rejected bool   `json:"rejected"`        // nothing of the row was saved
}

// ProblemWriter writes problems as CSV with the columns line, field, rule and
// row_kept (yes or no).
type ProblemWriter struct{ csv *csv.Writer }

// NewProblemWriter writes the header to w, and problems behind it.
func NewProblemWriter(w io.Writer) *ProblemWriter {
	p := &ProblemWriter{csv.NewWriter(w)}
	p.put("line", "field", "rule", "row_kept")
	return p
}

// Write adds a problem. It fits [ImportOptions.Problems].
func (p *ProblemWriter) Write(problem Problem) error {
	kept := "yes"
	if problem.Rejected {
		kept = "no"
	}
	p.put(strconv.Itoa(problem.Line), problem.Field, problem.Rule, kept)
	return p.csv.Error()
}

// Flush writes out what is buffered, and returns the first error of all that
// was written.
func (p *ProblemWriter) Flush() error {
	p.csv.Flush()
	return p.csv.Error()
}

// put leaves errors to csv.Writer, which buffers and remembers them.
func (p *ProblemWriter) put(record ...string) { _ = p.csv.Write(record) }
