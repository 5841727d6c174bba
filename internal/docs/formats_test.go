package docs

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"go/ast"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"utskick/audience"
	"utskick/suppression"
	"utskick/templates"
)

const formats = "docs/formats.md"

// shelf keeps nothing; it stands for a store that is empty.
type shelf struct{ attributes []string }

func (s *shelf) RegisterAttributes(_ context.Context, names []string) error {
	s.attributes = names
	return nil
}

func (s *shelf) SaveContacts(_ context.Context, rows []audience.Row) (audience.Saved, error) {
	return audience.Saved{Created: len(rows)}, nil
}

func (s *shelf) Record(context.Context, suppression.Wish) (suppression.Recorded, error) {
	return suppression.Recorded{}, nil
}

func (*shelf) TakeReply(context.Context, suppression.Reply) ([]suppression.InFlight, error) {
	return nil, nil
}

func (*shelf) TakeNotices(context.Context, []suppression.Notice) ([]suppression.InFlight, error) {
	return nil, nil
}

func (s *shelf) RecordAll(_ context.Context, wishes []suppression.Wish) ([]suppression.Recorded, error) {
	return make([]suppression.Recorded, len(wishes)), nil
}

func (s *shelf) Revise(ctx context.Context, _ string, wishes []suppression.Wish) ([]suppression.Recorded, error) {
	return s.RecordAll(ctx, wishes)
}

func (s *shelf) Open(context.Context, []suppression.InFlight) ([]suppression.InFlight, error) {
	return nil, nil
}

func purposes() (names []string) {
	for _, p := range suppression.Purposes {
		names = append(names, string(p))
	}
	return names
}

// importContacts imports the page's example, and returns what is wrong with it.
func importContacts(t *testing.T, s *shelf) (audience.Report, string) {
	t.Helper()
	var problems bytes.Buffer
	list := audience.NewProblemWriter(&problems)
	report, err := audience.Import(t.Context(), strings.NewReader(blocks(section(t, formats, "## Contacts"), "csv")[0]), s,
		audience.ImportOptions{Region: "SE", Purposes: purposes(), Problems: list.Write})
	if err != nil {
		t.Fatal(err)
	}
	if err := list.Flush(); err != nil {
		t.Fatal(err)
	}
	return report, problems.String()
}

func TestContactsExample(t *testing.T) {
	report, problems := importContacts(t, new(shelf))
	text := section(t, formats, "## Contacts")
	if diff := cmp.Diff(problems, blocks(text, "csv")[1]); diff != "" {
		t.Errorf("problems (-code +page):\n%s", diff)
	}
	want := fmt.Sprintf("%d rows: %d contacts created, %d updated, %d unchanged; %d rows rejected, %d saved with a warning.",
		report.Rows, report.Created, report.Updated, report.Unchanged, report.Rejected, report.Warnings)
	if !strings.Contains(text, want) {
		t.Errorf("the page does not say: %s", want)
	}
}

func TestSuppressionsExample(t *testing.T) {
	text := section(t, formats, "## Suppressions")
	keyer, err := audience.NewKeyer(make([]byte, audience.MinPepper))
	if err != nil {
		t.Fatal(err)
	}
	var problems bytes.Buffer
	list := audience.NewProblemWriter(&problems)
	report, err := suppression.ImportFile(t.Context(), strings.NewReader(blocks(text, "csv")[0]),
		suppression.NewRegister(new(shelf), suppression.SystemClock), keyer, "SE", suppression.FileOptions{Problems: list.Write})
	if err != nil {
		t.Fatal(err)
	}
	if err := list.Flush(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(problems.String(), blocks(text, "csv")[1]); diff != "" {
		t.Errorf("problems (-code +page):\n%s", diff)
	}
	if want := fmt.Sprintf("%d lines: %d recorded, %d rejected.", report.Lines, report.Recorded, report.Rejected); !strings.Contains(text, want) {
		t.Errorf("the page does not say: %s", want)
	}
}

// TestColumns compares the tables with the headers of the examples, and the
// words that cells may have with the code.
func TestColumns(t *testing.T) {
	header := func(heading string) []string {
		first, _, _ := strings.Cut(blocks(section(t, formats, heading), "csv")[0], "\n")
		return strings.Split(first, ",")
	}
	// Every column of an export is a column of the page.
	var export bytes.Buffer
	if _, err := suppression.WriteEntries(t.Context(), &export, noEntries{}, at); err != nil {
		t.Fatal(err)
	}
	columns := strings.Split(strings.TrimSpace(export.String()), ",")
	if diff := cmp.Diff(columns, header("## Suppressions")); diff != "" {
		t.Errorf("columns of the example (-code +page):\n%s", diff)
	}
	if diff := cmp.Diff(columns, firstCodes(section(t, formats, "## Suppressions"))); diff != "" {
		t.Errorf("columns of wishes (-code +page):\n%s", diff)
	}
	var s shelf
	importContacts(t, &s)
	listed := firstColumn(section(t, formats, "## Contacts"))
	for _, name := range header("## Contacts") {
		if !slices.Contains(listed, name) && !slices.Contains(s.attributes, name) && !strings.HasPrefix(name, "consent.") {
			t.Errorf("the table has no column %s", name)
		}
	}
	for _, p := range purposes() {
		if n := strings.Count(read(t, formats), "`"+p+"`"); n < 2 {
			t.Errorf("the purpose %s is not named for both files", p)
		}
	}
}

func TestSenderExample(t *testing.T) {
	text := section(t, formats, "## Sender")
	var sender templates.Sender
	strictly(t, blocks(text, "json")[0], &sender)
	if err := templates.CheckSender(sender); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(fields(t, templates.Sender{Name: "x", FromName: "x", FromEmail: "x", ReplyTo: "x", PostalAddress: "x", Site: "x",
		DKIMSelector: "x", SMSSender: "x", SMSService: "x", NoticeVersion: "x", OpenTracking: "x", Topics: map[string]templates.Label{"x": {}}, CustomerService: &templates.CustomerService{},
		DataProtection: &templates.Officer{}, PrivacyNotice: "x", CookieSettings: "x", AdPlatforms: []templates.AdPlatform{{}}, Subscriptions: []string{"x"}}), slices.Sorted(slices.Values(firstCodes(text)))); diff != "" {
		t.Errorf("fields of a sender (-code +page):\n%s", diff)
	}
}

func strictly(t *testing.T, text string, v any) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		t.Fatal(err)
	}
}

