package suppression_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"utskick/audience"
	"utskick/suppression"
)

// wishBook keeps wishes for tests of files.
type wishBook struct {
	wishes  []suppression.Wish
	batches []int
	err     error // what recording fails with once failAt batches are recorded
	failAt  int
}

func (b *wishBook) Record(context.Context, suppression.Wish) (suppression.Recorded, error) {
	return suppression.Recorded{}, errors.New("a file is recorded in batches")
}

func (b *wishBook) RecordAll(_ context.Context, wishes []suppression.Wish) ([]suppression.Recorded, error) {
	if b.err != nil && len(b.batches) == b.failAt {
		return nil, b.err
	}
	b.wishes, b.batches = append(b.wishes, wishes...), append(b.batches, len(wishes))
	return make([]suppression.Recorded, len(wishes)), nil
}

func (b *wishBook) Revise(ctx context.Context, _ string, wishes []suppression.Wish) ([]suppression.Recorded, error) {
	return b.RecordAll(ctx, wishes)
}

func (b *wishBook) TakeNotices(context.Context, []suppression.Notice) ([]suppression.InFlight, error) {
	return nil, nil
}

func (b *wishBook) TakeReply(context.Context, suppression.Reply) ([]suppression.InFlight, error) {
	return nil, nil
}

func (b *wishBook) Open(context.Context, []suppression.InFlight) ([]suppression.InFlight, error) {
	return nil, nil
}

func (b *wishBook) EachEntry(_ context.Context, f func(suppression.Entry) error) error {
	for _, w := range b.wishes {
		if err := f(w.Entry); err != nil {
			return err
		}
	}
	return nil
}

