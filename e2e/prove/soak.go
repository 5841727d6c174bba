package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"utskick/e2e/witness"
)

// plan is what the command line says of a soak.
type plan struct {
	options
	duration   time.Duration
	seed       uint64
	people     int            // who can be reached by each campaign
	rate       int            // e-mails a second
	objections int            // a second
	rest       time.Duration  // the shortest between two faults; the longest is three times it
	each       int            // how many faults before it is quiet
	quiet      time.Duration  // for so long
	kinds      *regexp.Regexp // of faults
}

func readPlan(args []string) (p plan, err error) {
	flags := flag.NewFlagSet("prove soak", flag.ContinueOnError)
	flags.DurationVar(&p.duration, "duration", time.Hour, "how long faults go on; the last campaigns end after it")
	flags.Uint64Var(&p.seed, "seed", uint64(time.Now().UnixNano()), "`number` that the faults follow from")
	flags.IntVar(&p.people, "people", 200_000, "who can be reached by a campaign")
	flags.IntVar(&p.rate, "rate", 1000, "e-mails a second; a third as many push messages, a twentieth as many SMS or more")
	flags.IntVar(&p.objections, "objections", 50, "people who unsubscribe a second, half of them in flight")
	flags.DurationVar(&p.rest, "rest", 20*time.Second, "the shortest time between two faults; the longest is three times it")
	flags.IntVar(&p.each, "each", 10, "faults before it is quiet")
	flags.DurationVar(&p.quiet, "quiet", 150*time.Second, "how long it is quiet then")
	kinds := flags.String("faults", "", "only faults whose name fits this `pattern`")
	flags.StringVar(&p.keep, "keep", "", "keep the logs in this `folder`")
	flags.StringVar(&p.binary, "binary", "", "a `program` built with -tags failpoints; built here when not given")
	if err := flags.Parse(args); err != nil {
		return p, err
	}
	if flags.NArg() > 0 || min(p.people, p.rate, p.objections, p.each) < 1 || min(p.duration, p.rest, p.quiet) <= 0 {
		return p, errors.New("there are no arguments, and every number is more than 0")
	}
	p.kinds, err = regexp.Compile(*kinds)
	return p, err
}

// limits are how many messages go a second, by the order of channelNames. A third
// of the people have a device, so that all channels take about as long.
func (p plan) limits() (limits [3]int) {
	limits[channelOf("email")] = p.rate
	limits[channelOf("push")] = p.rate/3 + 1
	limits[channelOf("sms")] = max(p.rate/20, p.rate*len(phones)/p.people) + 1
	return limits
}

// soak is one installation under load and faults for a long time.
type soak struct {
	plan
	*stage
	people *crowd
	tally  *tally
	aim    *aim
	calls  *tail[witness.Line]
	wishes *tail[wish]
	told   *tail[witness.Hooked]
	random *rand.Rand // of the faults alone

	mu        sync.Mutex
	campaigns []*campaign
	asked     time.Time // when for a report last
	harms     []harm
	backlogs  []backlog
	vitals    []vital
	entries   []int64 // of suppression, at the beginning of each quiet time
	begun     time.Time
	window    int // how often it has been quiet; 0 while it is not
	warned    map[string]bool
}

// runSoak is "prove soak".
func runSoak(ctx context.Context, args []string) error {
	p, err := readPlan(args)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "utskick-soak-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if p.keep != "" {
		dir = p.keep
	}
	if p.binary == "" {
		if p.binary, err = build(ctx, dir); err != nil {
			return err
		}
	}
	// What is interrupted is judged all the same; a second signal ends at once.
	steady := context.WithoutCancel(ctx)
	l, err := openLane(steady, p.options)
	if err != nil {
		return err
	}
	s := newSoak(steady, p, l, dir)
	return errors.Join(s.run(ctx), l.close())
}

func newSoak(ctx context.Context, p plan, l *lane, dir string) *soak {
	crowd := &crowd{}
	r := row{name: "soak", away: true, env: map[string]string{
		// So few that each of them has done its batch in some ten seconds.
		"UTSKICK_PUSH_WORKERS": "2", "UTSKICK_SMS_WORKERS": "1",
	}}
	for ch, limit := range p.limits() {
		r.env["UTSKICK_"+strings.ToUpper(channelNames[ch])+"_RATE"] = strconv.Itoa(limit)
	}
	st := &stage{lane: l, ctx: ctx, row: r, engine: postgres, dir: dir, env: map[string]string{}}
	st.people = &people{csv: crowd.grow(p.people)}
	return &soak{plan: p, stage: st, people: crowd, tally: newTally(crowd), random: rand.New(rand.NewPCG(p.seed, 0)), warned: map[string]bool{}}
}

