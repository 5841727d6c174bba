package api

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"utskick/tracking"
)

// pixel is the smallest GIF that is transparent.
var pixel = []byte("GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff!\xf9\x04\x01\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;")

// opened answers with a pixel, the same one for every address, and records the
// open first if the token is ours and names a person. An open that cannot be
// recorded is answered with 503: what is acknowledged is durable.
func (p *public) opened(w http.ResponseWriter, r *http.Request, text string) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		p.notAllowed(w, "GET, HEAD")
		return
	}
	text = strings.TrimSuffix(text, ".gif")
	token, err := p.c.Signer.Parse(tracking.Open, text)
	if err == nil && !token.Key.IsZero() {
		now := p.c.Now()
		// A mail program that fetches the picture again at once has not opened
		// the mail again: one open a minute counts.
		e := tracking.Event{Type: tracking.Opens, At: now, Group: token.Group, Key: token.Key,
			Dedupe: fmt.Sprintf("o-%s-%d", digest(text), now.Unix()/60)}
		p.describe(&e, r)
		if err := p.c.Intake.AppendEvent(r.Context(), e); err != nil {
			p.eventLost(w, e, err)
			return
		}
	}
	w.Header().Set("Content-Type", "image/gif")
	_, _ = w.Write(pixel) // the client went away
}

// clicked records the click and leads on to the stored target. The target is
// never in the address, so that nobody can make a link of ours lead elsewhere.
func (p *public) clicked(w http.ResponseWriter, r *http.Request, text string) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		p.notAllowed(w, "GET, HEAD")
		return
	}
	token, err := p.c.Signer.Parse(tracking.Click, text)
	if err != nil {
		p.tookBait(w, r, text)
		return
	}
	target, err := p.targets.get(r.Context(), token.Link)
	switch {
	case errors.Is(err, p.c.NotFound) || (err == nil && !isWebAddress(target)):
		p.notFound(w, r)
		return
	case err != nil:
		p.c.Log.Error("the target of a link could not be read", "link", token.Link, "error", err)
		p.unavailable(w, r)
		return
	}
	e := p.click(token, text)
	p.describe(&e, r)
	if err := p.c.Intake.AppendEvent(r.Context(), e); err != nil {
		p.eventLost(w, e, err)
		return
	}
	w.Header().Set("Location", inASCII(target))
	w.WriteHeader(http.StatusFound)
}

// click makes the event. Of a person two clicks within a second are one, made
// twice by an impatient finger or a browser that fetches ahead. A link without
// a person is many people's, and each of their clicks counts.
func (p *public) click(token tracking.Token, text string) tracking.Event {
	now := p.c.Now()
	e := tracking.Event{Type: tracking.Clicks, At: now, Group: token.Group, Key: token.Key, Link: token.Link,
		Dedupe: fmt.Sprintf("c-%s-%d", digest(text), now.Unix())}
	if token.Key.IsZero() {
		e.Dedupe = "c-" + rand.Text()
	}
	return e
}

// bait is what stands where the link leads that no person sees.
const bait = "Den här länken är till för program. Ingenting har hänt.\nThis link is meant for programs. Nothing has happened.\n"

// tookBait records that somebody followed the link that no person sees, which
// gives away what else it asks for of the message.
func (p *public) tookBait(w http.ResponseWriter, r *http.Request, text string) {
	token, err := p.c.Signer.Parse(tracking.Bait, text)
	if err != nil || token.Key.IsZero() {
		p.notFound(w, r)
		return
	}
	e := p.click(token, text)
	p.describe(&e, r)
	e.Machine = tracking.Honeypot
	if err := p.c.Intake.AppendEvent(r.Context(), e); err != nil {
		p.eventLost(w, e, err)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte(bait)) // the client went away
}

func (p *public) eventLost(w http.ResponseWriter, e tracking.Event, err error) {
	p.c.Log.Error("an event was not recorded", "type", e.Type, "group", e.Group, "error", err)
	w.Header().Set("Retry-After", "10")
	http.Error(w, http.StatusText(http.StatusServiceUnavailable), http.StatusServiceUnavailable)
}

// digest names a token without being it.
func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:8])
}

// inASCII escapes what a header cannot hold (RFC 9110, 5.5).
func inASCII(target string) string {
	var b strings.Builder
	for i := range len(target) {
		if c := target[i]; c <= ' ' || c >= 0x7f {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

func isWebAddress(target string) bool {
	u, err := url.Parse(target)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
}
