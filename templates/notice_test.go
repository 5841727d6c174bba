package templates

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCheckNotice(t *testing.T) {
	good := PrivacyNotice{Sender: "exempelbolaget", Version: "2026-01-15", Language: "sv", Date: "2026-01-15",
		URL: "https://www.exempelbolaget.test/integritet", Hash: HashNotice([]byte("Så använder vi dina uppgifter."))}
	for name, c := range map[string]struct {
		change func(*PrivacyNotice)
		fields []string
	}{
		"all of it":       {func(*PrivacyNotice) {}, nil},
		"of all senders":  {func(n *PrivacyNotice) { n.Sender = AllSenders }, nil},
		"no language":     {func(n *PrivacyNotice) { n.Language = "" }, nil},
		"an address":      {func(n *PrivacyNotice) { n.Hash = "" }, nil},
		"a text":          {func(n *PrivacyNotice) { n.URL = "" }, nil},
		"neither":         {func(n *PrivacyNotice) { n.URL, n.Hash = "", "" }, []string{"url"}},
		"no sender":       {func(n *PrivacyNotice) { n.Sender = "" }, []string{"sender"}},
		"a long version":  {func(n *PrivacyNotice) { n.Version = string(make([]byte, 64)) }, []string{"version"}},
		"no such day":     {func(n *PrivacyNotice) { n.Date = "2026-02-30" }, []string{"date"}},
		"a moment":        {func(n *PrivacyNotice) { n.Date = "2026-01-15T00:00:00Z" }, []string{"date"}},
		"a bad address":   {func(n *PrivacyNotice) { n.URL = "javascript:alert(1)" }, []string{"url"}},
		"a bad hash":      {func(n *PrivacyNotice) { n.Hash = "0a" }, []string{"hash"}},
		"a bad language":  {func(n *PrivacyNotice) { n.Language = "svenska språket" }, []string{"language"}},
		"nothing at all":  {func(n *PrivacyNotice) { *n = PrivacyNotice{} }, []string{"sender", "version", "date", "url"}},
		"several of them": {func(n *PrivacyNotice) { n.Version, n.Hash = "a b", "x" }, []string{"version", "hash"}},
	} {
		n := good
		c.change(&n)
		var refused *NoticeError
		var fields []string
		if errors.As(CheckNotice(n), &refused) {
			for _, p := range refused.Problems {
				fields = append(fields, p.Field)
			}
		}
		if diff := cmp.Diff(c.fields, fields); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}
