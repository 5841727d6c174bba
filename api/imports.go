package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"utskick/audience"
)

// mostListed is how many problems of a file an answer lists. The rest is
// counted: somebody who sent the wrong file needs no million of them.
const mostListed = 1000

// listed gathers the problems of a file.
type listed struct {
	problems []audience.Problem
	total    int
}

func (l *listed) add(p audience.Problem) error {
	l.total++
	if len(l.problems) < mostListed {
		l.problems = append(l.problems, p)
	}
	return nil
}

// importReport is what became of the rows of a file: rows = created + updated +
// unchanged + merged + rejected.
type importReport struct {
	audience.Report
	Problems      []audience.Problem `json:"problems" doc:"What is wrong, by line; the first 1000"`
	ProblemsTotal int                `json:"problems_total"`
}

func (o *operator) registerImports() {
	op := operation(http.MethodPost, "/v1/imports", "import-contacts", contactsTag, "Import a file of contacts",
		"A row adds the contact of its external_id, or changes it. A column that the file does not have is left as it is, an empty cell clears the field. "+
			"A row that breaks a rule is listed and costs as little as it can; the others count. Sending a file again is harmless.")
	op.RequestBody = csvBody("CSV in UTF-8 with a header: external_id, and any of email, phone, push_token, locale, timezone, first_name, last_name, " +
		"basis, basis_evidence, soft_optin.sale, soft_optin.offered, soft_optin.family, consent.<purpose>, consent_notice, relation.<sender>; any other column is an attribute")
	huma.Register(o.api, op, o.importContacts)
}

func (o *operator) importContacts(ctx context.Context, in *struct {
	File     upload
	Basis    audience.Basis `query:"basis" enum:"consent,soft_optin" doc:"Legal ground for rows that have none"`
	Evidence string         `query:"evidence" maxLength:"500" doc:"How the ground is known, for rows without basis_evidence"`
	Sale     string         `query:"sale" maxLength:"200" doc:"The sale that soft opt-in rests on, for rows that name none"`
	Offered  bool           `query:"offered" doc:"Opting out was offered when the address was given, for rows that do not say"`
	Family   string         `query:"family" pattern:"^[a-z0-9][a-z0-9_-]{0,62}$" doc:"Product family of the sale, for rows that name none"`
	FromLine int            `query:"from_line" minimum:"1" doc:"Pass over the rows before this line: the next_line of an import that stopped"`
}) (*struct{ Body importReport }, error) {
	found := listed{problems: []audience.Problem{}}
	report, err := audience.Import(ctx, in.File.body, o.c.Contacts, audience.ImportOptions{Region: o.c.Region, Keyer: o.c.Keyer, Basis: in.Basis,
		Evidence: in.Evidence, Sale: audience.Sale{Reference: in.Sale, Offered: map[bool]string{true: "yes"}[in.Offered], Family: in.Family}, Purposes: purposes(), FromLine: in.FromLine, Problems: found.add})
	o.audit(ctx, "contacts.import", "file", fmt.Sprintf("%d created, %d updated, %d rejected", report.Created, report.Updated, report.Rejected))
	if err != nil {
		detail := fmt.Sprintf("the import stopped: the rows before line %d are saved, import again with from_line=%[1]d", report.NextLine)
		return nil, o.stopped(err, detail)
	}
	return &struct{ Body importReport }{importReport{report, found.problems, found.total}}, nil
}

// stopped answers for a file that was not read to its end.
func (o *operator) stopped(err error, detail string) error {
	var refused *audience.FileError
	if errors.As(err, &refused) {
		p := newProblem(http.StatusUnprocessableEntity, "the file cannot be imported, and nothing of it was saved")
		p.Errors = []Violation{{Field: "body", Line: refused.Line, Rule: refused.Problem + "; " + refused.Remedy}}
		return p
	}
	o.c.Log.Error("an import stopped", "error", err)
	return newProblem(http.StatusServiceUnavailable, detail)
}
