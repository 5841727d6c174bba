package tracking

import (
	"net/netip"
	"strings"
	"testing"
	"time"
)

const (
	chrome  = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36"
	iphone  = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148"
	android = "Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/126.0 Mobile Safari/537.36 [FB_IAB/FB4A;FBAV/466.0.0.55.85;]"
	google  = "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)"
)

func TestClassify(t *testing.T) {
	for _, c := range []struct {
		name  string
		visit Fetch
		want  Machine
		agent Agent
	}{
		{"a browser", Fetch{UserAgent: chrome}, "", Computer},
		{"Safari on a phone", Fetch{UserAgent: iphone, Open: true}, "", Phone},
		{"an app's browser", Fetch{UserAgent: android}, "", Phone},
		{"a tablet", Fetch{UserAgent: "Mozilla/5.0 (iPad; CPU OS 16_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)"}, "", Tablet},
		{"a tablet with Android", Fetch{UserAgent: "Mozilla/5.0 (Linux; Android 13; SM-X200) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Safari/537.36"}, "", Tablet},
		// The list of crawlers takes these for robots; people read mail with them.
		{"Outlook", Fetch{UserAgent: "Microsoft Office/16.0 (Microsoft Outlook 16.0.17628; Pro)", Open: true}, "", Computer},
		{"Outlook on a phone", Fetch{UserAgent: "Outlook-iOS/711.2620504.prod.iphone (3.24.1)", Open: true}, "", Phone},
		{"older Outlook", Fetch{UserAgent: "Mozilla/4.0 (compatible; ms-office; MSOffice 16)", Open: true}, "", Computer},
		{"Thunderbird", Fetch{UserAgent: "Mozilla/5.0 (X11; Linux x86_64; rv:115.0) Gecko/20100101 Thunderbird/115.3.1", Open: true}, "", Computer},
		{"a program nobody knows", Fetch{UserAgent: "Letters/9.2"}, "", Unknown},

		{"Gmail", Fetch{UserAgent: google, Open: true}, ImageProxy, MailService},
		{"Yahoo", Fetch{UserAgent: "YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html", Open: true}, ImageProxy, MailService},
		{"Gmail, the header alone", Fetch{UserAgent: google, Open: true, Head: true}, ImageProxy, MailService},
		{"Apple", Fetch{UserAgent: "Mozilla/5.0", Open: true}, ApplePrivacy, MailService},
		{"as little, at a link", Fetch{UserAgent: "Mozilla/5.0"}, Scanner, Unknown},
		{"nothing", Fetch{}, Scanner, Unknown},
		{"nothing, of a picture", Fetch{UserAgent: " ", Open: true}, Scanner, Unknown},
		{"Purpose", Fetch{UserAgent: chrome, Purposes: []string{"", "prefetch"}}, Prefetch, Computer},
		{"Sec-Purpose", Fetch{UserAgent: chrome, Purposes: []string{"prefetch;prerender"}}, Prefetch, Computer},
		{"X-Purpose", Fetch{UserAgent: chrome, Purposes: []string{"preview"}}, Prefetch, Computer},
		{"another purpose", Fetch{UserAgent: chrome, Purposes: []string{"fun"}}, "", Computer},
		{"HEAD", Fetch{UserAgent: chrome, Head: true}, Head, Computer},
		{"curl", Fetch{UserAgent: "curl/8.0"}, Scanner, Program},
		{"a browser without a head", Fetch{UserAgent: "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/120.0 Safari/537.36"}, Scanner, Program},
		{"a preview", Fetch{UserAgent: "Mozilla/5.0 (Windows NT 6.1; WOW64) SkypeUriPreview Preview/0.5"}, Scanner, Program},
		{"a mail scanner", Fetch{UserAgent: "Barracuda Sentinel (EE)"}, Scanner, Program},
		{"another", Fetch{UserAgent: "Mozilla/5.0 (compatible; Mimecast)"}, Scanner, Program},
	} {
		for _, remembered := range []bool{false, true} {
			if got, agent := Classify(c.visit); got != c.want || agent != c.agent {
				t.Errorf("%s: %q by %s, want %q by %s; remembered: %v", c.name, got, agent, c.want, c.agent, remembered)
			}
		}
	}
}

