package dispatcher_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"utskick/audience"
	"utskick/channels"
	"utskick/dispatcher"
	"utskick/suppression"
	"utskick/templates"
	"utskick/tracking"
)

func key(b byte) audience.Key { return audience.Key{b} }

// ledger is a fake of one batch, which remembers the order of the protocol.
type ledger struct {
	batch   dispatcher.Batch
	members []dispatcher.Member
	blocked []suppression.Match

	steps    []string
	settled  []dispatcher.Settlement
	evidence []dispatcher.Message
	decided  string

	evidenceErr []error
	paused      string
	closed      dispatcher.Cause
	retryAt     time.Time
	releaseErr  []error
	claimErr    error
	checkErr    error
	settleErr   []error
}

func (l *ledger) did(step string) { l.steps = append(l.steps, step) }

func (l *ledger) Batch(context.Context, int64) (dispatcher.Batch, error) { return l.batch, nil }

func (l *ledger) Members(_ context.Context, _ dispatcher.Batch, limit int) ([]dispatcher.Member, error) {
	l.did("read")
	return l.members[:min(limit, len(l.members))], nil
}

func (l *ledger) Claim(context.Context, dispatcher.Claim) error {
	l.did("claim")
	return l.claimErr
}

func (l *ledger) Matching(context.Context, suppression.Scope, []audience.Key) ([]suppression.Match, int64, error) {
	l.did("check")
	return l.blocked, 7, l.checkErr
}

func (l *ledger) Release(_ context.Context, _ dispatcher.Claim, at time.Time) error {
	l.did("release")
	l.retryAt = at
	if len(l.releaseErr) > 0 {
		err := l.releaseErr[0]
		l.releaseErr = l.releaseErr[1:]
		return err
	}
	return nil
}

func (l *ledger) Postpone(_ context.Context, _ dispatcher.Batch, until time.Time) error {
	l.did("postpone")
	l.retryAt = until
	return nil
}

func (l *ledger) Settle(_ context.Context, s dispatcher.Settlement) (dispatcher.Progress, error) {
	l.did("settle")
	if len(l.settleErr) > 0 {
		err := l.settleErr[0]
		l.settleErr = l.settleErr[1:]
		return dispatcher.Progress{}, err
	}
	l.settled = append(l.settled, s)
	l.members = l.members[s.Members:]
	l.batch.Fence++
	return dispatcher.Progress{Done: len(l.members) == 0}, nil
}

func (l *ledger) CloseRest(_ context.Context, _ dispatcher.Batch, _ dispatcher.Code, cause dispatcher.Cause) error {
	l.did("close")
	l.closed = cause
	return nil
}

func (l *ledger) Beat(context.Context, int64, int64) error { return nil }

func (l *ledger) Evidence(_ context.Context, _ int64, sent []dispatcher.Message) error {
	l.did("evidence")
	if len(l.evidenceErr) > 0 {
		err := l.evidenceErr[0]
		l.evidenceErr = l.evidenceErr[1:]
		return err
	}
	l.evidence = sent
	return nil
}

func (l *ledger) LateStarts(_ context.Context, _, fence int64, n int) error {
	l.did(fmt.Sprintf("late %d of fence %d", n, fence))
	return nil
}

func (l *ledger) DecidePiece(_ context.Context, _ dispatcher.Batch, reason string) (bool, error) {
	l.did("decide")
	l.decided = reason
	return false, nil
}

func (l *ledger) HoldChannel(_ context.Context, ch audience.Channel, reason string) error {
	l.did("hold " + string(ch))
	l.paused = reason
	return nil
}

func (l *ledger) PauseRun(_ context.Context, _ int64, reason string) error {
	l.did("pause")
	l.paused = reason
	return nil
}

func (l *ledger) Record(_ context.Context, w suppression.Wish) (suppression.Recorded, error) {
	l.did("suppress " + string(w.Entry.Cause))
	return suppression.Recorded{}, nil
}

func (l *ledger) TemplateByID(context.Context, int64) (templates.Template, error) {
	return templates.Template{Name: "t", Channel: audience.SMS, Default: "sv", Contents: map[string]templates.Content{"sv": {Text: "Hej {{ contact.first_name }}"}}}, nil
}

