package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"utskick/dispatcher"
	"utskick/e2e/witness"
	"utskick/examples"
	"utskick/internal/testserver"
)

// stage is what a row is played on: one installation of the product, its
// witness and its people.
type stage struct {
	*lane
	ctx      context.Context
	row      row
	engine   string
	dir      string
	env      map[string]string
	people   *people
	witness  witness.Addresses
	leave    func() error // ends the witness
	closing  []func() error
	public   string
	way      *testserver.Way // of serve to Postgres, where it has its own
	hooksKey hooksKey
	serve    *process
	workers  []*process // serve alone on SQLite
	client   *client
	launched []string
	begun    map[string]int64 // when each was about to be launched
	waverers []witness.Message
	shift    string    // the file that shifts the clock of Postgres
	proxy    *proxy    // between the product and Postgres
	disk     *disk     // that a power cut is to be played on
	notes    []string  // what the row has measured
	faults   int       // how many were done; kills are counted beside
	over     time.Time // when the last fault was over
}

// limit is how long anything may take that must happen.
const limit = 170 * time.Second

// run plays a row from the empty database to the judgement.
func (l *lane) run(ctx context.Context, dir string, j job) verdict {
	ctx, cancel := context.WithTimeout(ctx, 2*limit)
	defer cancel()
	s := &stage{lane: l, ctx: ctx, row: j.row, engine: j.engine, people: newPeople(j.row.size(), j.row.mailAlone), env: map[string]string{}, begun: map[string]int64{}}
	s.dir = filepath.Join(dir, strings.ReplaceAll(j.String(), "/", "-"))
	if l.keep != "" {
		s.dir = filepath.Join(l.keep, strings.ReplaceAll(j.String(), "/", "-"))
	}
	v, err := s.play()
	var skipped errSkipped
	if errors.As(err, &skipped) {
		v.notes = append(v.notes, "left out: "+skipped.why)
	} else if err != nil {
		v.problems = append(v.problems, err.Error())
	}
	return v
}

// errSkipped says what this machine lacks for a row.
type errSkipped struct{ why string }

// Error implements error.
func (e errSkipped) Error() string { return e.why }

func (s *stage) play() (v verdict, err error) {
	if err := s.open(); err != nil {
		return v, fmt.Errorf("the row could not begin: %w", err)
	}
	defer func() { err = errors.Join(err, s.close()) }()
	// A first campaign without a fault brings the links to unsubscribe with.
	if err := s.launchAndWait(); err != nil {
		return v, err
	}
	if err := s.startClient(); err != nil {
		return v, err
	}
	if err := s.arm(); err != nil {
		return v, err
	}
	s.over = time.Now()
	failed := s.row.apply(s)
	if failed == nil {
		failed = s.waitForAll()
	}
	recovered := time.Since(s.over)
	s.client.end()
	if failed == nil {
		failed = s.launchAndWait() // whoever has objected by now gets nothing of it
	}
	v, err = s.judge()
	v.recovered = recovered
	return v, errors.Join(failed, err)
}

// open makes the installation and starts it without failpoints.
func (s *stage) open() error {
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return err
	}
	if err := s.startWitness(); err != nil {
		return err
	}
	if err := s.configure(); err != nil {
		return err
	}
	files := [][]string{{"contacts.csv", s.people.csv, "contacts", "import"}, {"sender.json", s.sender(), "senders", "save"}}
	if _, err := s.cli("migrate"); err != nil {
		return err
	}
	for _, f := range files {
		if err := s.feed(f[0], f[1], f[2:]...); err != nil {
			return err
		}
	}
	if err := s.startAll(nil); err != nil {
		return err
	}
	return s.listens()
}

