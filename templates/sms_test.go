package templates

import (
	"strings"
	"testing"
)

func TestSegments(t *testing.T) {
	tests := map[string]struct {
		text    string
		n       int
		unicode bool
	}{
		"empty":                        {"", 0, false},
		"one":                          {strings.Repeat("a", 160), 1, false},
		"two":                          {strings.Repeat("a", 161), 2, false},
		"two full":                     {strings.Repeat("a", 306), 2, false},
		"three":                        {strings.Repeat("a", 307), 3, false},
		"Swedish letters":              {strings.Repeat("åäöÅÄÖé@", 20), 1, false},
		"line feeds":                   {strings.Repeat("\n", 160), 1, false},
		"extension counts two":         {strings.Repeat("€", 80), 1, false},
		"extension spills over":        {strings.Repeat("{", 81), 2, false},
		"extension is never split":     {strings.Repeat("a", 152) + "€" + strings.Repeat("a", 152), 3, false},
		"all of the extension":         {"^{}\\[~]|€\f", 1, false},
		"no-break space":               {"a\u00a0b", 1, true},
		"dash":                         {"a – b", 1, true},
		"small c with cedilla":         {"ç", 1, true},
		"UCS-2 one":                    {strings.Repeat("–", 70), 1, true},
		"UCS-2 two":                    {strings.Repeat("–", 71), 2, true},
		"UCS-2 two full":               {strings.Repeat("–", 134), 2, true},
		"UCS-2 three":                  {strings.Repeat("–", 135), 3, true},
		"emoji counts two":             {strings.Repeat("🦐", 35), 1, true},
		"emoji spills over":            {strings.Repeat("🦐", 36), 2, true},
		"emoji is never split":         {strings.Repeat("–", 66) + "🦐" + strings.Repeat("–", 66), 3, true},
		"Swedish letters in UCS-2":     {strings.Repeat("å", 69) + "–", 1, true},
		"euro counts one in UCS-2":     {strings.Repeat("€", 69) + "–", 1, true},
		"bytes that are no characters": {"a\xffb", 1, true},
	}
	for name, tt := range tests {
		if n, unicode := Segments(tt.text); n != tt.n || unicode != tt.unicode {
			t.Errorf("%s: %d segments, unicode %v; want %d, %v", name, n, unicode, tt.n, tt.unicode)
		}
	}
}