func (l *ledger) SenderByName(context.Context, string) (templates.Sender, error) {
	return templates.Sender{Name: "s", FromName: "Exempelbolaget", FromEmail: "a@exempelbolaget.test", PostalAddress: "Exempelgatan 1",
		Site: "https://www.exempelbolaget.test", SMSSender: "+46701740699"}, nil
}

func (l *ledger) LinkIDs(context.Context, int64) (map[string]int64, error) { return nil, nil }

// provider answers as it is told, and notes whom it was allowed to send to.
type provider struct {
	ledger  *ledger
	perCall int
	answers []channels.Result // by row; Accepted where there is none
	sent    []audience.Key
}

func (p *provider) Name() string              { return "fake" }
func (p *provider) Channel() audience.Channel { return audience.SMS }
func (p *provider) PerCall() int              { return p.perCall }
func (p *provider) Close() error              { return nil }

func (p *provider) Prepare(_ context.Context, d channels.Draft) (channels.Call, error) {
	p.ledger.did("prepare")
	return call{p, d}, nil
}

type call struct {
	*provider
	draft channels.Draft
}

func (c call) Send(_ context.Context, permits []*suppression.Permit) []channels.Result {
	c.ledger.did("send")
	out := make([]channels.Result, len(permits))
	for i, permit := range permits {
		if permit == nil {
			continue
		}
		out[i].Class = channels.Accepted
		if i < len(c.answers) {
			out[i] = c.answers[i]
		}
		c.sent = append(c.sent, c.draft.Keys[i])
	}
	c.provider.sent = c.sent
	return out
}

var now = time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)

// worker is a worker over n members, all with a basis.
func worker(t *testing.T, n int, perCall int) (*dispatcher.Worker, *ledger, *provider) {
	t.Helper()
	l := &ledger{batch: dispatcher.Batch{BatchRef: dispatcher.BatchRef{ID: 1, Fence: 3, Channel: audience.SMS}, Group: 9, Run: 5, Rev: 1,
		RunState: dispatcher.Sending, SendBy: now.Add(time.Hour), Ready: true, Sender: "s", Template: 1, Language: "sv", Topic: "offer", High: key(255)}}
	for i := range n {
		k := key(byte(i + 1))
		l.members = append(l.members, dispatcher.Member{Key: k, Candidate: suppression.NewCandidate(k, key(byte(100+i)), true, "x"), Recipient: templates.Recipient{Key: k}})
	}
	p := &provider{ledger: l, perCall: perCall}
	signer, err := tracking.NewSigner(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	w := dispatcher.NewWorker(dispatcher.Config{Ledger: l, Library: l, Gate: suppression.NewGate(l, suppression.SystemClock), Suppressor: l,
		Providers: map[audience.Channel]channels.Provider{audience.SMS: p}, Signer: signer, PublicURL: "https://u.exempelbolaget.test",
		Owner: "test", Now: func() time.Time { return now }, Log: slog.New(slog.DiscardHandler)})
	return w, l, p
}

func dispatch(t *testing.T, w *dispatcher.Worker) error {
	t.Helper()
	return w.Dispatch(t.Context(), dispatcher.BatchRef{ID: 1, Fence: 3, Channel: audience.SMS})
}

func expectSteps(t *testing.T, l *ledger, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, l.steps); diff != "" {
		t.Errorf("steps: %s", diff)
	}
}

func TestProtocolOrder(t *testing.T) {
	w, l, p := worker(t, 4, 1000)
	l.members[1].Gone = true
	l.blocked = []suppression.Match{{Key: key(3), Cause: suppression.Objected}}
	if err := dispatch(t, w); err != nil {
		t.Fatal(err)
	}
	expectSteps(t, l, "read", "prepare", "claim", "check", "send", "settle")
	if diff := cmp.Diff([]audience.Key{key(1), key(4)}, p.sent); diff != "" {
		t.Errorf("sent: %s", diff)
	}
	s := l.settled[0]
	want := []dispatcher.Exception{{Key: key(2), Code: dispatcher.Skipped, Cause: dispatcher.CauseAddressChanged},
		{Key: key(3), Code: dispatcher.Suppressed, Cause: "objected"}}
	if diff := cmp.Diff(want, s.Exceptions); diff != "" || s.Members != 4 || s.Through != key(4) || s.Fence != 4 || s.Version != 7 || s.Group != 9 {
		t.Errorf("settlement %+v: %s", s, diff)
	}
}

