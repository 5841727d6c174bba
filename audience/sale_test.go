package audience_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"utskick/audience"
)

// TestSales reads what soft opt-in rests on, fills in what a file lacks, and tells
// of rows that would send nothing.
func TestSales(t *testing.T) {
	const header = "external_id,basis,soft_optin.sale,soft_optin.offered,soft_optin.family\n"
	whole := audience.Sale{Reference: "2025-11-03", Offered: "yes", Family: "tyres"}
	for name, c := range map[string]struct {
		row    string
		fill   audience.Sale
		want   audience.Sale
		wrong  string // field and rule
		reject bool
	}{
		"whole":                  {row: "1,soft_optin,2025-11-03,YES,Tyres", want: whole},
		"filled in":              {row: "1,soft_optin,,,", fill: whole, want: whole},
		"filled where empty":     {row: "1,soft_optin,r-1,no,", fill: whole, want: audience.Sale{Reference: "r-1", Offered: "no", Family: "tyres"}, wrong: "basis " + string(audience.ErrUnproven)},
		"a consent needs none":   {row: "1,consent,,,", fill: whole},
		"no basis needs none":    {row: "1,,,,"},
		"no sale":                {row: "1,soft_optin,,yes,tyres", want: audience.Sale{Offered: "yes", Family: "tyres"}, wrong: "basis " + string(audience.ErrUnproven)},
		"not offered":            {row: "1,soft_optin,x,no,tyres", want: audience.Sale{Reference: "x", Offered: "no", Family: "tyres"}, wrong: "basis " + string(audience.ErrUnproven)},
		"no family":              {row: "1,soft_optin,x,yes,", want: audience.Sale{Reference: "x", Offered: "yes"}, wrong: "basis " + string(audience.ErrUnproven)},
		"perhaps offered":        {row: "1,soft_optin,x,perhaps,tyres", wrong: "soft_optin.offered " + string(audience.ErrYesNo), reject: true},
		"a family of two words":  {row: "1,soft_optin,x,yes,tyres and oil", wrong: "soft_optin.family " + string(audience.ErrFamily), reject: true},
		"a long reference":       {row: "1,soft_optin," + strings.Repeat("x", 201) + ",yes,tyres", wrong: "soft_optin.sale " + string(audience.ErrSale), reject: true},
		"a reference to a card":  {row: "1,soft_optin,4111 1111 1111 1111,yes,tyres", wrong: "soft_optin.sale " + string(audience.ErrCardNumber), reject: true},
		"a reference with lines": {row: "1,soft_optin,\"a\tb\",yes,tyres", wrong: "soft_optin.sale " + string(audience.ErrControl), reject: true},
	} {
		var rows kept
		var problems []string
		report, err := audience.Import(t.Context(), strings.NewReader(header+c.row+"\n"), &rows, audience.ImportOptions{Sale: c.fill,
			Problems: func(p audience.Problem) error { problems = append(problems, p.Field+" "+p.Rule); return nil }})
		if err != nil || report.Rejected != map[bool]int{true: 1}[c.reject] {
			t.Errorf("%s: %+v, %v", name, report, err)
			continue
		}
		if diff := cmp.Diff(c.wrong, strings.Join(problems, "; ")); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		if !c.reject && rows[0].Contact.Sale != c.want {
			t.Errorf("%s: %+v, want %+v", name, rows[0].Contact.Sale, c.want)
		}
	}
	for _, bad := range []audience.Sale{{Offered: "perhaps"}, {Family: "a b"}, {Reference: strings.Repeat("x", 201)}} {
		if _, err := audience.Import(t.Context(), strings.NewReader(header), &kept{}, audience.ImportOptions{Sale: bad}); err == nil {
			t.Errorf("%+v fills in", bad)
		}
	}
	if err := audience.CheckFamily("no family"); !errors.Is(err, audience.ErrFamily) {
		t.Errorf("%v", err)
	}
}