func fileKeyer(t testing.TB) *audience.Keyer {
	t.Helper()
	k, err := audience.NewKeyer([]byte(strings.Repeat("pepper", 6)))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

type fileResult struct {
	report   suppression.FileReport
	problems []audience.Problem
	err      error
}

func importFile(t testing.TB, book *wishBook, file io.Reader) (r fileResult) {
	t.Helper()
	register := suppression.NewRegister(book, func() suppression.Instant { return 0 })
	r.report, r.err = suppression.ImportFile(t.Context(), file, register, fileKeyer(t), "SE", suppression.FileOptions{
		Problems: func(p audience.Problem) error { r.problems = append(r.problems, p); return nil }})
	return r
}

func TestImportFile(t *testing.T) {
	keyer := fileKeyer(t)
	email, phone := keyer.Key(audience.KindEmail, "anna@example.com"), keyer.Key(audience.KindPhone, "+46701740605")
	landline := keyer.Key(audience.KindPhone, "+4687654321")
	push, contact := keyer.Key(audience.KindPush, "Tok:1"), keyer.Key(audience.KindContact, "C-1")
	entry := func(k audience.Key, c suppression.Cause) suppression.Entry {
		return suppression.Entry{Key: k, Channel: "*", Topic: "*", Purpose: "*", Sender: "*", Cause: c, Active: true, Source: "import"}
	}
	book := &wishBook{}
	r := importFile(t, book, strings.NewReader("\xef\xbb\xbfCause;kind; address ;evidence;channel;topic;purpose;sender;expires_at\r\n"+
		";email; Anna@EXAMPLE.com ;\"letter; page \"\"2\"\"\";;;;;\r\n"+
		"\r\n"+
		"stopped;phone;070-174 06 05;;SMS;News;Marketing;Exempel;\r\n"+
		"unsubscribed;phone;08-765 43 21;;;;;;\r\n"+
		"complained;push;Tok:1;;;;;;\r\n"+
		"Withdrawn;contact;C-1;;;;profiling;;\r\n"+
		"bounced;key;"+strings.ToUpper(email.String())+";;email;;;;\r\n"+
		"invalid;email;anna@example.com;;;;;;\r\n"+
		"unregistered;push;Tok:1;;push;;;;\r\n"+
		"paused;email;anna@example.com;;;;;;2026-12-24T00:00:00+01:00"))
	if r.err != nil || len(r.problems) > 0 {
		t.Fatal(r.err, r.problems)
	}
	scoped := func(e suppression.Entry, channel, topic, purpose, sender string) suppression.Entry {
		e.Channel, e.Topic, e.Purpose, e.Sender = channel, topic, purpose, sender
		return e
	}
	letter, pause := entry(email, suppression.Objected), entry(email, suppression.Paused)
	letter.Evidence = `letter; page "2"`
	pause.ExpiresAt = time.Date(2026, 12, 23, 23, 0, 0, 0, time.UTC)
	want := []suppression.Wish{
		{Person: true, Entry: letter},
		{Person: true, Entry: scoped(entry(phone, suppression.Stopped), "sms", "news", "marketing", "Exempel")},
		{Person: true, Entry: entry(landline, suppression.Unsubscribed)},
		{Person: true, Entry: entry(push, suppression.Complained)},
		{Person: true, Entry: scoped(entry(contact, suppression.Withdrawn), "*", "*", "profiling", "*")},
		{Entry: scoped(entry(email, suppression.Bounced), "email", "*", "*", "*")},
		{Entry: entry(email, suppression.Invalid)},
		{Entry: scoped(entry(push, suppression.Unregistered), "push", "*", "*", "*")},
		{Entry: pause},
	}
	if diff := cmp.Diff(want, book.wishes); diff != "" {
		t.Error("(-want +got):\n" + diff)
	}
	if want := (suppression.FileReport{Lines: 9, Recorded: 9}); r.report != want {
		t.Errorf("report %+v", r.report)
	}
}

func TestLinesThatAreRejected(t *testing.T) {
	const header = "kind,address,channel,topic,purpose,sender,cause,evidence,expires_at\n"
	for line, want := range map[string]string{
		"email,anna,,,,,,,":                                             "address: has no @",
		"email,,,,,,,,":                                                 "address: is empty",
		"phone,+44 7700 900000 000000,,,,,,,":                           "address: is not a valid phone number",
		"key,abc,,,,,,,":                                                "address: a key has 32 hexadecimal digits, this text has 3 characters",
		"key,zz345678901234567890123456789012,,,,,,,":                   "address: a key has hexadecimal digits only",
		"key," + strings.Repeat("0", 32) + ",,,,,,,":                    "address: is no address's key",
		"post,Exempelgatan 1,,,,,,,":                                    "kind: is not email, phone, push, contact or key",
		",anna@example.com,,,,,,,":                                      "kind: is not email, phone, push, contact or key",
		"email,anna@example.com,fax,,,,,,":                              "channel: is not email, sms, push, post, phone or *",
		"email,anna@example.com,,,spying,,,,":                           "purpose: is not marketing, profiling, open_tracking, ad_tracking, ad_list_sharing or *",
		"email,anna@example.com,,,,,cross,,":                            "cause: is not one of [erased objected unsubscribed stopped complained withdrawn restricted bounced invalid unregistered push_off paused]",
		"email,anna@example.com,,,,,no_basis,,":                         "cause: is not one of [erased objected unsubscribed stopped complained withdrawn restricted bounced invalid unregistered push_off paused]",
		"email,anna@example.com,,,,,paused,,":                           "expires_at: is empty: a pause needs the moment at which it ends",
		"email,anna@example.com,,,,,,,tomorrow":                         "expires_at: is not a moment such as 2026-12-24T00:00:00+01:00 (RFC 3339)",
		"email,anna@example.com,," + strings.Repeat("a", 201) + ",,,,,": "topic: is longer than 200 bytes, or has a control character",
		"email,anna@example.com,,,,a\x01b,,,":                           "sender: is longer than 200 bytes, or has a control character",
		"email,anna@example.com":                                        ": has 2 fields, the header has 9",
		`email,"anna@example.com,,,,,,,`:                                ": has a stray quote, or a line break inside quotes",
		`email,an"na@example.com,,,,,,,`:                                ": has a stray quote, or a line break inside quotes",
		"email,\xff@example.com,,,,,,,":                                 ": is not UTF-8; save the file as CSV UTF-8",
		"email," + strings.Repeat("a", 70<<10) + ",,,,,,,":              ": is longer than 64 KiB",
	} {
		book := &wishBook{}
		r := importFile(t, book, strings.NewReader(header+line+"\nemail,bo@example.com,,,,,,,\n"))
		field, rule, _ := strings.Cut(want, ": ")
		wanted := []audience.Problem{{Line: 2, Field: field, Rule: rule, Rejected: true}}
		if diff := cmp.Diff(wanted, r.problems); diff != "" || r.err != nil {
			t.Errorf("%.60q: %v (-want +got):\n%s", line, r.err, diff)
		}
		if r.report != (suppression.FileReport{Lines: 2, Recorded: 1, Rejected: 1}) || len(book.wishes) != 1 {
			t.Errorf("%.60q: %+v, %d wishes", line, r.report, len(book.wishes))
		}
	}
}

func TestAllThatIsWrongWithALineIsListed(t *testing.T) {
	r := importFile(t, &wishBook{}, strings.NewReader("kind,address,channel,cause,evidence\nfax,1,fax,cross,a@b\n"))
	var fields []string
	for _, p := range r.problems {
		fields = append(fields, p.Field)
		if !p.Rejected {
			t.Errorf("%+v", p)
		}
	}
	if diff := cmp.Diff([]string{"kind", "channel", "cause", "evidence"}, fields); diff != "" {
		t.Error(diff)
	}
}

func TestAWishIsKeptWithoutItsRemark(t *testing.T) {
	for remark, rule := range map[string]string{
		"mail from anna@example.com": "has an @ and was left out: an entry outlives erasure and holds no address",
		strings.Repeat("a", 501):     "is longer than 500 bytes and was left out",
		"a\x07b":                     "has a line break or another control character and was left out",
	} {
		book := &wishBook{}
		r := importFile(t, book, strings.NewReader("kind,address,evidence\nemail,anna@example.com,"+remark+"\n"))
		if diff := cmp.Diff([]audience.Problem{{Line: 2, Field: "evidence", Rule: rule}}, r.problems); diff != "" {
			t.Error(diff)
		}
		if r.report.Warnings != 1 || len(book.wishes) != 1 || book.wishes[0].Entry.Evidence != "" {
			t.Errorf("%+v, %+v", r.report, book.wishes)
		}
	}
}

// TestLift takes back what Wish sets: the same scope, cause and reach.
func TestLift(t *testing.T) {
	reader := suppression.Reader{Keyer: fileKeyer(t), Source: "operator"}
	f := suppression.Fields{Kind: "email", Address: "Anna@example.com", Channel: "email", Purpose: "marketing", Cause: "withdrawn", Evidence: "case 7"}
	for _, cause := range []string{"withdrawn", "bounced"} {
		f.Cause = cause
		want, problems := reader.Wish(f)
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		want.Entry.Active = false
		got, problems := reader.Lift(f)
		if diff := cmp.Diff(want, got); diff != "" || len(problems) > 0 {
			t.Errorf("%s: %v (-want +got):\n%s", cause, problems, diff)
		}
	}
	pause := f
	pause.Cause = "paused"
	if _, problems := reader.Lift(pause); len(problems) > 0 {
		t.Errorf("a pause cannot be lifted: %v", problems)
	}
	_, problems := reader.Lift(suppression.Fields{Kind: "email", Address: "anna@example.com", Evidence: "anna@example.com", ExpiresAt: "2027-01-31T00:00:00+01:00"})
	_, without := reader.Lift(suppression.Fields{Kind: "email", Address: "anna@example.com", Cause: "objected"})
	var got []string
	for _, p := range append(problems, without...) {
		got = append(got, p.Field+": "+p.Rule)
		if !p.Rejected {
			t.Errorf("%s is let through", p.Field)
		}
	}
	want := []string{"cause: is empty: say which wish is lifted", "expires_at: is of no use: what is lifted has no end",
		"evidence: has an @ and was left out: an entry outlives erasure and holds no address",
		"evidence: is empty: say how it is known that the person wants this"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestFilesThatAreRefused(t *testing.T) {
	for file, want := range map[string]string{
		"":                                     "there is no header in UTF-8",
		"\n\n":                                 "there is no header in UTF-8",
		"PK\x03\x04\x00":                       "there is no header in UTF-8",
		"\xff\xfek\x00i\x00":                   "there is no header in UTF-8",
		"email\n":                              "column 1 is not one of",
		"anna@example.com,objected\n":          "column 1 is not one of",
		"kind,address,kind\n":                  "the column kind is there twice",
		"kind,channel\n":                       "the columns kind and address must be there",
		"kind,\"address\n":                     "the header has a stray quote",
		strings.Repeat("kind,", 20<<10) + "\n": "there is no header in UTF-8",
	} {
		book := &wishBook{}
		r := importFile(t, book, strings.NewReader(file))
		var refused *audience.FileError
		if !errors.As(r.err, &refused) || !strings.Contains(refused.Problem, want) || strings.Contains(r.err.Error(), "anna") {
			t.Errorf("%.30q: got %v", file, r.err)
		}
		if len(book.batches) > 0 {
			t.Errorf("%.30q: something was recorded", file)
		}
	}
}

func TestAFileIsRecordedInBatches(t *testing.T) {
	var file strings.Builder
	file.WriteString("kind,address\n")
	for i := range 2500 {
		fmt.Fprintf(&file, "email,a%d@example.com\n", i)
		if i%2 == 0 {
			file.WriteString("fax,1\n")
		}
	}
	book := &wishBook{}
	r := importFile(t, book, strings.NewReader(file.String()))
	if r.err != nil || r.report != (suppression.FileReport{Lines: 3750, Recorded: 2500, Rejected: 1250}) || len(r.problems) != 1250 {
		t.Fatalf("%v %+v", r.err, r.report)
	}
	if most := slices.Max(book.batches); most > suppression.ImportSize || len(book.batches) < 3 {
		t.Errorf("batches of %v", book.batches)
	}
	if r.problems[1249].Line != 3750 {
		t.Errorf("the last problem is at line %d", r.problems[1249].Line)
	}
}

func TestAnImportThatStops(t *testing.T) {
	var file strings.Builder
	file.WriteString("kind,address\n")
	for i := range 1500 {
		fmt.Fprintf(&file, "email,a%d@example.com\nfax,1\n", i)
	}
	down := errors.New("down")
	for name, c := range map[string]struct {
		book *wishBook
		file io.Reader
		want error
	}{
		"the store fails":         {&wishBook{err: down, failAt: 1}, strings.NewReader(file.String()), down},
		"the file ends too early": {&wishBook{}, io.MultiReader(strings.NewReader(file.String()[:20000]), iotestError{io.ErrUnexpectedEOF}), io.ErrUnexpectedEOF},
	} {
		r := importFile(t, c.book, c.file)
		if !errors.Is(r.err, c.want) || !strings.Contains(r.err.Error(), "after 500 lines were recorded") {
			t.Errorf("%s: %v", name, r.err)
		}
		if r.report.Recorded != len(c.book.wishes) || r.report.Lines != 1000 || len(r.problems) != 500 {
			t.Errorf("%s: %+v, %d recorded, %d problems", name, r.report, len(c.book.wishes), len(r.problems))
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	register := suppression.NewRegister(&wishBook{}, func() suppression.Instant { return 0 })
	if _, err := suppression.ImportFile(ctx, strings.NewReader("kind,address\nemail,a@example.com\n"), register, fileKeyer(t), "", suppression.FileOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled import: %v", err)
	}
}

// iotestError is a reader that fails.
type iotestError struct{ err error }

func (r iotestError) Read([]byte) (int, error) { return 0, r.err }

func TestWhatGoesOutComesIn(t *testing.T) {
	keyer := fileKeyer(t)
	now := time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC)
	e := suppression.Entry{Key: keyer.Key(audience.KindEmail, "anna@example.com"), Channel: "email", Topic: "news", Purpose: "marketing", Sender: "Exempel",
		Cause: suppression.Unsubscribed, Active: true, Source: "link", Evidence: "link, \"quoted\"; group 7"}
	paused, lifted, expired := e, e, e
	paused.Cause, paused.ExpiresAt = suppression.Paused, now.Add(time.Millisecond)
	lifted.Active = false
	expired.ExpiresAt = now
	var out bytes.Buffer
	n, err := suppression.WriteEntries(t.Context(), &out, &wishBook{wishes: []suppression.Wish{{Entry: e}, {Entry: paused}, {Entry: lifted}, {Entry: expired}}}, now)
	if err != nil || n != 2 || strings.Contains(out.String(), "@") {
		t.Fatalf("%d entries, %v:\n%s", n, err, out.String())
	}
	book := &wishBook{}
	if r := importFile(t, book, bytes.NewReader(out.Bytes())); r.err != nil || len(r.problems) > 0 {
		t.Fatal(r.err, r.problems)
	}
	e.Source, paused.Source = "import", "import"
	want := []suppression.Wish{{Person: true, Entry: e}, {Entry: paused}}
	if diff := cmp.Diff(want, book.wishes); diff != "" {
		t.Error(diff)
	}
	down := errors.New("down")
	if _, err := suppression.WriteEntries(t.Context(), failingWriter{down}, &wishBook{wishes: []suppression.Wish{{Entry: e}}}, now); !errors.Is(err, down) {
		t.Errorf("a full disk: %v", err)
	}
}

type failingWriter struct{ err error }

func (w failingWriter) Write([]byte) (int, error) { return 0, w.err }

func TestGuessKind(t *testing.T) {
	for address, want := range map[string]audience.Kind{
		"anna@example.com": "email", "+46701740605": "phone", "070-174 06 05": "phone", " 0701740605": "phone", "C-17": "contact", "17": "contact", "007": "contact",
		"81f35d17e86eec600c6662a933a06258": "key", "81f35d17e86eec600c6662a933a0625": "contact", "": "contact",
	} {
		if got := suppression.GuessKind(address); got != want {
			t.Errorf("%q: got %s, want %s", address, got, want)
		}
	}
}

type fixedIndex struct {
	matches []suppression.Match
	asked   *suppression.Scope
	err     error
}

func (i fixedIndex) Matching(_ context.Context, scope suppression.Scope, _ []audience.Key) ([]suppression.Match, int64, error) {
	*i.asked = scope
	return i.matches, 41, i.err
}

func TestCheckGivesTheWeightiestCause(t *testing.T) {
	var asked suppression.Scope
	scope := suppression.Scope{Channel: audience.SMS, Topic: "news", Purpose: suppression.Marketing}
	index := fixedIndex{[]suppression.Match{{Cause: suppression.Bounced}, {Cause: suppression.Stopped}, {Cause: suppression.Paused}}, &asked, nil}
	cause, version, err := suppression.Check(t.Context(), index, scope, audience.Key{1}, audience.Key{2})
	if cause != suppression.Stopped || version != 41 || err != nil || asked != scope {
		t.Errorf("got %s, %d, %v, asked %+v", cause, version, err, asked)
	}
	index.matches = nil
	if cause, _, _ := suppression.Check(t.Context(), index, scope); cause != "" {
		t.Errorf("nothing matches, and the cause is %s", cause)
	}
	index.err = errors.New("down")
	if _, _, err := suppression.Check(t.Context(), index, scope); !errors.Is(err, index.err) {
		t.Error(err)
	}
}

func FuzzImportFile(f *testing.F) {
	for _, seed := range []string{"kind,address\nemail,a@example.com\n", "kind;address;cause\n\"email\";\"a@example.com\";paused\n", "kind,address\n\"\n\"\n,\n", "\xef\xbb\xbfkind\taddress\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		book := &wishBook{}
		r := importFile(t, book, bytes.NewReader(file))
		if r.report.Lines != r.report.Recorded+r.report.Rejected || r.report.Recorded != len(book.wishes) {
			t.Errorf("%+v with %d wishes", r.report, len(book.wishes))
		}
		var refused *audience.FileError
		if r.err != nil && !errors.As(r.err, &refused) {
			t.Errorf("a line stopped the import: %v", r.err)
		}
		for _, w := range book.wishes {
			if err := w.Entry.Validate(); err != nil {
				t.Error(err)
			}
		}
	})
}