// TestAnswers is the table of docs/states.md: what each class of answer means.
func TestAnswers(t *testing.T) {
	accepted := channels.Result{Class: channels.Accepted, ProviderID: "id"}
	for _, c := range []struct {
		name   string
		answer channels.Result
		want   dispatcher.Exception // of the second member
		taken  bool
		moved  bool
		paused string
		steps  []string
	}{
		{name: "accepted", answer: accepted, taken: true},
		{name: "in doubt", answer: channels.Result{Class: channels.InDoubt, Reason: channels.ReasonTimeout},
			want: dispatcher.Exception{Key: key(2), Code: dispatcher.InDoubt, Cause: dispatcher.CauseNoAnswer}},
		{name: "server error", answer: channels.Result{Class: channels.InDoubt, Reason: channels.ReasonServerError},
			want: dispatcher.Exception{Key: key(2), Code: dispatcher.InDoubt, Cause: dispatcher.CauseServer}},
		{name: "refused", answer: channels.Result{Class: channels.Refused, Reason: "unknown_address", Suppress: suppression.Bounced},
			want: dispatcher.Exception{Key: key(2), Code: dispatcher.Failed, Cause: dispatcher.CauseRefused}, steps: []string{"suppress bounced"}},
		{name: "too large alone", answer: channels.Result{Class: channels.Refused, Reason: channels.ReasonTooLarge},
			want: dispatcher.Exception{Key: key(2), Code: dispatcher.Failed, Cause: dispatcher.CauseTooLarge}},
		{name: "not taken", answer: channels.Result{Class: channels.NotTaken, Pause: time.Minute}, moved: true},
		{name: "expired", answer: channels.Result{}, moved: true},
		{name: "rejected alone", answer: channels.Result{Class: channels.Rejected, Reason: "bad_request"},
			want: dispatcher.Exception{Key: key(2), Code: dispatcher.Failed, Cause: dispatcher.CauseRefused}},
		{name: "too large and alone", answer: channels.Result{Class: channels.TooLarge},
			want: dispatcher.Exception{Key: key(2), Code: dispatcher.Failed, Cause: dispatcher.CauseTooLarge}},
		{name: "held", answer: channels.Result{Class: channels.Hold, Reason: "bad_credentials"}, moved: true, paused: "fake answered bad_credentials", steps: []string{"hold sms"}},
		{name: "sender held", answer: channels.Result{Class: channels.HoldSender, Reason: "bad_sender"}, moved: true, paused: "fake answered bad_sender", steps: []string{"pause"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, l, p := worker(t, 2, 1)
			p.answers = []channels.Result{accepted, c.answer}
			if err := dispatch(t, w); err != nil {
				t.Fatal(err)
			}
			expectSteps(t, l, append([]string{"read", "prepare", "claim", "check", "send", "settle"}, c.steps...)...)
			s := l.settled[0]
			got := slices.IndexFunc(s.Exceptions, func(e dispatcher.Exception) bool { return e.Key == key(2) })
			messages := []dispatcher.Message{{Key: key(1), ProviderID: "id"}}
			if c.taken {
				messages = append(messages, dispatcher.Message{Key: key(2), ProviderID: "id"})
			}
			if diff := cmp.Diff(messages, s.Messages); diff != "" {
				t.Errorf("messages: %s", diff)
			}
			if c.taken {
				if len(s.Exceptions) > 0 {
					t.Errorf("settlement: %+v", s)
				}
			} else if c.moved {
				if got >= 0 || s.Moved() != 1 || s.Moves[0].Keys[0] != key(2) || s.Moves[0].RetryAt.Sub(now) < c.answer.Pause {
					t.Errorf("settlement: %+v", s)
				}
			} else if got < 0 || s.Exceptions[got] != c.want || s.Moved() != 0 {
				t.Errorf("settlement: %+v", s)
			}
			if l.paused != c.paused {
				t.Errorf("paused: %q, want %q", l.paused, c.paused)
			}
		})
	}
}

