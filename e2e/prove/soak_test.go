package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"utskick/audience"
	"utskick/dispatcher"
	"utskick/e2e/witness"
)

// soaked is what a short soak left behind: four persons and one who stands in
// the file twice; 0 and 1 were sent to, 2 has objected, 3 is in doubt since a
// worker was killed.
type soaked struct {
	calls  []witness.Line
	wishes []wish
	hooks  []witness.Hooked
	harms  []harm
	report dispatcher.ChannelReport
	state  dispatcher.RunState
}

func soundSoak() soaked {
	return soaked{
		calls: []witness.Line{{Call: 1, At: 100, Event: witness.Started}, taken(1, 101, email(0)), {Call: 2, At: 110, Event: witness.Started}, taken(2, 111, email(1))},
		wishes: []wish{
			{At: 40, Event: asked, Channel: "email", To: email(2)},
			{At: 50, Event: acknowledged, Channel: "email", To: email(2)},
		},
		hooks: []witness.Hooked{deliveredTo(0), deliveredTo(1)},
		harms: []harm{{fault: fault{name: "kill", doubt: []string{workerLost}}, begun: 60, over: 70}},
		report: dispatcher.ChannelReport{Channel: audience.Email, Audience: 5, Duplicates: 1, Sent: 2, Suppressed: 1, InDoubt: 1, Delivered: 2,
			Causes: map[string]map[string]int64{"suppressed": {"unsubscribed": 1}, "in_doubt": {workerLost: 1}}},
		state: dispatcher.Finished,
	}
}

func taken(call, at int64, to string) witness.Line {
	return witness.Line{Call: call, At: at, Event: witness.Ended, Taken: true, Whole: true, Answer: "accepted",
		Messages: []witness.Message{{Channel: "email", To: to, Campaign: "prov-1"}}}
}

func deliveredTo(person int) witness.Hooked {
	return witness.Hooked{Status: 204, Count: 1, Events: []*witness.Event{{ID: "1", Type: "delivered", Channel: "email", To: email(person), Campaign: "prov-1"}}}
}

// judged writes the logs, reads them and judges.
func (w soaked) judged(t *testing.T) []string {
	t.Helper()
	dir := t.TempDir()
	crowd := &crowd{}
	crowd.grow(4)
	s := &soak{plan: plan{duration: time.Hour}, people: crowd, tally: newTally(crowd), stage: &stage{dir: dir}, harms: w.harms, begun: time.Now()}
	write(t, s.file("witness.ndjson"), w.calls)
	write(t, s.file("wishes.ndjson"), w.wishes)
	write(t, witness.HooksLog(s.file("witness.ndjson")), w.hooks)
	s.follow(func(call) {})
	c := &campaign{name: "prov-1", crowd: crowd.census(), launched: 10, ended: 1000,
		report: dispatcher.Report{Campaign: "prov-1", State: w.state, Channels: []dispatcher.ChannelReport{w.report}}}
	if err := s.catchUp(); err != nil {
		t.Fatal(err)
	}
	c.delivered = s.tally.delivered(c.name)
	_, found := s.tally.now()
	return append(found, s.judgeCampaign(c, true).problems...)
}

