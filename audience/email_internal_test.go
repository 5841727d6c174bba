package audience

import (
	"testing"

	"pgregory.net/rapid"
)

// The short cut for plain domains gives what the IDNA tables give.
func TestPlainDomainsAreLeftAloneByIDNA(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		domain := rapid.StringMatching(`[a-z0-9-]{0,5}(\.[a-z0-9-]{1,64}){1,3}\.?`).Draw(t, "domain")
		mapped, err := domains.ToASCII(domain)
		if plainDomain(domain) && (err != nil || mapped != domain) {
			t.Errorf("%q is taken for plain, IDNA makes it %q, %v", domain, mapped, err)
		}
	})
}

// Every character, alone and under a mark that composes with many letters, has
// one form, before the @ and behind it.
func TestEveryCharacterHasOneForm(t *testing.T) {
	for r := rune(0); r < 0x20000; r++ {
		if r == 0x3400 {
			r = 0xd7a4 // ideographs and Hangul syllables have no case
		}
		for _, s := range []string{
			string(r) + "@example.com", string(r) + "\u0301@example.com", "a@b" + string(r) + ".test",
		} {
			normal, err := NormalizeEmail(s)
			if err != nil {
				continue
			}
			if again, err := NormalizeEmail(normal); again != normal || err != nil {
				t.Fatalf("%+q becomes %+q, and that becomes %+q, %v", s, normal, again, err)
			}
		}
	}
}