func (s *stage) listens() error {
	return s.eventually("serve listens", func() bool {
		conn, err := new(net.Dialer).DialContext(s.ctx, "tcp", strings.TrimPrefix(s.public, "http://"))
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
}

// sender is the sender of all campaigns. In a row that tracks, opens and clicks are
// tied to people without their consent being asked for.
func (s *stage) sender() string {
	sender := example(examples.Sender)
	if s.row.tracks {
		sender = strings.Replace(sender, `"open_tracking": "consent"`, `"open_tracking": "always"`, 1)
	}
	return sender
}

func example(name string) string {
	content, err := examples.Files.ReadFile(name)
	if err != nil {
		panic(err) // it is in the program
	}
	return string(content)
}

// startWitness runs this program once more, as the witness.
func (s *stage) startWitness() error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := command(s.ctx, self, os.Environ(), "witness", s.file("witness.ndjson"))
	in, errIn := cmd.StdinPipe()
	out, errOut := cmd.StdoutPipe()
	cmd.Stderr = os.Stderr
	if err := errors.Join(errIn, errOut); err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	s.leave = func() error { return errors.Join(in.Close(), cmd.Wait()) }
	return json.NewDecoder(out).Decode(&s.witness)
}

func (s *stage) file(name string) string { return filepath.Join(s.dir, name) }

func (s *stage) configure() error {
	const account, token = "AC0123456789abcdef0123456789abcdef", "token-of-the-proof"
	if err := os.WriteFile(s.file("fcm.json"), s.witness.Credentials, 0o600); err != nil {
		return err
	}
	var at [2]string
	for i := range at {
		l, err := (&net.ListenConfig{}).Listen(s.ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		at[i] = l.Addr().String()
		if err := l.Close(); err != nil { // serve has it next
			return err
		}
	}
	s.public = "http://" + at[1]
	var err error
	if s.hooksKey, err = newHooksKey(); err != nil {
		return err
	}
	s.env = map[string]string{
		"PATH": os.Getenv("PATH"), "HOME": s.dir, "UTSKICK_DATA_DIR": s.file("data"), "UTSKICK_SECRET_FILE": s.file("secret.json"),
		"UTSKICK_PUBLIC_URL": "https://utskick.exempelbolaget.test", "UTSKICK_LISTEN": at[0], "UTSKICK_PUBLIC_LISTEN": at[1],
		"UTSKICK_EMAIL": "sendgrid", "UTSKICK_SENDGRID_URL": s.witness.SendGrid, "UTSKICK_SMTP_URL": s.witness.SMTP, "SENDGRID_API_KEY": "SG.key-of-the-proof",
		"UTSKICK_SMS": "twilio", "UTSKICK_TWILIO_URL": s.witness.Twilio, "TWILIO_ACCOUNT_SID": account, "TWILIO_AUTH_TOKEN": token,
		"UTSKICK_PUSH": "fcm", "UTSKICK_FCM_URL": s.witness.FCM, "GOOGLE_APPLICATION_CREDENTIALS": s.file("fcm.json"),
		"UTSKICK_SENDGRID_WEBHOOK_KEY": s.hooksKey.public,
		"UTSKICK_EMAIL_RATE":           "300", "UTSKICK_SMS_RATE": "300", "UTSKICK_PUSH_RATE": "300",
	}
	if s.engine == postgres {
		if err := s.ownServer(); err != nil {
			return err
		}
		if err := s.ready(); err != nil {
			return err
		}
		url, err := s.postgres.NewDatabase(s.ctx)
		if err != nil {
			return err
		}
		s.env["UTSKICK_DATABASE_URL"], s.env["UTSKICK_REDIS_URL"] = url, s.redis.URL
		if s.row.ownWay {
			if s.way, err = testserver.StartWay(s.ctx, url); err != nil {
				return err
			}
		}
	}
	for k, v := range s.row.env {
		s.env[k] = v
	}
	if s.row.between != nil {
		return s.row.between(s)
	}
	return nil
}

// ownServer starts a Postgres for the row alone, where it needs one.
func (s *stage) ownServer() error {
	if s.row.server == nil {
		return nil
	}
	o, err := s.row.server(s)
	if err != nil {
		return err
	}
	own, err := testserver.StartPostgres(s.ctx, o)
	if err != nil {
		return err
	}
	s.lane = &lane{options: s.options, postgres: own, redis: s.redis}
	s.closing = append(s.closing, own.Close)
	return nil
}

// ready gets the lane's servers up again, whatever the row before did to them.
func (s *stage) ready() error {
	return errors.Join(s.redis.Restart(s.ctx), s.postgres.Restart(s.ctx))
}

func (s *stage) environment(more ...string) []string {
	for k, v := range s.env {
		more = append(more, k+"="+v)
	}
	return more
}

// startAll starts the product; arms says which process has which failpoints.
func (s *stage) startAll(arms map[string][]string) error {
	s.workers = nil
	s.serve = s.process("serve", arms["serve"], "serve")
	if s.engine == postgres {
		for _, name := range []string{"work-1", "work-2"} {
			s.workers = append(s.workers, s.process(name, arms[name], "work"))
		}
	}
	for _, p := range append([]*process{s.serve}, s.workers...) {
		if err := p.run(); err != nil {
			return err
		}
	}
	if s.engine != postgres {
		s.workers = []*process{s.serve}
	}
	return nil
}

func (s *stage) process(name string, arms []string, args ...string) *process {
	return &process{name: name, arms: arms, start: func(arm string) (*exec.Cmd, error) {
		log, err := os.OpenFile(s.file(name+".log"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
		if err != nil {
			return nil, err
		}
		defer log.Close() // the process has its own
		var more []string
		if arm != "" {
			more = append(more, "UTSKICK_FAILPOINTS="+arm)
		}
		env := s.environment(more...)
		if s.way != nil && name == "serve" {
			env = append(env, "UTSKICK_DATABASE_URL="+s.way.URL) // the last one counts
		}
		if err := s.powerIsBack(); err != nil {
			return nil, err
		}
		cmd := s.command(context.WithoutCancel(s.ctx), true, env, args...)
		cmd.Stderr = log
		return cmd, cmd.Start()
	}}
}

// processes are all processes of the product.
func (s *stage) processes() []*process {
	if s.engine != postgres {
		return []*process{s.serve}
	}
	return append([]*process{s.serve}, s.workers...)
}

// arm starts the processes of which the row wants failpoints once more, with
// them.
func (s *stage) arm() error {
	if s.row.arms == nil {
		return nil
	}
	s.end()
	return s.startAll(s.row.arms(s.engine))
}

func (s *stage) end() {
	for _, p := range s.processes() {
		p.end()
	}
}

func (s *stage) startClient() error {
	calls, err := readCalls(s.file("witness.ndjson"))
	if err != nil {
		return err
	}
	log, err := witness.Create(s.file("wishes.ndjson"))
	if err != nil {
		return err
	}
	s.client = &client{log: log, public: s.public, gap: s.row.gap()}
	for _, c := range calls {
		for _, m := range c.Messages {
			if m.Link != "" {
				s.client.links = append(s.client.links, m)
			}
		}
	}
	rand.Shuffle(len(s.client.links), func(i, j int) { s.client.links[i], s.client.links[j] = s.client.links[j], s.client.links[i] })
	s.waverers, s.client.links = s.client.links[:s.row.waver], s.client.links[s.row.waver:]
	s.client.start(s.ctx)
	return nil
}

func (s *stage) close() error {
	if s.serve != nil {
		s.end()
	}
	if s.way != nil {
		if err := s.way.Close(); err != nil {
			return err
		}
	}
	if s.client != nil {
		s.client.end()
		if err := s.client.log.Close(); err != nil {
			return err
		}
	}
	var err error
	for _, f := range s.closing {
		err = errors.Join(err, f())
	}
	if s.leave != nil {
		err = errors.Join(err, s.leave())
	}
	return err
}

// cli runs a command of the product to its end.
func (s *stage) cli(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(s.ctx, limit) // the soak's files are large
	defer cancel()
	var out, log bytes.Buffer
	cmd := s.command(ctx, false, s.environment(), args...)
	cmd.Stdout, cmd.Stderr = &out, &log
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("utskick %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(log.String()))
	}
	return out.String(), nil
}

// feed gives a command a file.
func (s *stage) feed(name, content string, args ...string) error {
	if err := os.WriteFile(s.file(name), []byte(content), 0o600); err != nil {
		return err
	}
	_, err := s.cli(append(args, s.file(name))...)
	return err
}

// eventually waits until ok, or says what never happened.
func (s *stage) eventually(what string, ok func() bool) error {
	deadline := time.Now().Add(limit)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-s.ctx.Done():
			return fmt.Errorf("%s: %w", what, s.ctx.Err())
		case <-tick.C:
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("it never happened: %s", what)
		}
	}
	return nil
}

func (s *stage) report(campaign string) (r dispatcher.Report, err error) {
	out, err := s.cli("campaigns", "report", campaign, "--json")
	if err != nil {
		return r, err
	}
	return r, json.Unmarshal([]byte(out), &r)
}