// TestLateStartsAreWrittenDown: they are counted whatever the answer was, and
// before the outcome, which may find its claim lost.
func TestLateStartsAreWrittenDown(t *testing.T) {
	w, l, p := worker(t, 4, 1)
	p.answers = []channels.Result{{Class: channels.Accepted, Late: true}, {Class: channels.Accepted},
		{Class: channels.InDoubt, Reason: channels.ReasonTimeout, Late: true}, {Class: channels.Accepted}}
	l.settleErr = []error{dispatcher.ErrLostClaim}
	if err := dispatch(t, w); err != nil {
		t.Fatal(err)
	}
	expectSteps(t, l, "read", "prepare", "claim", "check", "send", "late 2 of fence 4", "settle", "evidence")
}

// TestRefusedCalls: what becomes of a call with many recipients that is refused
// as a whole, by what it is a part of.
func TestRefusedCalls(t *testing.T) {
	rejected := channels.Result{Class: channels.Rejected, Reason: "bad_request"}
	third := dispatcher.Piece{Origin: 77, Depth: dispatcher.HoldingDepth}
	waiting := third
	waiting.Refusal = "bad_request"
	for _, c := range []struct {
		name   string
		answer channels.Result
		of     dispatcher.Piece
		n      int
		sizes  []int // of the moves
		want   dispatcher.Piece
		failed int
	}{
		{"a whole call", rejected, dispatcher.Piece{}, 5, []int{3, 2}, dispatcher.Piece{Origin: 1, Depth: 1}, 0},
		{"a half", rejected, dispatcher.Piece{Origin: 77, Depth: 1}, 2, []int{1, 1}, dispatcher.Piece{Origin: 77, Depth: 2}, 0},
		{"a piece of the third halving", rejected, third, 2, []int{2}, waiting, 0},
		{"one, of the third halving", rejected, third, 1, []int{1}, waiting, 0},
		{"one, of a later halving", rejected, dispatcher.Piece{Origin: 77, Depth: 9}, 1, nil, dispatcher.Piece{}, 1},
		{"one, by itself", rejected, dispatcher.Piece{}, 1, nil, dispatcher.Piece{}, 1},
		{"too large", channels.Result{Class: channels.TooLarge}, dispatcher.Piece{}, 4, []int{2, 2}, dispatcher.Piece{}, 0},
		{"too large, of the third halving", channels.Result{Class: channels.TooLarge}, third, 4, []int{2, 2}, third, 0},
		{"too large and alone", channels.Result{Class: channels.TooLarge}, dispatcher.Piece{}, 1, nil, dispatcher.Piece{}, 1},
	} {
		w, l, p := worker(t, c.n+1, 1000)
		l.batch.Piece = c.of
		l.blocked = []suppression.Match{{Key: key(1), Cause: suppression.Objected}}
		p.answers = slices.Repeat([]channels.Result{c.answer}, c.n+1)
		if err := dispatch(t, w); err != nil || len(l.settled) != 1 {
			t.Fatalf("%s: %v, %v", c.name, err, l.steps)
		}
		s := l.settled[0]
		var sizes []int
		for _, m := range s.Moves {
			sizes = append(sizes, len(m.Keys))
			if m.Piece != c.want || !m.RetryAt.Equal(now) || m.Attempts != 0 {
				t.Errorf("%s: %+v", c.name, m)
			}
		}
		if !slices.Equal(sizes, c.sizes) || len(s.Exceptions) != 1+c.failed || l.paused != "" {
			t.Errorf("%s: %+v", c.name, s)
		}
	}
}

func TestAPieceThatWaitsIsNotCalled(t *testing.T) {
	w, l, _ := worker(t, 3, 1000)
	l.batch.Piece = dispatcher.Piece{Origin: 77, Depth: 3, Refusal: "bad_request"}
	if err := dispatch(t, w); err != nil || l.decided != "fake answered bad_request to every part of a call" {
		t.Errorf("%v, %q", err, l.decided)
	}
	expectSteps(t, l, "decide")
}

func TestNothingTakenIsReleased(t *testing.T) {
	for _, answer := range []channels.Result{{Class: channels.NotTaken, Pause: time.Minute}, {}, {Class: channels.Hold, Pause: time.Minute}} {
		w, l, p := worker(t, 3, 1000)
		p.answers = []channels.Result{answer, answer, answer}
		l.blocked = []suppression.Match{{Key: key(3), Cause: suppression.Objected}}
		if err := dispatch(t, w); err != nil {
			t.Fatal(err)
		}
		if l.steps[5] != "release" || len(l.settled) > 0 || l.retryAt.Before(now.Add(answer.Pause)) || !l.retryAt.After(now) {
			t.Errorf("%v: %v, retry at %v", answer.Class, l.steps, l.retryAt)
		}
	}
}