// TestAgentsAreBounded wants no user agent to be remembered whole when it is long,
// and not more of them than there is room for.
func TestAgentsAreBounded(t *testing.T) {
	var m agentMemory
	for i := range mostAgents + 5 {
		m.put(strings.Repeat("x", i%7)+time.Duration(i).String(), Unknown)
	}
	if len(m.known) > mostAgents {
		t.Errorf("%d are remembered", len(m.known))
	}
	long := chrome + strings.Repeat("z", 1<<20)
	Classify(Fetch{UserAgent: long})
	if _, kept := agents.get(long); kept {
		t.Error("a megabyte is remembered")
	}
}

func TestJudge(t *testing.T) {
	sent := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	after := func(d time.Duration) time.Time { return sent.Add(d) }
	minute := time.Minute
	click := func(at time.Duration, link int64, by Requester) Seen {
		return Seen{Type: Clicks, At: after(at), Link: link, Requester: by}
	}
	open := func(at time.Duration, by Requester) Seen { return Seen{Type: Opens, At: after(at), Requester: by} }
	marked := func(s Seen, m Machine) Seen { s.Machine = m; return s }
	for _, c := range []struct {
		name    string
		message []Seen
		want    []Machine
	}{
		{"nothing", nil, []Machine{}},
		{"a click", []Seen{click(minute, 1, 7)}, []Machine{""}},
		{"just too soon", []Seen{click(SoonAfter-1, 1, 7)}, []Machine{TooSoon}},
		{"soon enough", []Seen{click(SoonAfter, 1, 7)}, []Machine{""}},
		{"before it was sent, by clocks that differ", []Seen{click(-time.Second, 1, 7)}, []Machine{TooSoon}},
		{"an open may come at once", []Seen{open(time.Second, 7)}, []Machine{""}},
		{"too soon, by nobody known", []Seen{click(time.Second, 1, 0)}, []Machine{TooSoon}},
		{"two links at once", []Seen{click(minute, 1, 7), click(minute+BurstWithin, 2, 7)}, []Machine{Burst, Burst}},
		{"one after the other", []Seen{click(minute, 1, 7), click(minute+BurstWithin+1, 2, 7)}, []Machine{"", ""}},
		{"the same link twice", []Seen{click(minute, 1, 7), click(minute+1, 1, 7)}, []Machine{"", ""}},
		{"two links by two", []Seen{click(minute, 1, 7), click(minute, 2, 8)}, []Machine{"", ""}},
		{"two links by nobody known", []Seen{click(minute, 1, 0), click(minute, 2, 0)}, []Machine{"", ""}},
		{"a chain", []Seen{click(minute, 1, 7), click(minute+1500*time.Millisecond, 2, 7), click(minute+3*time.Second, 3, 7)}, []Machine{Burst, Burst, Burst}},
		{"the picture, too", []Seen{open(minute, 7), click(minute+1, 1, 7), click(minute+2, 2, 7)}, []Machine{Burst, Burst, Burst}},
		{"not the picture of somebody else", []Seen{open(minute, 8), click(minute+1, 1, 7), click(minute+2, 2, 7)}, []Machine{"", Burst, Burst}},
		{"not her own click later", []Seen{click(minute, 1, 7), click(minute+1, 2, 7), click(2*minute, 1, 7)}, []Machine{Burst, Burst, ""}},
		{"with one that is marked", []Seen{marked(click(minute, 1, 7), Head), click(minute+1, 2, 7)}, []Machine{"", Burst}},
		{"the bait", []Seen{open(minute, 7), click(2*minute, 1, 7), marked(click(3*minute, 0, 7), Honeypot), click(time.Hour, 2, 7)}, []Machine{Honeypot, Honeypot, "", Honeypot}},
		{"the bait of somebody else", []Seen{click(2*minute, 1, 8), marked(click(minute, 0, 7), Honeypot)}, []Machine{"", ""}},
		{"the bait by nobody known", []Seen{click(2*minute, 1, 0), marked(click(minute, 0, 0), Honeypot)}, []Machine{"", ""}},
		// Only the bait itself convicts: what was marked for it does not.
		{"one that was marked for the bait", []Seen{marked(click(minute, 3, 7), Honeypot), click(time.Hour, 1, 7)}, []Machine{"", ""}},
		{"a mark stays", []Seen{marked(click(1, 1, 7), Scanner), marked(click(2, 2, 7), Scanner)}, []Machine{"", ""}},
	} {
		got := Judge(c.message, sent)
		if len(got) != len(c.want) {
			t.Fatalf("%s: %q", c.name, got)
		}
		for i := range got {
			if got[i] != c.want[i] {
				t.Errorf("%s: %q, want %q", c.name, got, c.want)
				break
			}
		}
	}
	if got := Judge([]Seen{click(0, 1, 7)}, time.Time{}); got[0] != "" {
		t.Errorf("sent nobody knows when: %q", got)
	}
}

