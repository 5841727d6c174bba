package audience_test

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"

	"utskick/audience"
)

// A key that changed would match no suppression any more, so its bytes are
// fixed here. They were made with another implementation of HMAC-SHA256.
func TestKeyIsStable(t *testing.T) {
	keyer := testKeyer(t)
	if got, want := keyer.Key(audience.KindEmail, "anna@example.com").String(), "7a08c2dd65649c26624b94a24f1bab04"; got != want {
		t.Errorf("key = %s, want %s", got, want)
	}
	if got, want := keyer.Fingerprint(), "defdeddbb5a9acb31b8906d7111313e1"; got != want {
		t.Errorf("fingerprint = %s, want %s", got, want)
	}
}

func TestKeysOfKindsDiffer(t *testing.T) {
	keyer := testKeyer(t)
	seen := map[audience.Key]audience.Kind{}
	for _, kind := range []audience.Kind{audience.KindEmail, audience.KindPhone, audience.KindPush, audience.KindPost, audience.KindContact} {
		key := keyer.Key(kind, "a")
		if other, ok := seen[key]; ok {
			t.Errorf("%s and %s have the same key", kind, other)
		}
		seen[key] = kind
	}
}

func TestKeyText(t *testing.T) {
	key := testKeyer(t).Key(audience.KindPhone, "+46701740605")
	back, err := audience.ParseKey(key.String())
	if err != nil || back != key {
		t.Errorf("ParseKey(String) = %v, %v", back, err)
	}
	for _, bad := range []string{"", "00", key.String() + "00", "x" + key.String()[1:]} {
		if _, err := audience.ParseKey(bad); err == nil {
			t.Errorf("ParseKey(%q) has no error", bad)
		}
	}
}

func TestKeyInDatabase(t *testing.T) {
	for name, key := range map[string]audience.Key{
		"a key": testKeyer(t).Key(audience.KindPush, "demo-token-1"), "no key": {},
	} {
		value, err := key.Value()
		if err != nil {
			t.Fatal(err)
		}
		back := audience.Key{1}
		if err := back.Scan(value); err != nil || back != key {
			t.Errorf("%s: Scan(Value) = %v, %v", name, back, err)
		}
	}
	var key audience.Key
	if key.Scan([]byte("short")) == nil || key.Scan("text") == nil {
		t.Error("what is no key was scanned")
	}
}

func TestShortPepperIsRefused(t *testing.T) {
	if _, err := audience.NewKeyer(bytes.Repeat([]byte{7}, audience.MinPepper-1)); err == nil {
		t.Error("a pepper of 31 bytes was accepted")
	}
}

func TestContactKeys(t *testing.T) {
	keyer := testKeyer(t)
	key := func(kind audience.Kind, s string) audience.KindKey {
		return audience.KindKey{Kind: kind, Key: keyer.Key(kind, s)}
	}
	whole := audience.Contact{
		ExternalID: "K1", Email: "anna@example.com", Phone: "+46701740605",
		Devices: []audience.Device{{Token: "demo-token-1", Active: true}, {Token: "demo-token-2"}},
	}
	tests := map[string]struct {
		contact audience.Contact
		want    []audience.KindKey
	}{
		"all that a contact has": {whole, []audience.KindKey{
			key(audience.KindContact, "K1"), key(audience.KindEmail, "anna@example.com"), key(audience.KindPhone, "+46701740605"),
			key(audience.KindPush, "demo-token-1"), key(audience.KindPush, "demo-token-2"),
		}},
		"no address at all": {audience.Contact{ExternalID: "K2"}, []audience.KindKey{key(audience.KindContact, "K2")}},
	}
	for name, test := range tests {
		if diff := cmp.Diff(test.want, keyer.ContactKeys(test.contact)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