// TestEverybodyRefusedAlikeStopsTheRun: a relay that has blocked us says so to
// each recipient in turn.
func TestEverybodyRefusedAlikeStopsTheRun(t *testing.T) {
	policy := channels.Result{Class: channels.Refused, Reason: "policy"}
	for _, c := range []struct {
		name   string
		edit   func([]channels.Result)
		paused string
	}{
		{"all alike", func([]channels.Result) {}, "fake answered policy_for_everybody"},
		{"one was taken", func(r []channels.Result) { r[7].Class = channels.Accepted }, ""},
		{"one for another reason", func(r []channels.Result) { r[7].Reason = "mailbox_full" }, ""},
		{"addresses that are dead", func(r []channels.Result) {
			for i := range r {
				r[i].Suppress = suppression.Bounced
			}
		}, ""},
	} {
		w, l, p := worker(t, 25, 1)
		p.answers = slices.Repeat([]channels.Result{policy}, 25)
		c.edit(p.answers)
		if err := dispatch(t, w); err != nil || l.paused != c.paused || (c.paused != "") != (len(l.settled) == 0) {
			t.Errorf("%s: %v, paused %q, settled %d times", c.name, err, l.paused, len(l.settled))
		}
	}
}

func TestWithheldAllIsSettled(t *testing.T) {
	w, l, _ := worker(t, 1, 1)
	l.blocked = []suppression.Match{{Key: key(1), Cause: suppression.Objected}}
	if err := dispatch(t, w); err != nil {
		t.Fatal(err)
	}
	if len(l.settled) != 1 || l.settled[0].Exceptions[0].Code != dispatcher.Suppressed {
		t.Errorf("%+v", l.settled)
	}
}

// TestAnEndingProcessHandsItsBatchOn is told to end in the middle of a batch.
func TestAnEndingProcessHandsItsBatchOn(t *testing.T) {
	w, l, _ := worker(t, 3, 1)
	ctx, cancel := context.WithCancel(t.Context())
	w.Limiters = map[audience.Channel]dispatcher.Limiter{audience.SMS: &limiter{most: []int{1}, waiting: cancel}}
	if err := w.Dispatch(ctx, dispatcher.BatchRef{ID: 1, Fence: 3, Channel: audience.SMS}); err != nil {
		t.Fatal(err)
	}
	expectSteps(t, l, "read", "prepare", "claim", "check", "send", "settle", "postpone")
	if !l.retryAt.Equal(now) {
		t.Errorf("to be rung for at %v", l.retryAt)
	}
}

func TestUnknownSuppressionSendsNothing(t *testing.T) {
	w, l, p := worker(t, 2, 1)
	l.checkErr = errors.New("database away")
	l.releaseErr = []error{l.checkErr, dispatcher.ErrLostClaim} // the first was done all the same
	if err := dispatch(t, w); !errors.Is(err, l.checkErr) {
		t.Errorf("%v", err)
	}
	expectSteps(t, l, "read", "prepare", "claim", "check", "release", "release")
	if len(p.sent) > 0 {
		t.Error("sent with suppression unknown")
	}
}

func TestStepsOfABatchThatIsNotToBeSent(t *testing.T) {
	for _, c := range []struct {
		name  string
		edit  func(*dispatcher.Batch)
		cause dispatcher.Cause
	}{
		{"another fence", func(b *dispatcher.Batch) { b.Fence = 4 }, ""},
		{"calling or done", func(b *dispatcher.Batch) { b.Ready = false }, ""},
		{"paused", func(b *dispatcher.Batch) { b.RunState = dispatcher.Paused }, ""},
		{"cancelled", func(b *dispatcher.Batch) { b.RunState = dispatcher.Cancelling }, dispatcher.CauseCancelled},
		{"too late", func(b *dispatcher.Batch) { b.SendBy = now.Add(-time.Second) }, dispatcher.CauseExpired},
	} {
		w, l, p := worker(t, 2, 1)
		c.edit(&l.batch)
		if err := dispatch(t, w); err != nil || l.closed != c.cause || len(p.sent) > 0 {
			t.Errorf("%s: %v, closed %q, sent %d", c.name, err, l.closed, len(p.sent))
		}
	}
	w, l, p := worker(t, 2, 1)
	l.claimErr = dispatcher.ErrNotClaimed
	if err := dispatch(t, w); err != nil || len(p.sent) > 0 || slices.Contains(l.steps, "check") {
		t.Errorf("not claimed: %v %v", err, l.steps)
	}
}

