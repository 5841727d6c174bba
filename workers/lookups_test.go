package workers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"utskick/audience"
	"utskick/channels"
	"utskick/dispatcher"
)

// desk is a store and a provider in one: it hands out looks, answers inquiries by
// number, and notes what comes of them. Its clock moves when somebody waits.
type desk struct {
	mu       sync.Mutex
	now      time.Time
	looks    []dispatcher.Look
	taken    int              // how often there was a look
	answers  map[string]error // by number; without: a message was found
	asked    []string
	ended    [][]dispatcher.Doubt
	putOff   []time.Time
	waits    []time.Duration
	stop     context.CancelFunc // called when there is no look any more
	atOnce   int
	mostOnce int
	inside   func(ctx context.Context, address string) // within an inquiry
}

func (d *desk) TakeLook(_ context.Context, ch audience.Channel) (dispatcher.Look, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if ch != audience.SMS || len(d.looks) == 0 {
		d.stop()
		return dispatcher.Look{}, nil
	}
	l := d.looks[0]
	d.looks = d.looks[1:]
	d.taken++
	return l, nil
}

func (d *desk) Look(ctx context.Context, q channels.Inquiry) ([]channels.Sighting, error) {
	d.mu.Lock()
	d.atOnce++
	d.mostOnce = max(d.mostOnce, d.atOnce)
	d.asked = append(d.asked, q.Address())
	err := d.answers[q.Address()]
	d.mu.Unlock()
	if d.inside != nil {
		d.inside(ctx, q.Address())
	}
	d.mu.Lock()
	d.atOnce--
	d.mu.Unlock()
	return []channels.Sighting{{ID: "SM1"}}, err
}

// Sighted resolves all whose number does not end in 9.
func (d *desk) Sighted(_ context.Context, doubt dispatcher.Doubt, _ []channels.Sighting) (bool, error) {
	return !strings.HasSuffix(doubt.Inquiry.Address(), "9"), nil
}

func (d *desk) EndLook(_ context.Context, _ dispatcher.Look, left []dispatcher.Doubt) error {
	d.ended = append(d.ended, left)
	return nil
}

func (d *desk) PutOffLook(_ context.Context, _ dispatcher.Look, until time.Time) error {
	d.putOff = append(d.putOff, until)
	return nil
}

func (d *desk) wait(_ context.Context, t time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.now = d.now.Add(t)
	d.waits = append(d.waits, t)
}

func look(batch int64, from, to int) dispatcher.Look {
	l := dispatcher.Look{Batch: batch}
	for i := from; i <= to; i++ {
		l.Doubts = append(l.Doubts, dispatcher.Doubt{Group: batch, Inquiry: channels.NewInquiry(fmt.Sprintf("+467017406%02d", i))})
	}
	return l
}

// play runs look-ups until there is nothing to look up, and returns the log.
func (d *desk) play(t *testing.T) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	d.stop = cancel
	d.now = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	var log bytes.Buffer
	l := &LookUps{Doubts: d, Looker: d, Channel: audience.SMS, Log: slog.New(slog.NewTextHandler(&log, nil)), Wait: d.wait, Now: func() time.Time {
		d.mu.Lock()
		defer d.mu.Unlock()
		return d.now
	}}
	l.Run(ctx)
	if strings.Contains(log.String(), "46701740") {
		t.Errorf("the log holds a number: %s", &log)
	}
	return log.String()
}

func TestLookUpsAskForEverybody(t *testing.T) {
	d := &desk{looks: []dispatcher.Look{look(1, 5, 20), look(2, 21, 30)}}
	d.play(t)
	if len(d.asked) != 26 || len(d.ended) != 2 || len(d.putOff) != 0 {
		t.Errorf("%d were asked for, %d rounds ended, %d did not", len(d.asked), len(d.ended), len(d.putOff))
	}
	if len(d.ended[0]) != 2 || len(d.ended[1]) != 1 {
		t.Errorf("left: %d and %d, want those whose number ends in 9", len(d.ended[0]), len(d.ended[1]))
	}
	if n := len(slices.DeleteFunc(slices.Clone(d.waits), func(w time.Duration) bool { return w != lookGap })); n != 26 {
		t.Errorf("%d waits of %s for 26 inquiries", n, lookGap)
	}
}

