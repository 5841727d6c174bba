// Command bench measures how many recipients a second the product settles, from
// the launch of a campaign to its last settlement, through sinks on this machine
// that stand in for SendGrid, an SMTP relay, Twilio and FCM.
//
// Beside each measurement, in the same run, a bare sender puts the same bytes on
// as many connections. It does what nobody who sends can leave out: from a
// recipient's data, which it has in memory, it makes her message and the links in
// it while it sends, by appending to parts that are encoded beforehand, and signs,
// dot-stuffs, pipelines and reads the answers as the product does. It has no
// database, plans nothing, asks no suppression, writes no ledger, has no time-outs,
// tries nothing again and stops at the first answer that is not good. The ratio of
// the two rates says what all of that costs, and does not depend on the machine as
// the rates do.
//
// Sender, sink and database share the machine. Run it when nothing else does.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

func main() {
	if role := os.Getenv(roleVariable); role != "" {
		exit(runRole(role))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	exit(measureAll(ctx, os.Args[1:], os.Stdout))
}

func exit(err error) {
	switch {
	case err == nil || errors.Is(err, flag.ErrHelp):
		os.Exit(0)
	default:
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// options are what the command line says.
type options struct {
	contacts int
	engines  []string
	cases    []benchCase
	runs     int
	workers  int
	profile  string
	asJSON   bool
}

func readOptions(args []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.IntVar(&o.contacts, "contacts", 1_000_000, "how many `contacts` each campaign goes to")
	engines := flags.String("engines", "postgres,sqlite", "databases")
	names := flags.String("cases", usualCases, "ways to send; there is smtp-rsa, too")
	flags.IntVar(&o.runs, "runs", 3, "how often each is measured; medians count")
	flags.IntVar(&o.workers, "workers", 0, "batches sent at once; 0 is the product's default")
	flags.StringVar(&o.profile, "profile", "", "write processor and heap profiles of the worker to this `folder`")
	flags.BoolVar(&o.asJSON, "json", false, "print the results as JSON")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if o.contacts < 1 || o.runs < 1 || flags.NArg() > 0 {
		return o, errors.New("--contacts and --runs are 1 or more, and there are no arguments")
	}
	o.engines = strings.Split(*engines, ",")
	var err error
	o.cases, err = findCases(*names)
	return o, err
}

// measureAll is the command. What was measured before an error is printed, too.
func measureAll(ctx context.Context, args []string, out io.Writer) error {
	o, err := readOptions(args)
	if err != nil {
		return err
	}
	if o.profile != "" {
		if err := os.MkdirAll(o.profile, 0o750); err != nil {
			return fmt.Errorf("--profile: %w", err)
		}
	}
	var all []comparison
	for _, name := range o.engines {
		var found []comparison
		found, err = o.measureEngine(ctx, name)
		all = append(all, found...)
		if err != nil {
			break
		}
	}
	switch {
	case len(all) == 0:
		return err
	case o.asJSON:
		return errors.Join(err, json.NewEncoder(out).Encode(all))
	default:
		return errors.Join(err, printTable(out, all))
	}
}

// measureEngine measures all cases on one engine.
func (o options) measureEngine(ctx context.Context, name string) (found []comparison, err error) {
	e, err := startEngine(ctx, name)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, e.close()) }()
	say := newProgress(os.Stderr)
	defer say.done()
	if err := e.load(ctx, o.contacts, func(n int) { say.line("%s: %d of %d contacts loaded", name, n, o.contacts) }); err != nil {
		return nil, err
	}
	for _, c := range o.cases {
		compared, err := o.compare(ctx, e, c, func(run int, what string) { say.line("%s, %s: run %d of %d, %s", name, c.name, run, o.runs, what) })
		if err != nil {
			return found, fmt.Errorf("%s, %s: %w", name, c.name, err)
		}
		compared.Engine = name
		found = append(found, compared)
	}
	return found, nil
}
