package templates

import (
	"strings"
	"unicode/utf16"
)

// The characters of the GSM 7-bit default alphabet, and of its extension table,
// whose characters take two (3GPP TS 23.038, 6.2.1).
const (
	gsmBasic = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?" +
		"¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
	gsmExtended = "\f^{}\\[~]|€"
)

// Segments returns how many segments an SMS takes, and whether it must be sent
// as UCS-2. One segment has 160 GSM-7 characters or 70 UTF-16 units; each of
// several has 153 or 67, and no character is split between two.
func Segments(text string) (n int, unicode bool) {
	units := make([]int, 0, len(text))
	for _, r := range text {
		size := gsmUnits(r)
		if size == 0 {
			unicode = true
			break
		}
		units = append(units, size)
	}
	single, several := 160, 153
	if unicode {
		single, several = 70, 67
		units = units[:0]
		for _, r := range text {
			units = append(units, utf16.RuneLen(r))
		}
	}
	return pack(units, single, several), unicode
}

// gsmUnits returns how many septets a character takes, 0 if it has none.
func gsmUnits(r rune) int {
	switch {
	case strings.ContainsRune(gsmBasic, r):
		return 1
	case strings.ContainsRune(gsmExtended, r):
		return 2
	}
	return 0
}

func pack(units []int, single, several int) int {
	total := 0
	for _, u := range units {
		total += u
	}
	if total == 0 {
		return 0
	}
	if total <= single {
		return 1
	}
	segments, used := 1, 0
	for _, u := range units {
		if used+u > several {
			segments, used = segments+1, 0
		}
		used += u
	}
	return segments
}
