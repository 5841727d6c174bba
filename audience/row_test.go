package audience_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"utskick/audience"
)

func TestApply(t *testing.T) {
	stored := func() audience.Contact {
		return audience.Contact{
			ID: 7, ExternalID: "K1", Email: "anna@example.com", Phone: "+46701740605", FirstName: "Anna",
			Basis: audience.Consent, BasisEvidence: "webbformulär",
			Attributes: map[string]string{"city": "Malmö", "tier": "guld"},
			Devices:    []audience.Device{{ID: 1, Token: "demo-token-1"}, {ID: 2, Token: "demo-token-2", Active: true}},
		}
	}
	row := func(set audience.Fields, c audience.Contact) audience.Row {
		c.ExternalID = "K1"
		return audience.Row{Contact: c, Set: set}
	}
	device := func(token string) audience.Device { return audience.Device{Token: token, Active: true} }
	tests := []struct {
		name string
		row  audience.Row
		want func(*audience.Contact) // nil: nothing changes
	}{
		{"nothing is spoken of", row(0, audience.Contact{Email: "bengt@example.com"}), nil},
		{"the same again", row(audience.FieldEmail|audience.FieldFirstName, audience.Contact{Email: "anna@example.com", FirstName: "Anna"}), nil},
		{"a new address", row(audience.FieldEmail, audience.Contact{Email: "anna@example.net"}),
			func(c *audience.Contact) { c.Email = "anna@example.net" }},
		{"a cleared address", row(audience.FieldPhone, audience.Contact{}),
			func(c *audience.Contact) { c.Phone = "" }},
		{"attributes", row(0, audience.Contact{Attributes: map[string]string{"city": "", "points": "5"}}),
			func(c *audience.Contact) { c.Attributes = map[string]string{"tier": "guld", "points": "5"} }},
		{"devices in another order", row(audience.FieldDevices, audience.Contact{Devices: []audience.Device{device("demo-token-2"), device("demo-token-1")}}), nil},
		{"a new device", row(audience.FieldDevices, audience.Contact{Devices: []audience.Device{device("demo-token-1"), device("demo-token-3")}}),
			func(c *audience.Contact) {
				c.Devices = []audience.Device{{ID: 1, Token: "demo-token-1"}, device("demo-token-3")}
			}},
		{"no devices", row(audience.FieldDevices, audience.Contact{}),
			func(c *audience.Contact) { c.Devices = nil }},
		{"another basis", row(audience.FieldBasis, audience.Contact{Basis: audience.SoftOptIn}),
			func(c *audience.Contact) { c.Basis, c.BasisEvidence = audience.SoftOptIn, "" }},
		{"the same basis", row(audience.FieldBasis, audience.Contact{Basis: audience.Consent}), nil},
		{"another basis with evidence", row(audience.FieldBasis|audience.FieldBasisEvidence, audience.Contact{Basis: audience.SoftOptIn, BasisEvidence: "kassan"}),
			func(c *audience.Contact) { c.Basis, c.BasisEvidence = audience.SoftOptIn, "kassan" }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			before, want := stored(), stored()
			if test.want != nil {
				test.want(&want)
			}
			got, changed := test.row.Apply(before)
			if changed != (test.want != nil) {
				t.Errorf("changed is %v", changed)
			}
			if diff := cmp.Diff(stored(), before); diff != "" {
				t.Errorf("the stored contact was changed (-before +after):\n%s", diff)
			}
			if !changed {
				got = want // the order of devices may differ
			}
			if diff := cmp.Diff(want, got, cmp.Transformer("absent", emptyIsNil)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func emptyIsNil(devices []audience.Device) map[string]audience.Device {
	m := map[string]audience.Device{}
	for _, d := range devices {
		m[d.Token] = d
	}
	return m
}

func TestApplyToNobody(t *testing.T) {
	got, changed := audience.Row{Contact: audience.Contact{ExternalID: "K1", Attributes: map[string]string{"city": ""}}}.Apply(audience.Contact{})
	if diff := cmp.Diff(audience.Contact{ExternalID: "K1"}, got); diff != "" || !changed {
		t.Errorf("changed %v (-want +got):\n%s", changed, diff)
	}
}
