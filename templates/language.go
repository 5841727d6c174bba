package templates

import "strings"

// LanguageFor returns the language of t that a contact with this locale gets:
// the locale itself (sv-SE), else what is left when its last subtags are taken
// away one by one (sv), else the template's default. Case and underscores do
// not matter.
func LanguageFor(t Template, locale string) string {
	for tag := locale; tag != ""; {
		if _, ok := t.Contents[tag]; ok {
			return tag
		}
		for language := range t.Contents {
			if sameTag(language, tag) {
				return language
			}
		}
		tag = tag[:max(0, strings.LastIndexAny(tag, "-_"))]
	}
	return t.Default
}

// sameTag compares two language tags (RFC 5646, 2.1.1).
func sameTag(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		x, y := a[i], b[i]
		if x == '_' {
			x = '-'
		}
		if y == '_' {
			y = '-'
		}
		if x != y && (x|0x20 != y|0x20 || x|0x20 < 'a' || x|0x20 > 'z') {
			return false
		}
	}
	return true
}

func baseLanguage(language string) string {
	if i := strings.IndexAny(language, "-_"); i >= 0 {
		language = language[:i]
	}
	return strings.ToLower(language)
}
