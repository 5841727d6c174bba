package api

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"utskick/audience"
	"utskick/suppression"
	"utskick/tracking"
)

// spooling is an intake whose database is away.
type spooling struct {
	away   bool
	full   error
	wishes []suppression.Wish
	events []tracking.Event
}

func (s *spooling) Record(_ context.Context, w suppression.Wish) (bool, error) {
	s.wishes = append(s.wishes, w)
	return true, s.full
}

func (s *spooling) Revise(_ context.Context, _ string, wishes []suppression.Wish) (bool, error) {
	if len(wishes) == 0 {
		return false, errDown
	}
	s.wishes = append(s.wishes, wishes...)
	return false, s.full
}

func (s *spooling) AppendEvent(_ context.Context, e tracking.Event) error {
	s.events = append(s.events, e)
	return s.full
}

func (s *spooling) Standing() suppression.Standing {
	return suppression.Standing{Away: s.away, Kept: 2}
}

// newAwaySite has known its links and one group before the database went away.
func newAwaySite(t *testing.T) (*site, *spooling) {
	in := &spooling{}
	s := newSite(t, func(c *Config) { c.Intake = in })
	s.store.groups = map[int64]audience.Channel{1: audience.Email, 2: audience.SMS}
	s.store.links = map[int64]string{1: "https://example.com/a", 2: "https://example.com/b"}
	if err := s.server.public.targets.look(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.visit(http.MethodGet, "/u/"+s.token(tracking.Unsubscribe, 1, 0, anna), "").want(t, http.StatusOK)
	s.store.links[3] = "https://example.com/c" // saved since
	s.store.fail(errDown)
	in.away = true
	return s, in
}

func TestUnsubscribesAreTakenWhileTheDatabaseIsAway(t *testing.T) {
	s, in := newAwaySite(t)
	for group, says := range map[int64]string{1: "We no longer send you marketing by e-mail.", 2: "in the way that this message came to you."} {
		a := s.visit(http.MethodPost, "/u/"+s.token(tracking.Unsubscribe, group, 0, anna), "List-Unsubscribe=One-Click", "Content-Type", form)
		a.want(t, http.StatusAccepted)
		if !strings.Contains(a.body, "You are unsubscribed") || !strings.Contains(a.body, says) {
			t.Errorf("group %d: %s", group, a.body)
		}
		w := in.wishes[len(in.wishes)-1]
		if known := w.Entry.Channel == "email"; known != (group == 1) || w.Group != group || w.Entry.Key != anna {
			t.Errorf("group %d: %+v", group, w)
		}
	}
	if body := s.as("", http.MethodGet, "/readyz", "").body; !strings.Contains(body, `"lease":"not renewed"`) || !strings.Contains(body, `"spool":"2 records"`) {
		t.Errorf("/readyz says %s", body)
	}
}

func TestClicksAreLedOnWhileTheDatabaseIsAway(t *testing.T) {
	s, in := newAwaySite(t)
	click := func(link int64) answer {
		return s.visit(http.MethodGet, "/c/"+s.token(tracking.Click, 1, link, anna), "")
	}
	for link, target := range map[int64]string{1: "https://example.com/a", 2: "https://example.com/b"} {
		a := click(link)
		a.want(t, http.StatusFound)
		if a.header.Get("Location") != target {
			t.Errorf("link %d leads to %s", link, a.header.Get("Location"))
		}
	}
	a := click(3)
	a.want(t, http.StatusServiceUnavailable)
	if a.header.Get("Retry-After") == "" || len(in.events) != 2 {
		t.Errorf("a link that is not known: %v, %d events", a.header, len(in.events))
	}
	s.visit(http.MethodGet, "/o/"+s.token(tracking.Open, 1, 0, anna)+".gif", "").want(t, http.StatusOK)
	if len(in.events) != 3 {
		t.Errorf("%d events", len(in.events))
	}
}

// TestAFullDisk: nothing is acknowledged that is nowhere.
func TestAFullDisk(t *testing.T) {
	s, in := newAwaySite(t)
	in.full = errors.New("no space left on device")
	for method, path := range map[string]string{
		http.MethodPost: "/u/" + s.token(tracking.Unsubscribe, 1, 0, anna),
		http.MethodGet:  "/c/" + s.token(tracking.Click, 1, 1, anna),
	} {
		a := s.visit(method, path, "")
		a.want(t, http.StatusServiceUnavailable)
		if a.header.Get("Retry-After") == "" || a.header.Get("Location") != "" || strings.Contains(a.body, "You are unsubscribed") {
			t.Errorf("%s: %v %s", path, a.header, a.body)
		}
	}
}

// TestTargetsAreBounded: who was learnt first is forgotten first.
func TestTargetsAreBounded(t *testing.T) {
	var known targets
	long := strings.Repeat("x", maxTargetBytes/4)
	for id := range int64(6) {
		known.learn(id, long)
	}
	if len(known.known) != 4 || known.bytes != maxTargetBytes || known.known[5] == "" || known.known[1] != "" {
		t.Errorf("%d targets of %d bytes", len(known.known), known.bytes)
	}
}
