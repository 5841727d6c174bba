package audience_test

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"utskick/audience"
)

type normalizing struct{ in, want string }

// refuse holds what must be refused by the rule that says why.
type refuse struct {
	in   string
	rule audience.Rule
}

func checkNormalize(t *testing.T, normalize func(string) (string, error), accepted []normalizing, refused []refuse) {
	t.Helper()
	for _, test := range accepted {
		if got, err := normalize(test.in); got != test.want || err != nil {
			t.Errorf("%q becomes %q, %v; want %q", test.in, got, err, test.want)
		}
	}
	for _, test := range refused {
		got, err := normalize(test.in)
		if got != "" || !errors.Is(err, test.rule) {
			t.Errorf("%.80q becomes %q, error %v; want the error %v", test.in, got, err, test.rule)
		}
	}
}

func TestNormalizeEmail(t *testing.T) {
	long := strings.Repeat("a", 63) + "." // a label and its dot
	checkNormalize(t, audience.NormalizeEmail, []normalizing{
		{"anna@example.com", "anna@example.com"},
		{" \t Anna.ANDERSSON@Example.COM \r\n", "anna.andersson@example.com"},
		{"anna+host@example.com", "anna+host@example.com"},
		{"kund@räksmörgås.test", "kund@xn--rksmrgs-5wao1o.test"},
		{"kund@RÄKSMÖRGÅS.test", "kund@xn--rksmrgs-5wao1o.test"},
		{"kund@ra\u0308ksmo\u0308rga\u030as.test", "kund@xn--rksmrgs-5wao1o.test"},
		{"kund@XN--rksmrgs-5wao1o.test", "kund@xn--rksmrgs-5wao1o.test"},
		{"kund@straße.test", "kund@xn--strae-oqa.test"}, // not strasse
		{"kund@example。com", "kund@example.com"},
		{"Åsa@example.com", "åsa@example.com"},
		{"A\u030asa@example.com", "åsa@example.com"},
		{"J\u030c@example.com", "\u01f0@example.com"}, // composes in lower case only
		{"\u212a@example.com", "k@example.com"},       // the Kelvin sign
		{"!#$%&'*+-/=?^_`{|}~@example.com", "!#$%&'*+-/=?^_`{|}~@example.com"},
		{"a@b-c.d1.example.com", "a@b-c.d1.example.com"},
		{strings.Repeat("a", 64) + "@example.com", strings.Repeat("a", 64) + "@example.com"},
	}, []refuse{
		{"", audience.ErrEmpty},
		{" \t", audience.ErrEmpty},
		{"anna", audience.ErrNoAt},
		{"anna＠example.com", audience.ErrNoAt}, // full width
		{"@example.com", audience.ErrLocalEmpty},
		{"anna@bengt@example.com", audience.ErrTwoAts},
		{"anna andersson@example.com", audience.ErrLocalSpace},
		{"anna\u00a0andersson@example.com", audience.ErrLocalSpace},
		{`"anna"@example.com`, audience.ErrLocalQuoted},
		{"Anna <anna@example.com>", audience.ErrLocalSpace},
		{"<anna@example.com>", audience.ErrLocalInvalid},
		{"anna,bengt@example.com", audience.ErrLocalInvalid},
		{"anna\u037ebengt@example.com", audience.ErrLocalInvalid}, // composes to a semicolon
		{"an\u200bna@example.com", audience.ErrLocalInvalid},      // zero width space
		{"an\u202ena@example.com", audience.ErrLocalInvalid},      // text direction
		{".anna@example.com", audience.ErrLocalDots},
		{"anna.@example.com", audience.ErrLocalDots},
		{"an..na@example.com", audience.ErrLocalDots},
		{strings.Repeat("a", 65) + "@example.com", audience.ErrLocalLong},
		{strings.Repeat("å", 33) + "@example.com", audience.ErrLocalLong},
		{"anna@example.com\nBcc: bengt@example.com", audience.ErrControl},
		{"anna\r\n@example.com", audience.ErrControl},
		{"anna\x00@example.com", audience.ErrControl},
		{"anna\xff@example.com", audience.ErrNotUTF8},
		{"anna@", audience.ErrDomain},
		{"anna@localhost", audience.ErrDomain},
		{"anna@example..com", audience.ErrDomain},
		{"anna@.example.com", audience.ErrDomain},
		{"anna@example.com.", audience.ErrDomain},
		{"anna@-example.com", audience.ErrDomain},
		{"anna@ex_ample.com", audience.ErrDomain},
		{"anna@exa mple.com", audience.ErrDomain},
		{"anna@192.0.2.1", audience.ErrDomain},
		{"anna@[192.0.2.1]", audience.ErrDomain},
		{"anna@xn--a.test", audience.ErrDomain}, // no Punycode
		{"anna@ab--cd.test", audience.ErrDomain},
		{"anna@" + strings.Repeat("a", 64) + ".test", audience.ErrDomain},
		{"anna@" + strings.Repeat(long, 3) + strings.Repeat("a", 58), audience.ErrEmailLong},
		{strings.Repeat("a", 2000) + "@example.com", audience.ErrEmailLong},
	})
}

