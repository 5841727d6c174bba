package templates

import "utskick/tracking"

// The names that stand for what an e-mail says of being measured, in its HTML and
// in its text.
const (
	measuringMarker     = "_measuring"
	textMeasuringMarker = "_text_measuring"
)

// measuring says that opens and clicks are tied to whoever reads it, and how to end
// that: consent is as easy to take back as it was to give (GDPR 7(3)), and the way
// is in every message that measures.
type measuring struct{ says, end string }

func measuringIn(language string) measuring {
	if baseLanguage(language) == "sv" {
		return measuring{"Vi sparar om du öppnar det här brevet och vilka länkar du följer.", "Sluta spara det"}
	}
	return measuring{"We record whether you open this e-mail and which links you follow.", "Stop recording it"}
}

// trackingNotice fills the line that says so, for those of whom it is true.
func (c *compiler) trackingNotice(asHTML bool) filler {
	m := measuringIn(c.language)
	before, after := "\n"+m.says+" "+m.end+": ", "\n"
	if asHTML {
		before = "\n" + `<div lang="` + c.language + `" style="padding:0 16px 24px;font-family:Arial,Helvetica,sans-serif;font-size:12px;` +
			`line-height:18px;color:#555555;text-align:center;">` + m.says + ` <a href="`
		after = `" style="color:#555555;">` + m.end + "</a></div>"
	}
	return func(dst []byte, r *row) []byte {
		if !r.tracked {
			return dst
		}
		dst = c.endMeasuring(append(dst, before...), r)
		return append(dst, after...)
	}
}

// endMeasuring adds the address where the recipient ends it: the place for it on
// the page of her preferences.
func (c *compiler) endMeasuring(dst []byte, r *row) []byte {
	dst = append(append(dst, c.options.PublicURL...), "/p/"...)
	dst = c.options.Signer.Append(dst, tracking.Token{Purpose: tracking.Preferences, Group: r.group, Key: r.key})
	return append(dst, "#opens"...)
}