// run soaks, judges and prints.
func (s *soak) run(ctx context.Context) (err error) {
	fmt.Printf("soaking for %s with seed %d: -seed %d repeats the order of the faults\n", s.duration, s.seed, s.seed)
	if err := s.openSoak(); err != nil {
		return errors.Join(fmt.Errorf("the soak could not begin: %w", err), s.close())
	}
	context.AfterFunc(ctx, func() { signal.Reset(os.Interrupt, syscall.SIGTERM) })
	s.begun = time.Now()
	failed := s.soak(ctx)
	v := s.verdict(ctx.Err() != nil)
	if failed != nil {
		v.problems = append(v.problems, failed.Error())
	}
	if ctx.Err() != nil {
		fmt.Println("interrupted: this is the verdict on what was seen until then, its sums those of the campaigns that had ended")
	}
	err = s.close()
	v.print(os.Stdout)
	if len(v.problems) > 0 {
		return errors.Join(fmt.Errorf("the soak has failed, %d problems", len(v.problems)), err)
	}
	return err
}

// openSoak makes the installation and begins to read its logs.
func (s *soak) openSoak() error {
	if err := s.open(); err != nil {
		return err
	}
	// What comes of each message is told three times, of some before their call
	// is answered.
	how := s.telling(3, 0.1)
	how.Brief = true
	if _, err := s.hooks(how); err != nil {
		return err
	}
	if err := s.rule(); err != nil {
		return err
	}
	log, err := witness.Create(s.file("wishes.ndjson"))
	if err != nil {
		return err
	}
	s.client = newAsker(log, s.public)
	if s.aim, err = newAim(s.people, s.file("secret.json")); err != nil {
		return err
	}
	s.follow(s.aim.call)
	return nil
}

// follow says what becomes of the lines of the logs; also learns from calls.
func (s *soak) follow(also func(call)) {
	starts := map[int64]int64{}
	s.calls = &tail[witness.Line]{path: s.file("witness.ndjson"), each: func(l witness.Line) {
		if l.Event == witness.Started {
			starts[l.Call] = l.At
			return
		}
		c := call{l, starts[l.Call]}
		delete(starts, l.Call)
		s.tally.call(c)
		also(c)
	}}
	s.wishes = &tail[wish]{path: s.file("wishes.ndjson"), each: s.tally.wish}
	s.told = &tail[witness.Hooked]{path: witness.HooksLog(s.file("witness.ndjson")), each: s.tally.hooked}
}

// rule gives the witness rules; without any it answers as a real provider does,
// after a while.
func (s *soak) rule(list ...witness.Rule) error {
	return s.stage.told(append(list, witness.Rule{Vendor: "sendgrid", Delay: 300 * time.Millisecond})...)
}

// soak does everything at once until the time is up, then lets the campaigns
// that run come to their end.
func (s *soak) soak(interrupted context.Context) error {
	loaded, done := context.WithCancel(s.ctx) // until the last campaign has ended
	asking, enough := context.WithCancel(s.ctx)
	ctx, stop := context.WithTimeout(interrupted, s.duration)
	defer stop()
	var background, load, objecting sync.WaitGroup
	var mu sync.Mutex
	var failed error
	must := func(err error) {
		if err != nil {
			mu.Lock()
			defer mu.Unlock()
			failed = errors.Join(failed, err)
			stop()
		}
	}
	background.Go(func() { must(s.read(loaded)) })
	background.Go(func() { must(s.watch(loaded)) })
	objecting.Go(func() { s.object(asking) })
	load.Go(func() { must(s.campaign(ctx)) })
	load.Go(func() { must(s.fail(ctx)) })
	load.Wait()
	if interrupted.Err() == nil && failed == nil {
		must(s.endAll(interrupted))
	}
	enough()
	objecting.Wait() // whoever has asked is answered
	done()
	background.Wait()
	return failed
}

// read reads the logs as they grow.
func (s *soak) read(ctx context.Context) error {
	for {
		if err := s.catchUp(); err != nil || !pause(ctx, 50*time.Millisecond) {
			return errors.Join(err, s.catchUp())
		}
	}
}

// catchUp reads all that is in the logs by now.
func (s *soak) catchUp() error { return errors.Join(s.wishes.read(), s.calls.read(), s.told.read()) }

// pause waits, and reports whether ctx goes on.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