func TestNormalizePhone(t *testing.T) {
	swedish := func(s string) (string, error) { return audience.NormalizePhone(s, "SE") }
	checkNormalize(t, swedish, []normalizing{
		{"070-174 06 05", "+46701740605"},
		{"0701740605", "+46701740605"},
		{" +46 70 174 06 05 ", "+46701740605"},
		{"+46 (0)70-174 06 05", "+46701740605"},
		{"(070) 174.06.05", "+46701740605"},
		{"070/1740605", "+46701740605"},
		{"0046701740605", "+46701740605"},
		{"46701740605", "+46701740605"},
		{"070–174\u00a006\u202f05", "+46701740605"},
		{"+1 212 555 0123", "+12125550123"},
		{"+1 (415) 555-0199", "+14155550199"},
	}, []refuse{
		{"", audience.ErrEmpty},
		{"070-174 06 05 anknytning 3", audience.ErrPhoneCharacter},
		{"070-SALUDO", audience.ErrPhoneCharacter},
		{"0701740605;ext=3", audience.ErrPhoneCharacter},
		{"tel:0701740605", audience.ErrPhoneCharacter},
		{"070+1740605", audience.ErrPhoneCharacter},
		{"0701740605\n0701740606", audience.ErrPhoneCharacter},
		{"saknas", audience.ErrPhoneCharacter},
		{"-", audience.ErrPhoneInvalid},
		{"070-174", audience.ErrPhoneInvalid},
		{"0701740605/0701740606", audience.ErrPhoneInvalid},
		{strings.Repeat("1", 300), audience.ErrPhoneInvalid},
		{"+44 7700 900123", audience.ErrPhoneInvalid},
		{"+1 800 555 0199", audience.ErrPhoneNoSMS}, // toll-free
	})
	nowhere := func(s string) (string, error) { return audience.NormalizePhone(s, "") }
	checkNormalize(t, nowhere,
		[]normalizing{{"+46701740605", "+46701740605"}},
		[]refuse{{"0701740605", audience.ErrPhoneInvalid}})
}

func TestNormalizeToken(t *testing.T) {
	checkNormalize(t, audience.NormalizeToken, []normalizing{
		{" demo-token-1 ", "demo-token-1"},
		{"dEmO:APA91b_x-1", "dEmO:APA91b_x-1"},
		{strings.Repeat("a", 4096), strings.Repeat("a", 4096)},
	}, []refuse{
		{"  ", audience.ErrEmpty},
		{"demo token", audience.ErrTokenCharacter},
		{"demo\x7ftoken", audience.ErrTokenCharacter},
		{"demo-tåken", audience.ErrTokenCharacter},
		{strings.Repeat("a", 4097), audience.ErrTokenLong},
	})
}

func TestNormalizeExternalID(t *testing.T) {
	checkNormalize(t, audience.NormalizeExternalID, []normalizing{
		{" K-0017 ", "K-0017"},
		{"kund 17", "kund 17"},
		{"A\u030asa", "Åsa"},
		{strings.Repeat("a", 255), strings.Repeat("a", 255)},
	}, []refuse{
		{"", audience.ErrEmpty},
		{"\u00a0", audience.ErrEmpty},
		{"K\n17", audience.ErrControl},
		{"K\u200b17", audience.ErrIDInvisible},
		{"K\xff", audience.ErrNotUTF8},
		{strings.Repeat("a", 256), audience.ErrIDLong},
		{strings.Repeat("a", 10_000), audience.ErrIDLong},
	})
}

