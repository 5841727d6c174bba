package audience_test

import (
	"strings"
	"testing"

	"utskick/audience"
)

// The numbers are the Swedish Tax Agency's test numbers, or of its own examples.
func TestIdentityNumbersAreFound(t *testing.T) {
	for _, text := range []string{"19121212-1212", "191212121212", "121212-1212", "1212121212", "121212+1212", "pnr:121212-1212.", "(191212121212)",
		"701063-2391", "7010632391", "197010632391", "19701063 2391", "121212–1212", "12 och 121212-1212", "x1212121212y", "121212-1213 eller 121212-1212"} {
		if !audience.HasIdentityNumber(text) {
			t.Errorf("%q passed", text)
		}
	}
	for _, text := range []string{"", "121212-1213", "121312-1212", "121232-1215", "2026-11-28", "20261128", "+46701740605", "0701740606", "case 121212",
		"1121212-1212", "121212-12124", "21121212-1212", "121212 12 12", "91212121212", strings.Repeat("1", 40), "121212--1212"} {
		if audience.HasIdentityNumber(text) {
			t.Errorf("%q was taken for one", text)
		}
	}
}

// FuzzIdentityNumber: whatever stands around a number, with no digit beside it,
// it is found; and nothing panics.
func FuzzIdentityNumber(f *testing.F) {
	f.Add("hej ", " tack")
	f.Add("12", "-3")
	f.Add("å–", "\xff")
	f.Fuzz(func(t *testing.T, before, after string) {
		audience.HasIdentityNumber(before)
		if !audience.HasIdentityNumber(before + ";19121212-1212;" + after) {
			t.Errorf("not found between %q and %q", before, after)
		}
	})
}