func TestSettlingOutlivesTheDatabase(t *testing.T) {
	w, l, _ := worker(t, 2, 1000)
	l.settleErr = []error{errors.New("away"), errors.New("away")}
	if err := dispatch(t, w); err != nil || len(l.settled) != 1 {
		t.Errorf("%v, settled %d times", err, len(l.settled))
	}
}

func TestALostClaimLeavesEvidence(t *testing.T) {
	w, l, p := worker(t, 3, 1)
	l.settleErr = []error{errors.New("database away"), dispatcher.ErrLostClaim}
	l.evidenceErr = []error{errors.New("database away")}
	p.answers = []channels.Result{{Class: channels.Accepted}, {Class: channels.InDoubt}, {Class: channels.Accepted}}
	if err := dispatch(t, w); err != nil {
		t.Fatal(err)
	}
	if len(l.evidence) != 2 || l.evidence[0].Key != key(1) || l.evidence[1].Key != key(3) {
		t.Errorf("evidence: %+v", l.evidence)
	}
}

func TestOneRecipientProvidersTakeSmallChunks(t *testing.T) {
	w, l, p := worker(t, 90, 1)
	p.answers = []channels.Result{{Class: channels.InDoubt}}
	if err := dispatch(t, w); err != nil {
		t.Fatal(err)
	}
	var sizes []int
	for _, s := range l.settled {
		sizes = append(sizes, s.Members)
	}
	// Fifty at first; ten while the last chunk had somebody in doubt.
	if diff := cmp.Diff([]int{50, 10, 10, 10, 10}, sizes); diff != "" {
		t.Error(diff)
	}
}

// claims is a fake of the planning store with one claim.
type claims struct {
	dispatcher.Planning
	now       []dispatcher.Calling
	swept     []int64
	forgotten int
}

func (c *claims) NoteLapses(context.Context) error                             { return nil }
func (c *claims) StartDueRuns(context.Context) (int, error)                    { return 0, nil }
func (c *claims) FinishRuns(context.Context) (int, error)                      { return 0, nil }
func (c *claims) CallingBatches(context.Context) ([]dispatcher.Calling, error) { return c.now, nil }
func (c *claims) ForgetRequesters(context.Context) (int, error) {
	c.forgotten++
	return 0, nil
}
func (c *claims) Sweep(_ context.Context, x dispatcher.Calling) error {
	c.swept = append(c.swept, x.Batch)
	return nil
}

func TestSweepWaitsUntilThisProcessHasWatched(t *testing.T) {
	var at suppression.Instant
	c := &claims{now: []dispatcher.Calling{{Batch: 1, Fence: 1, Beat: 1}, {Batch: 2, Fence: 1, Beat: 1}, {Batch: 3, Fence: 1, Beat: 1}}}
	k := dispatcher.NewKeeper(c, func() suppression.Instant { return at })
	round := func(d time.Duration) {
		t.Helper()
		at = at.Add(d)
		if _, err := k.Round(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	round(time.Hour) // however old a claim is, its watch begins now
	round(dispatcher.SweepAfter - 1)
	if len(c.swept) > 0 {
		t.Fatal("swept before it was watched for long enough")
	}
	c.now[1].Beat++  // lives
	c.now[2].Fence++ // another claim of the same batch
	round(1)
	if diff := cmp.Diff([]int64{1}, c.swept); diff != "" {
		t.Error(diff)
	}
	round(dispatcher.SweepAfter)
	if diff := cmp.Diff([]int64{1, 2, 3}, c.swept[:3]); diff != "" {
		t.Error(diff)
	}
}

func TestRequestersAreForgottenEveryHour(t *testing.T) {
	at := suppression.Instant(time.Hour)
	c := &claims{}
	k := dispatcher.NewKeeper(c, func() suppression.Instant { return at })
	for i, want := range []int{1, 1, 2, 2} {
		if _, err := k.Round(t.Context()); err != nil || c.forgotten != want {
			t.Errorf("round %d: %d times, %v", i, c.forgotten, err)
		}
		at = at.Add(30*time.Minute + 1)
	}
}
