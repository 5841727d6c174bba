package audience_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"utskick/audience"
)

// kept keeps the rows of an import.
type kept []audience.Row

func (k *kept) RegisterAttributes(context.Context, []string) error { return nil }

func (k *kept) SaveContacts(_ context.Context, rows []audience.Row) (audience.Saved, error) {
	*k = append(*k, rows...)
	return audience.Saved{Created: len(rows)}, nil
}

// TestConsentsTowardsSenders reads columns that name a sender, and refuses files
// with those that name none.
func TestConsentsTowardsSenders(t *testing.T) {
	purposes := audience.ImportOptions{Purposes: []string{"marketing"}}
	var rows kept
	const file = "external_id,consent.marketing,consent.marketing.a-1,consent.marketing.b\n1,no,yes,\n"
	if _, err := audience.Import(t.Context(), strings.NewReader(file), &rows, purposes); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]bool{"marketing": false, "marketing.a-1": true}, rows[0].Consents); diff != "" {
		t.Error(diff)
	}
	for _, name := range []string{"consent.", "consent.marketing.", "consent.marketing.A", "consent.marketing.a.b", "consent.other.a", "consent.marketing.-", "consent.marketing.*"} {
		var refused *audience.FileError
		_, err := audience.Import(t.Context(), strings.NewReader("external_id,"+name+"\n1,yes\n"), &rows, purposes)
		if !errors.As(err, &refused) {
			t.Errorf("%s is read: %v", name, err)
		}
	}
}
