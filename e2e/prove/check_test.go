package main

import (
	"strings"
	"testing"

	"utskick/audience"
	"utskick/dispatcher"
	"utskick/e2e/witness"
)

// sound is evidence against which nothing can be said: three people, of whom
// one has objected, one is in doubt, and one was sent to.
func sound() evidence {
	p := &people{contacts: 3, addresses: map[string]map[string]bool{
		"email": {"a@example.com": true, "b@example.com": true, "c@example.com": true}, "sms": {}, "push": {},
	}, without: map[string]int{}, twice: map[string]int{}}
	return evidence{people: p, doubt: []string{workerLost},
		calls:  []call{send(1, 100, true, "a@example.com")},
		wishes: []wish{{At: 40, Event: asked, Channel: "email", To: "b@example.com"}, {At: 50, Event: acknowledged, Channel: "email", To: "b@example.com"}},
		reports: []dispatcher.Report{{Campaign: "prov-1", State: dispatcher.Finished, Channels: []dispatcher.ChannelReport{{
			Channel: audience.Email, Audience: 3, Sent: 1, Suppressed: 1, InDoubt: 1,
			Causes: map[string]map[string]int64{"suppressed": {"unsubscribed": 1}, "in_doubt": {workerLost: 1}},
		}}}},
	}
}

func send(id, start int64, taken bool, to string) call {
	return call{Start: start, Line: witness.Line{Call: id, At: start + 1, Taken: taken, Whole: true,
		Messages: []witness.Message{{Channel: "email", To: to, Campaign: "prov-1"}}}}
}

// words are what somebody says, one after the other from an instant on.
func words(to string, at int64, events ...string) (said []wish) {
	for i, e := range events {
		said = append(said, wish{At: at + int64(i), Event: e, Channel: "email", To: to})
	}
	return said
}

// TestPlantedBreaches plants a breach of each kind in sound evidence.
func TestPlantedBreaches(t *testing.T) {
	for name, c := range map[string]struct {
		plant func(*evidence, *dispatcher.ChannelReport)
		want  string // empty: nothing is broken
	}{
		"none": {func(*evidence, *dispatcher.ChannelReport) {}, ""},
		"sent after an objection": {func(e *evidence, _ *dispatcher.ChannelReport) {
			e.calls = append(e.calls, send(2, 51, false, "B@example.com"))
		}, "P1"},
		"sent after an objection that came after a renewed consent": {func(e *evidence, _ *dispatcher.ChannelReport) {
			e.wishes = append(e.wishes, words("b@example.com", 60, renewalAsked, renewed, asked, acknowledged)...)
			e.calls = append(e.calls, send(2, 64, false, "b@example.com"))
		}, "P1"},
		"sent before a renewed consent was asked for": {func(e *evidence, _ *dispatcher.ChannelReport) {
			e.wishes = append(e.wishes, words("b@example.com", 60, renewalAsked, renewed)...)
			e.calls = append(e.calls, send(2, 59, false, "b@example.com"))
		}, "P1"},
		"sent as a renewed consent was asked for, and before the next objection was acknowledged": {func(e *evidence, _ *dispatcher.ChannelReport) {
			e.wishes = append(e.wishes, words("b@example.com", 60, renewalAsked, renewed, asked, acknowledged)...)
			e.calls = append(e.calls, send(2, 61, false, "b@example.com"), send(3, 63, false, "b@example.com"))
		}, ""},
		"sent after an objection, and a renewal that was refused": {func(e *evidence, _ *dispatcher.ChannelReport) {
			e.wishes = append(e.wishes, words("b@example.com", 60, renewalAsked, renewalRefused, asked, acknowledged)...)
			e.calls = append(e.calls, send(2, 70, false, "b@example.com"))
		}, "P1"},
		"left out though she has consented again": {func(e *evidence, _ *dispatcher.ChannelReport) {
			e.wishes = append(e.wishes, words("b@example.com", 60, renewalAsked, renewed)...)
			e.begun = map[string]int64{"prov-1": 70}
		}, "P3"},
		"left out of a campaign that had begun before": {func(e *evidence, _ *dispatcher.ChannelReport) {
			e.wishes = append(e.wishes, words("b@example.com", 60, renewalAsked, renewed)...)
			e.begun = map[string]int64{"prov-1": 55}
		}, ""},
		"left out as she has objected since": {func(e *evidence, _ *dispatcher.ChannelReport) {
			e.wishes = append(e.wishes, words("b@example.com", 60, renewalAsked, renewed, asked, acknowledged)...)
			e.begun = map[string]int64{"prov-1": 70}
		}, ""},
		"sent just before it": {func(e *evidence, _ *dispatcher.ChannelReport) {
			e.calls = append(e.calls, send(2, 49, false, "b@example.com"))
		}, ""},
		"sent twice": {func(e *evidence, _ *dispatcher.ChannelReport) {
			e.calls = append(e.calls, send(2, 20, true, "A@Example.com"))
		}, "P2"},
		"refused, then sent": {func(e *evidence, _ *dispatcher.ChannelReport) {
			e.calls = append(e.calls, send(2, 20, false, "a@example.com"))
		}, ""},
		"sent, and called nothing": {func(e *evidence, c *dispatcher.ChannelReport) {
			c.Sent, c.Skipped = 0, 1
			c.InDoubt, c.Failed = 0, 1
			c.Causes = nil
		}, "P3"},
		"called sent, never sent": {func(e *evidence, _ *dispatcher.ChannelReport) { e.calls = nil }, "P3"},
		"silently left out":       {func(_ *evidence, c *dispatcher.ChannelReport) { c.InDoubt, c.Suppressed = 0, 2; c.Causes = nil }, "P3"},
		"sums do not meet":        {func(_ *evidence, c *dispatcher.ChannelReport) { c.Suppressed = 0 }, "P3"},
		"in doubt for no reason":  {func(e *evidence, _ *dispatcher.ChannelReport) { e.doubt = nil }, "P3"},
		"somebody else was sent to": {func(e *evidence, _ *dispatcher.ChannelReport) {
			e.calls = append(e.calls, send(2, 20, true, "d@example.com"))
		}, "P3"},
		"an empty mail was sent": {func(e *evidence, _ *dispatcher.ChannelReport) {
			e.calls = append(e.calls, send(2, 20, true, "c@example.com"))
			e.calls[1].Messages[0].Campaign = ""
		}, "P3"},
		"the run never ended": {func(e *evidence, _ *dispatcher.ChannelReport) { e.reports[0].State = dispatcher.Sending }, "P3"},
	} {
		e := sound()
		c.plant(&e, &e.reports[0].Channels[0])
		got := strings.Join(judge(e).problems, "; ")
		if (c.want == "") != (got == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: found %q, want %q", name, got, c.want)
		}
	}
}

func TestSpellings(t *testing.T) {
	p := newPeople(400, false)
	for _, ch := range channelNames {
		if n := len(p.addresses[ch]) + p.twice[ch] + p.without[ch]; n != p.contacts {
			t.Errorf("%s: %d of %d contacts are accounted for", ch, n, p.contacts)
		}
	}
	if p.twice["email"] == 0 || p.twice["sms"] == 0 {
		t.Errorf("nobody has two spellings: %v", p.twice)
	}
}
