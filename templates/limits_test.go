package templates

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// TestHeavySources: sources as long as possible, made to be slow. They are
// judged in time that grows with their length: were any step quadratic, this
// test would run for minutes.
func TestHeavySources(t *testing.T) {
	long := func(piece string, n int) string { return strings.Repeat(piece, n/len(piece)) }
	var links strings.Builder
	for i := 0; links.Len() < MaxHTML-100; i++ {
		fmt.Fprintf(&links, `<a href="https://a.test/%d">x</a>`, i)
	}
	for name, html := range map[string]string{
		"open outputs":      long("{{", MaxHTML),
		"open tags":         long("{%", MaxHTML),
		"outputs":           long("{{ contact.city }}", MaxHTML),
		"comments":          long("{% comment %}{% endcomment %}", MaxHTML),
		"braces":            long("{", MaxHTML),
		"attributes":        "<a " + long("x ", MaxHTML-10) + ">",
		"open elements":     long("<div>", MaxHTML),
		"ends without":      long("<b>", 1_200) + long("</c>", MaxHTML-1_200),
		"hidden":            long("<p style='display:none'>x</p>", MaxHTML),
		"open HTML comment": long("<!--", MaxHTML),
		"links":             links.String(),
	} {
		if err := Check(email(Content{HTML: html}), registered); err != nil && !errors.As(err, new(*InvalidError)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