// TestLookUpsAskFewAtOnce holds every inquiry until four are there.
func TestLookUpsAskFewAtOnce(t *testing.T) {
	four := make(chan struct{})
	var arrived sync.WaitGroup
	arrived.Add(lookAtOnce)
	go func() { arrived.Wait(); close(four) }()
	d := &desk{looks: []dispatcher.Look{look(1, 10, 10+4*lookAtOnce-1)}}
	var first sync.Mutex
	n := 0
	d.inside = func(context.Context, string) {
		first.Lock()
		n++
		if n <= lookAtOnce {
			arrived.Done()
		}
		first.Unlock()
		<-four
	}
	d.play(t)
	if d.mostOnce != lookAtOnce {
		t.Errorf("%d at once, want %d", d.mostOnce, lookAtOnce)
	}
}

// TestLookUpsLeaveAProviderAlone: an error ends the round, what was found until
// then holds, and the pause doubles, or is the one that was asked for.
func TestLookUpsLeaveAProviderAlone(t *testing.T) {
	throttled := &channels.Unanswered{Reason: "throttled", Pause: 25 * time.Minute}
	d := &desk{looks: []dispatcher.Look{look(1, 10, 60), look(2, 61, 61), look(3, 62, 62), look(4, 63, 63), look(5, 64, 64)}, answers: map[string]error{
		"+46701740611": &channels.Unanswered{Reason: "timeout"}, "+46701740661": &channels.Unanswered{Reason: "bad_credentials"},
		"+46701740662": throttled, "+46701740664": &channels.Unanswered{Reason: "timeout"},
	}}
	d.inside = func(ctx context.Context, address string) {
		if address > "+46701740611" && address <= "+46701740660" {
			<-ctx.Done() // the error of the one before ends it
		}
	}
	log := d.play(t)
	if rest := len(d.asked) - 4; rest > 2+lookAtOnce {
		t.Errorf("%d of the first batch were asked for, the second of whom with an error", rest)
	}
	if len(d.ended) != 1 || len(d.putOff) != 4 {
		t.Errorf("%d rounds ended, %d were put off", len(d.ended), len(d.putOff))
	}
	pauses := slices.DeleteFunc(slices.Clone(d.waits), func(w time.Duration) bool { return w == lookGap || w == 0 || w == lookEvery })
	if want := []time.Duration{lookPause, 2 * lookPause, 25 * time.Minute, lookPause}; !slices.Equal(pauses, want) {
		t.Errorf("pauses %v, want %v", pauses, want)
	}
	if !strings.Contains(log, "bad_credentials") {
		t.Errorf("the log does not say why: %s", log)
	}
}

// TestLookUpsGoOnAfterOneThatCannotBeRead: it says nothing of the others.
func TestLookUpsGoOnAfterOneThatCannotBeRead(t *testing.T) {
	d := &desk{looks: []dispatcher.Look{look(1, 10, 13)}, answers: map[string]error{"+46701740611": channels.ErrUnreadable}}
	d.play(t)
	if len(d.asked) != 4 || len(d.ended) != 1 || len(d.ended[0]) != 1 {
		t.Errorf("%d were asked for, %v are left", len(d.asked), d.ended)
	}
}

// TestLookUpsEndWithTheProcess: who takes over goes on at once.
func TestLookUpsEndWithTheProcess(t *testing.T) {
	d := &desk{looks: []dispatcher.Look{look(1, 10, 50)}, answers: map[string]error{}}
	d.inside = func(context.Context, string) { d.stop() }
	log := d.play(t)
	if len(d.ended) != 0 || len(d.putOff) != 1 || !d.putOff[0].Equal(d.now) || len(d.asked) > lookAtOnce {
		t.Errorf("%d ended, put off until %v, now %s, %d asked for", len(d.ended), d.putOff, d.now, len(d.asked))
	}
	if strings.Contains(log, "failed") {
		t.Errorf("an end is no failure: %s", log)
	}
}

func TestLookUpsWaitNoLongerThanTheirContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	wait(ctx, time.Hour)
	wait(t.Context(), time.Nanosecond)
	if !errors.Is(ctx.Err(), context.Canceled) {
		t.Error(ctx.Err())
	}
}