func write[Line any](t *testing.T, path string, lines []Line) {
	t.Helper()
	log, err := witness.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range lines {
		if err := log.Append(l); err != nil {
			t.Fatal(err)
		}
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestSoakFindsPlantedBreaches plants a breach of each kind in sound logs.
func TestSoakFindsPlantedBreaches(t *testing.T) {
	for name, c := range map[string]struct {
		plant func(*soaked)
		want  string // empty: nothing is broken
	}{
		"none":                              {func(*soaked) {}, ""},
		"a line of the witness's log twice": {func(w *soaked) { w.calls = append(w.calls, w.calls[1]) }, "P2"},
		"sent in another spelling": {func(w *soaked) {
			w.calls = append(w.calls, taken(3, 200, otherwise(email(0))))
		}, "P2"},
		"not taken, then taken": {func(w *soaked) { w.calls[1].Taken = false; w.calls = append(w.calls, taken(3, 200, email(0))) }, ""},
		"sent after an objection": {func(w *soaked) {
			w.calls = append(w.calls, witness.Line{Call: 3, At: 51, Event: witness.Started}, taken(3, 52, email(2)))
			w.report.Sent, w.report.Suppressed = 3, 0
			w.report.Causes["suppressed"] = nil
		}, "P1"},
		"a settlement is missing": {func(w *soaked) { w.report.Sent, w.report.Pending = 1, 1 }, "P3"},
		"sent, and called nothing": {func(w *soaked) {
			w.report.Sent, w.report.Suppressed, w.report.InDoubt = 1, 3, 0
			w.report.Causes = map[string]map[string]int64{"suppressed": {"unsubscribed": 3}}
		}, "P3"},
		"called sent, never sent": {func(w *soaked) { w.calls = w.calls[:2] }, "P3"},
		"left out": {func(w *soaked) {
			w.report.Suppressed, w.report.InDoubt = 2, 0
			w.report.Causes = map[string]map[string]int64{"suppressed": {"unsubscribed": 2}}
		}, "P3"},
		"sums do not meet":              {func(w *soaked) { w.report.Suppressed = 0 }, "P3"},
		"in doubt for no fault":         {func(w *soaked) { w.harms = nil }, "P3"},
		"in doubt for an earlier fault": {func(w *soaked) { w.harms[0].begun, w.harms[0].over = 1, 2 }, "P3"},
		"a stranger":                    {func(w *soaked) { w.calls = append(w.calls, taken(3, 200, email(4))) }, "P3"},
		"somebody failed": {func(w *soaked) {
			w.report.InDoubt, w.report.Failed = 0, 1
			w.report.Causes = nil
		}, "P6"},
		"told, and not counted":     {func(w *soaked) { w.report.Delivered = 1 }, "P5"},
		"counted, and never was":    {func(w *soaked) { w.report.Delivered = 3 }, "P5"},
		"told again, counted once":  {func(w *soaked) { w.hooks = append(w.hooks, w.hooks[0]) }, ""},
		"in doubt, and proved sent": {func(w *soaked) { w.report.Sent, w.report.InDoubt = 1, 2 }, "P5"},
		"no end":                    {func(w *soaked) { w.state = dispatcher.Sending }, "P3"},
	} {
		w := soundSoak()
		c.plant(&w)
		got := strings.Join(w.judged(t), "; ")
		if (c.want == "") != (got == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: found %q, want %q", name, got, c.want)
		}
	}
}

// TestTheOrderOfLogsDoesNotMatter reads the acknowledgement after the send.
func TestTheOrderOfLogsDoesNotMatter(t *testing.T) {
	crowd := &crowd{}
	crowd.grow(4)
	tally := newTally(crowd)
	tally.call(call{taken(1, 60, email(2)), 55})
	tally.wish(wish{At: 50, Event: acknowledged, Channel: "email", To: email(2)})
	if counts, found := tally.now(); counts.afterAck != 1 || counts.latest != 5 || len(found) != 1 {
		t.Errorf("found %+v %v, want one send after an acknowledgement", counts, found)
	}
}

func TestCrowd(t *testing.T) {
	c := &crowd{}
	lines := strings.Count(c.grow(1000), "\n") + strings.Count(c.grow(500), "\n") - 2
	if lines != c.contacts || c.twice[0] != 46 {
		t.Errorf("%d lines, %d contacts, of whom %d share an e-mail address", lines, c.contacts, c.twice[0])
	}
	for ch := range channelNames {
		people := 0
		for i := range c.size {
			if !has(ch, i) {
				continue
			}
			people++
			if found, known := c.find(ch, addressOf(ch, i)); !known || found != i {
				t.Fatalf("%s: %d is found as %d, %v", channelNames[ch], i, found, known)
			}
		}
		if people+c.twice[ch]+c.without[ch] != c.contacts {
			t.Errorf("%s: %d people of %d contacts", channelNames[ch], people, c.contacts)
		}
	}
}

func TestTailWaitsForWholeLines(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	var got []wish
	tail := &tail[wish]{path: path, each: func(w wish) { got = append(got, w) }}
	for _, step := range []struct {
		text string
		want int
	}{{`{"at":1}` + "\n" + `{"at"`, 1}, {`:2`, 1}, {"}\n", 2}} {
		appendTo(t, path, step.text)
		if err := tail.read(); err != nil || len(got) != step.want {
			t.Errorf("after %q: %d lines, error %v", step.text, len(got), err)
		}
	}
}

func appendTo(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteString(text)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

func TestGrowth(t *testing.T) {
	var all []vital
	for window, rss := range []int64{900_000, 100_000, 109_700} {
		for range 30 {
			all = append(all, vital{process: "work-2", window: window, rss: rss, goroutines: 58 + 4*window})
		}
	}
	for entries, more := range map[int64][]string{
		100: {"grown by 7.0 %", "58 goroutines, and has 66", "backlog of quiet time 1"},
		300: {"58 goroutines, and has 66", "backlog of quiet time 1"},
	} {
		o := outcome{}
		o.judgeRecovery(&soak{vitals: all, entries: []int64{0, entries}, backlogs: []backlog{{gone: time.Second}}})
		got := strings.Join(o.problems, "; ")
		for _, want := range more {
			if !strings.Contains(got, want) || len(o.problems) != len(more) {
				t.Errorf("%d entries: found %q, want %q", entries, got, more)
			}
		}
	}
}
