package templates

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func goodSender() Sender {
	s := fuzzSender
	s.Name = "exempelbolaget"
	return s
}

func tellAll(s *Sender) {
	s.Topics = map[string]Label{"offer": {Swedish: "Erbjudanden", English: "Offers"}, "newsletter": {Swedish: "Nyhetsbrev"}}
	s.CustomerService = &CustomerService{Email: "kundservice@exempelbolaget.test", Phone: "+46 70 174 06 05", Page: "https://exempelbolaget.test/hjalp",
		PostalAddress: "Box 1\n111 11 Exempelstad"}
	s.DataProtection = &Officer{Name: "Ann Exempel", Email: "dso@exempelbolaget.test"}
	s.PrivacyNotice, s.CookieSettings = "https://exempelbolaget.test/integritet", "https://exempelbolaget.test/kakor"
	s.AdPlatforms = []AdPlatform{{"Exempelnätet", "https://natet.test/info", "https://natet.test/settings"}, {Name: "Annonsregistret", Settings: "https://registret.test/"}}
}

func TestCheckSender(t *testing.T) {
	tests := map[string]struct {
		change func(*Sender)
		want   []string // fields
	}{
		"good":                    {func(s *Sender) {}, nil},
		"empty":                   {func(s *Sender) { *s = Sender{} }, []string{"name", "from_name", "from_email", "reply_to", "postal_address", "site"}},
		"all that pages tell":     {tellAll, nil},
		"a kind without a name":   {func(s *Sender) { tellAll(s); s.Topics = map[string]Label{"offer": {}} }, []string{"topics"}},
		"a kind of two lines":     {func(s *Sender) { tellAll(s); s.Topics["offer"] = Label{English: "a\nb"} }, []string{"topics"}},
		"a kind that is no topic": {func(s *Sender) { tellAll(s); s.Topics["an offer"] = Label{English: "Offers"} }, []string{"topics"}},
		"a service with nothing":  {func(s *Sender) { s.CustomerService = &CustomerService{PostalAddress: "Box 1"} }, []string{"customer_service"}},
		"a service by a script":   {func(s *Sender) { tellAll(s); s.CustomerService.Page = "javascript:x" }, []string{"customer_service"}},
		"a phone in words":        {func(s *Sender) { tellAll(s); s.CustomerService.Phone = "call us" }, []string{"customer_service"}},
		"a nameless officer":      {func(s *Sender) { tellAll(s); s.DataProtection = &Officer{Name: "Ann"} }, []string{"data_protection_officer"}},
		"notice and cookies":      {func(s *Sender) { s.PrivacyNotice, s.CookieSettings = "notice", "//x.test" }, []string{"privacy_notice", "cookie_settings"}},
		"a platform by name":      {func(s *Sender) { s.AdPlatforms = []AdPlatform{{Name: "Exempelnätet"}} }, []string{"ad_platforms"}},
		"a platform by a file":    {func(s *Sender) { tellAll(s); s.AdPlatforms[0].Info = "file:///x" }, []string{"ad_platforms"}},
		"number":                  {func(s *Sender) { s.SMSSender = "+46701740605" }, nil},
		"no SMS":                  {func(s *Sender) { s.SMSSender = "" }, nil},
		"service":                 {func(s *Sender) { s.SMSService = "MG" + strings.Repeat("0a", 16) }, nil},
		"policy":                  {func(s *Sender) { s.OpenTracking = Never }, nil},
		"selector":                {func(s *Sender) { s.DKIMSelector = "s1" }, nil},
		"name with a space":       {func(s *Sender) { s.Name = "Exempel AB" }, []string{"name"}},
		"header in the name":      {func(s *Sender) { s.FromName = "Exempel\r\nBcc: x@example.com" }, []string{"from_name"}},
		"name with the address":   {func(s *Sender) { s.FromEmail = "Exempel <nytt@exempelbolaget.test>" }, []string{"from_email"}},
		"two addresses":           {func(s *Sender) { s.FromEmail = "a@example.com,b@example.com" }, []string{"from_email"}},
		"host without dot":        {func(s *Sender) { s.ReplyTo = "svar@localhost" }, []string{"reply_to"}},
		"address literal":         {func(s *Sender) { s.ReplyTo = "svar@[192.0.2.1]" }, []string{"reply_to"}},
		"no reply":                {func(s *Sender) { s.ReplyTo = "" }, []string{"reply_to"}},
		"blank address":           {func(s *Sender) { s.PostalAddress = " \n " }, []string{"postal_address"}},
		"site without scheme":     {func(s *Sender) { s.Site = "www.exempelbolaget.test" }, []string{"site"}},
		"site with a script":      {func(s *Sender) { s.Site = `https://x.test/"onclick="` }, []string{"site"}},
		"twelve letters":          {func(s *Sender) { s.SMSSender = "Exempelbolag" }, []string{"sms_sender"}},
		"digits only":             {func(s *Sender) { s.SMSSender = "71234" }, []string{"sms_sender"}},
		"letters with an umlaut":  {func(s *Sender) { s.SMSSender = "Åhlén" }, []string{"sms_sender"}},
		"national number":         {func(s *Sender) { s.SMSSender = "0701740605" }, []string{"sms_sender"}},
		"number with spaces":      {func(s *Sender) { s.SMSSender = "+46 70 174 06 05" }, []string{"sms_sender"}},
		"short service":           {func(s *Sender) { s.SMSService = "MG12" }, []string{"sms_service"}},
		"unknown policy":          {func(s *Sender) { s.OpenTracking = "sometimes" }, []string{"open_tracking"}},
		"several, in field order": {func(s *Sender) { s.Site, s.FromName, s.SMSSender = "", "", "?" }, []string{"from_name", "site", "sms_sender"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := goodSender()
			tt.change(&s)
			var got []string
			if err := CheckSender(s); err != nil {
				var invalid *SenderError
				if !errors.As(err, &invalid) {
					t.Fatalf("CheckSender gives %T", err)
				}
				for _, p := range invalid.Problems {
					got = append(got, p.Field)
				}
				if strings.ContainsAny(err.Error(), "@") || s.SMSSender != "" && strings.Contains(err.Error(), ": "+s.SMSSender) {
					t.Errorf("the error repeats a value: %v", err)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("wanted (-), got (+):\n%s", diff)
			}
		})
	}
}

func TestLanguageFor(t *testing.T) {
	tpl := Template{Default: "en", Contents: map[string]Content{"en": {}, "sv": {}, "sv-FI": {}, "zh-Hant": {}}}
	for locale, want := range map[string]string{
		"sv": "sv", "sv-SE": "sv", "SV_se": "sv", "sv-FI": "sv-FI", "sv_fi": "sv-FI", "sv-FI-x-a": "sv-FI", "zh-Hant-TW": "zh-Hant", "zh": "en",
		"de-DE": "en", "": "en", "-": "en", "svenska": "en", "s": "en", "en-GB": "en",
	} {
		if got := LanguageFor(tpl, locale); got != want {
			t.Errorf("%q gets %q, not %q", locale, got, want)
		}
	}
}