// fields returns the names that a value has as JSON.
func fields(t *testing.T, v any) []string {
	t.Helper()
	content, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var names map[string]any
	if err := json.Unmarshal(content, &names); err != nil {
		t.Fatal(err)
	}
	return slices.Sorted(maps.Keys(names))
}

func TestTemplateExample(t *testing.T) {
	var template templates.Template
	var sender templates.Sender
	strictly(t, blocks(section(t, formats, "## Template"), "json")[0], &template)
	strictly(t, blocks(section(t, formats, "## Sender"), "json")[0], &sender)
	var s shelf
	importContacts(t, &s)
	if err := templates.Check(template, s.attributes); err != nil {
		t.Fatal(err)
	}
	shown, err := templates.Preview(template, sender, "en", templates.Sample{Attributes: map[string]string{"points": "120"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Hello, our autumn offers", "You have 120 points."} {
		if !strings.Contains(shown.Subject+shown.Text, want) {
			t.Errorf("the example does not say %q", want)
		}
	}
	if diff := cmp.Diff(fields(t, templates.Content{Subject: "x", HTML: "x", Text: "x", Link: "x"}),
		slices.Sorted(slices.Values(firstCodes(before(section(t, formats, "## Template"), "\n### "))))); diff != "" {
		t.Errorf("parts (-code +page):\n%s", diff)
	}
}

func before(text, mark string) string {
	head, _, _ := strings.Cut(text, mark)
	return head
}

// TestLiquid compares the names and filters with the lists in the code, by
// saving a template with each of them.
func TestLiquid(t *testing.T) {
	text := section(t, formats, "### What Liquid may do")
	_, list, _ := strings.Cut(text, "\nFilters: ")
	listed := codes(before(list, "\n\n"))
	var known []string
	ast.Inspect(parse(t, "templates/engine.go"), func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok && spec.Names[0].Name == "filterArgs" {
			for _, e := range spec.Values[0].(*ast.CompositeLit).Elts {
				known = append(known, unquoted(e.(*ast.KeyValueExpr).Key.(*ast.BasicLit)))
			}
		}
		return true
	})
	slices.Sort(known)
	if diff := cmp.Diff(known, listed); diff != "" || len(known) == 0 {
		t.Errorf("filters (-code +page):\n%s", diff)
	}
	for _, name := range firstColumn(text) {
		name = strings.Replace(name, "<attribute>", "city", 1)
		template := templates.Template{Name: "t", Channel: audience.SMS, Default: "sv",
			Contents: map[string]templates.Content{"sv": {Text: "Hej {{ " + name + " }}"}}}
		if err := templates.Check(template, []string{"city"}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestLimits(t *testing.T) {
	text := section(t, formats, "### Limits")
	for what, limit := range map[string]int{"`subject`": templates.MaxSubject, "`html`": templates.MaxHTML, "`text`": templates.MaxText,
		"a link ": templates.MaxLink, "link targets": templates.MaxLinks,
		"what differs": templates.MaxRow, "an SMS": templates.MaxSMS, "a push message": templates.MaxPush} {
		found := false
		for _, cells := range rows(text) {
			if strings.HasPrefix(cells[0]+" ", what) {
				number, _, _ := strings.Cut(strings.ReplaceAll(cells[1], ",", ""), " ")
				n, err := strconv.Atoi(number)
				found = err == nil && n == limit
			}
		}
		if !found {
			t.Errorf("%s: the page does not say %d", what, limit)
		}
	}
}
