package templates

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"utskick/audience"
	"utskick/tracking"
)

var update = flag.Bool("update", false, "write the golden files anew")

// goldenRecipient is a recipient as written in recipient.json.
type goldenRecipient struct {
	Language   string            `json:"language"`
	FirstName  string            `json:"first_name"`
	LastName   string            `json:"last_name"`
	Locale     string            `json:"locale"`
	Attributes map[string]string `json:"attributes"`
	Tracked    bool              `json:"tracked"`
	SMSSender  string            `json:"sms_sender"`
	Notice     string            `json:"privacy_notice"`
}

func readGolden[T any](t testing.TB, file string) T {
	t.Helper()
	var v T
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return v
}

// TestGolden renders testdata/golden/<case>/template.json for recipient.json,
// and compares every part with expected.<part>. Run with -update to write them.
func TestGolden(t *testing.T) {
	cases, err := filepath.Glob("testdata/golden/*")
	if err != nil || len(cases) == 0 {
		t.Fatalf("no golden cases: %v", err)
	}
	for _, dir := range cases {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			got := renderGolden(t, readGolden[Template](t, filepath.Join(dir, "template.json")),
				readGolden[goldenRecipient](t, filepath.Join(dir, "recipient.json")))
			if *update {
				writeGolden(t, dir, got)
			}
			compareGolden(t, dir, got)
		})
	}
}

// renderGolden returns the parts by the name of their file.
func renderGolden(t *testing.T, tpl Template, to goldenRecipient) map[string]string {
	t.Helper()
	attributes, err := json.Marshal(to.Attributes)
	if err != nil {
		t.Fatal(err)
	}
	names := []string{"city", "points", "level", "interests", "birthday", "code"}
	if err := Check(tpl, names); err != nil {
		t.Fatal(err)
	}
	signer, err := tracking.NewSigner([]byte(strings.Repeat("golden", 6)))
	if err != nil {
		t.Fatal(err)
	}
	sender := fuzzSender
	sender.SMSSender, sender.PrivacyNotice = to.SMSSender, to.Notice
	o := Options{Sender: sender, Topic: "nyhetsbrev", PublicURL: "https://utskick.exempelbolaget.test", Signer: signer, Links: map[string]int64{}}
	targets, err := Targets(tpl, to.Language)
	if err != nil {
		t.Fatal(err)
	}
	for i, target := range targets {
		o.Links[target] = int64(i + 1)
	}
	s, err := Compile(tpl, to.Language, o)
	if err != nil {
		t.Fatal(err)
	}
	var sheet Sheet
	sheet.Reset(s.Columns())
	r := Recipient{Key: audience.Key{0xab, 15: 1}, FirstName: to.FirstName, LastName: to.LastName, Locale: to.Locale, Attributes: attributes, Tracked: to.Tracked}
	if err := s.Fill(&sheet, 42, r); err != nil {
		t.Fatal(err)
	}
	return messageFiles(s, &sheet, targets)
}

func messageFiles(s *Skeleton, sheet *Sheet, targets []string) map[string]string {
	files := map[string]string{}
	add := func(name string, p Part) {
		if text := p.Append(nil, sheet, 0); len(text) > 0 {
			files["expected."+name] = string(text)
		}
	}
	add("subject", s.Subject)
	add("html", s.HTML)
	add("txt", s.Text)
	var fields strings.Builder
	for _, f := range append(s.Headers, s.Data...) {
		fmt.Fprintf(&fields, "%s: %s\n", f.Name, f.Value.Append(nil, sheet, 0))
	}
	for i, target := range targets {
		fmt.Fprintf(&fields, "target %d: %s\n", i+1, target)
	}
	if fields.Len() > 0 {
		files["expected.fields"] = fields.String()
	}
	return files
}

func writeGolden(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	old, err := filepath.Glob(filepath.Join(dir, "expected.*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range old {
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func compareGolden(t *testing.T, dir string, got map[string]string) {
	t.Helper()
	want := map[string]string{}
	files, err := filepath.Glob(filepath.Join(dir, "expected.*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		want[filepath.Base(file)] = string(text)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rendered (+) differs from %s (-):\n%s", dir, diff)
	}
}
