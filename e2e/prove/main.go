// Command prove puts the real program through faults while a witness in another
// process counts, and says for each fault whether the promises held. It runs
// the product as its operators do: serve and two workers on a private Redis and
// Postgres, or serve alone on the embedded database.
//
// Nothing that the product says of itself is believed but its final report, and
// that is held against the witness's log and the log of the client that
// unsubscribes.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"strings"
	"syscall"

	"utskick/e2e/witness"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "prove:", err)
		stop()
		os.Exit(1)
	}
}

// options are what the command line says.
type options struct {
	rows    *regexp.Regexp
	engines []string
	lanes   int
	short   bool
	keep    string
	binary  string
}

func readOptions(args []string) (o options, list bool, err error) {
	flags := flag.NewFlagSet("prove", flag.ContinueOnError)
	pattern := flags.String("rows", "", "only rows whose name fits this `pattern`")
	engines := flags.String("engines", "postgres,sqlite", "databases")
	flags.IntVar(&o.lanes, "lanes", 4, "how many rows run at once: they mostly wait")
	flags.BoolVar(&o.short, "short", false, "only the selection that every build runs")
	flags.StringVar(&o.keep, "keep", "", "keep logs of every row in this `folder`")
	flags.StringVar(&o.binary, "binary", "", "a `program` built with -tags failpoints; built here when not given")
	flags.BoolVar(&list, "list", false, "list the rows")
	if err := flags.Parse(args); err != nil {
		return o, false, err
	}
	if flags.NArg() > 0 || o.lanes < 1 {
		return o, false, errors.New("there are no arguments, and -lanes is 1 or more")
	}
	o.engines = strings.Split(*engines, ",")
	o.rows, err = regexp.Compile(*pattern)
	return o, list, err
}

func run(ctx context.Context, args []string) error {
	if len(args) == 2 && args[0] == "witness" {
		return witness.Run(args[1], os.Stdin, os.Stdout)
	}
	if len(args) > 0 && args[0] == "soak" {
		return runSoak(ctx, args[1:])
	}
	o, list, err := readOptions(args)
	if err != nil {
		return err
	}
	jobs := o.jobs()
	if list {
		for _, j := range jobs {
			fmt.Println(j)
		}
		return nil
	}
	if len(jobs) == 0 {
		return errors.New("no row has such a name; -list lists them")
	}
	return prove(ctx, o, jobs)
}