func TestRequester(t *testing.T) {
	s, err := NewSigner(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	ip := netip.MustParseAddr
	one := s.Requester(at, ip("192.0.2.1"), chrome)
	if one <= 0 || one >= 1<<48 {
		t.Fatalf("%d has not 48 bits", one)
	}
	for name, same := range map[string]Requester{
		"later that day": s.Requester(at.Add(14*time.Hour), ip("192.0.2.1"), chrome),
		"mapped":         s.Requester(at, ip("::ffff:192.0.2.1"), chrome),
	} {
		if same != one {
			t.Errorf("%s: another one", name)
		}
	}
	other, _ := NewSigner([]byte(strings.Repeat("k", 32)))
	for name, different := range map[string]Requester{
		"the next day":     s.Requester(at.Add(15*time.Hour), ip("192.0.2.1"), chrome),
		"another address":  s.Requester(at, ip("192.0.2.2"), chrome),
		"another browser":  s.Requester(at, ip("192.0.2.1"), iphone),
		"another key":      other.Requester(at, ip("192.0.2.1"), chrome),
		"another boundary": s.Requester(at, ip("192.0.2.1"), "2"+chrome),
	} {
		if different == one {
			t.Errorf("%s: the same", name)
		}
	}
	if s.Requester(at, ip("2001:db8:1:2::3"), chrome) != s.Requester(at, ip("2001:db8:1:2:ffff::9%eth0"), chrome) {
		t.Error("one household is two")
	}
	if s.Requester(at, ip("2001:db8:1:2::3"), chrome) == s.Requester(at, ip("2001:db8:1:3::3"), chrome) {
		t.Error("two households are one")
	}
	if got := s.Requester(at, netip.Addr{}, chrome); got != 0 {
		t.Errorf("nobody is %d", got)
	}
}

// FuzzClassify wants every user agent to have one class, and a request for the
// header alone to be a machine's.
func FuzzClassify(f *testing.F) {
	for _, agent := range []string{"", chrome, google, "Mozilla/5.0", "\xff\x00", strings.Repeat("(", 600)} {
		f.Add(agent, "prefetch", true, false)
	}
	f.Fuzz(func(t *testing.T, userAgent, purpose string, open, head bool) {
		machine, agent := Classify(Fetch{UserAgent: userAgent, Purposes: []string{purpose}, Open: open, Head: head})
		if agent == "" || (head && machine == "") {
			t.Errorf("%q by %q", machine, agent)
		}
		again, same := Classify(Fetch{UserAgent: userAgent, Purposes: []string{purpose}, Open: open, Head: head})
		if again != machine || same != agent {
			t.Errorf("%q by %q, then %q by %q", machine, agent, again, same)
		}
	})
}