// A wish is kept for numbers that a contact would be refused, and its key is
// that of the contact for the numbers that both accept.
func TestNormalizeForWishes(t *testing.T) {
	for _, test := range []struct {
		kind     audience.Kind
		in, want string
	}{
		{audience.KindEmail, " Anna@Example.COM", "anna@example.com"},
		{audience.KindPhone, "070-174 06 05", "+46701740605"},
		{audience.KindPhone, "+1 800 555 0199", "+18005550199"},
		{audience.KindPhone, "+44 7700 900123", "+447700900123"},
		{audience.KindPush, " demo-token-1", "demo-token-1"},
		{audience.KindContact, " K1 ", "K1"},
	} {
		if got, err := audience.Normalize(test.kind, test.in, "SE"); got != test.want || err != nil {
			t.Errorf("%s %q becomes %q, %v; want %q", test.kind, test.in, got, err, test.want)
		}
	}
	for kind, in := range map[audience.Kind]string{audience.KindPost: "Exempelgatan 1", audience.KindPhone: "07", "pigeon": "x"} {
		if got, err := audience.Normalize(kind, in, "SE"); err == nil {
			t.Errorf("%s %q becomes %q", kind, in, got)
		}
	}
}

// checkNormalForm holds for everything that is accepted: normalising again
// changes nothing; and for everything that is refused: the error is a rule.
func checkNormalForm(t *testing.T, normalize func(string) (string, error), in string) (normal string, ok bool) {
	t.Helper()
	normal, err := normalize(in)
	if err != nil {
		var rule audience.Rule
		if !errors.As(err, &rule) || normal != "" {
			t.Fatalf("%q is refused with %q and %v, which is no rule", in, normal, err)
		}
		return "", false
	}
	if again, err := normalize(normal); again != normal || err != nil {
		t.Fatalf("%q becomes %q, and that becomes %q, %v", in, normal, again, err)
	}
	return normal, true
}

func FuzzNormalizeEmail(f *testing.F) {
	for _, s := range []string{"Anna@Example.COM", "kund@räksmörgås.test", "kund@xn--rksmrgs-5wao1o.test", "J\u030c@example.com", "a@b@c.test", "\u0130@example.com"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		email, ok := checkNormalForm(t, audience.NormalizeEmail, in)
		if !ok {
			return
		}
		local, domain, _ := strings.Cut(email, "@")
		switch {
		case len(email) > 254 || len(local) > 64 || !utf8.ValidString(email):
			t.Errorf("%q becomes %q", in, email)
		case strings.ContainsAny(email, " \t\r\n\x00<>\",;:()[]\\") || strings.Count(email, "@") != 1:
			t.Errorf("%q becomes %q, which could be more than an address", in, email)
		case strings.Trim(domain, "abcdefghijklmnopqrstuvwxyz0123456789-.") != "" || !strings.Contains(domain, "."):
			t.Errorf("%q has the domain %q", in, domain)
		}
		if upper, ok := checkNormalForm(t, audience.NormalizeEmail, upperASCII(in)); !ok || upper != email {
			t.Errorf("%q becomes %q, but its capitals become %q", in, email, upper)
		}
	})
}

func upperASCII(s string) string {
	return strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' {
			return r - 'a' + 'A'
		}
		return r
	}, s)
}

func FuzzNormalizePhone(f *testing.F) {
	for _, s := range []string{"070-174 06 05", "+1 (212) 555-0123", "+46 (0)70 1740605", "+44 7700 900123", "00 1"} {
		f.Add(s, "SE")
		f.Add(s, "")
	}
	f.Fuzz(func(t *testing.T, in, region string) {
		phone, ok := checkNormalForm(t, func(s string) (string, error) { return audience.NormalizePhone(s, region) }, in)
		if ok && (phone[0] != '+' || len(phone) < 5 || len(phone) > 16 || strings.Trim(phone[1:], "0123456789") != "") {
			t.Errorf("%q becomes %q", in, phone)
		}
		wish, kept := checkNormalForm(t, func(s string) (string, error) { return audience.Normalize(audience.KindPhone, s, region) }, in)
		if ok && (!kept || wish != phone) {
			t.Errorf("%q is %q for a contact and %q for a wish", in, phone, wish)
		}
	})
}

func FuzzNormalizeNames(f *testing.F) {
	for _, s := range []string{" demo-token-1 ", "K\u200b17", "A\u030asa", "\u0344"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		checkNormalForm(t, audience.NormalizeToken, in)
		if id, ok := checkNormalForm(t, audience.NormalizeExternalID, in); ok && len(id) > 255 {
			t.Errorf("%q becomes %d bytes", in, len(id))
		}
	})
}
