// Utskick sends direct marketing by e-mail, SMS and push, and never to whoever
// has asked to be left alone. docs/flow.md tells how; utskick --help lists what
// there is.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	_ "time/tzdata" // contacts have time zones on machines that have none

	"github.com/alecthomas/kong"
)

// The exit codes that scripts rely on.
const (
	exitDone   = 0
	exitFailed = 1
	exitMisuse = 2
)

// commands is the whole command line.
type commands struct {
	JSON bool `help:"Print the result as JSON." name:"json"`

	Demo         demoCommand         `cmd:"" help:"Try it: everything in one process, example data, and an outbox instead of providers."`
	Serve        serveCommand        `cmd:"" help:"Serve the operator API and pages, and the public pages. Without UTSKICK_REDIS_URL it also works."`
	Work         workCommand         `cmd:"" help:"Plan and send; needs UTSKICK_REDIS_URL."`
	Migrate      migrateCommand      `cmd:"" help:"Bring the database to this version."`
	Contacts     contactsCommand     `cmd:"" help:"Contacts."`
	Suppressions suppressionsCommand `cmd:"" help:"Who must not be contacted."`
	Replies      repliesCommand      `cmd:"" help:"What comes back by mail."`
	People       peopleCommand       `cmd:"" help:"What people may ask for: all that is held about them, and erasure."`
	Senders      sendersCommand      `cmd:"" help:"Who messages come from."`
	Notices      noticesCommand      `cmd:"" help:"Versions of the privacy notices, which wishes and consents are kept with."`
	Templates    templatesCommand    `cmd:"" help:"What messages say."`
	Campaigns    campaignsCommand    `cmd:"" help:"Campaigns and their runs."`
	Database     databaseCommand     `cmd:"" help:"Whether the database is the one that it was."`
	Keys         keysCommand         `cmd:"" help:"Keys to the operator API."`
	Providers    providersCommand    `cmd:"" help:"Channels that are held because their provider refuses everything."`
	Instances    instancesCommand    `cmd:"" help:"Processes that take wishes over HTTP."`
	Retention    retentionCommand    `cmd:"" help:"For how long things about people are kept."`
	Compliance   complianceCommand   `cmd:"" help:"The data protection officer's report."`
	Doctor       doctorCommand       `cmd:"" help:"Check the configuration, the database and every run's sums."`
	Version      versionCommand      `cmd:"" help:"Print the version."`
}

// shell is what a command works in.
type shell struct {
	ctx    context.Context
	stdout io.Writer
	stderr io.Writer
	lookup func(string) (string, bool)
	json   bool
	log    *slog.Logger
}

// misuse is an error of whoever called, not of the program.
type misuse struct{ error }

func (m misuse) Unwrap() error { return m.error }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr, os.LookupEnv)
	stop()
	os.Exit(code)
}

// run is main with its surroundings as arguments.
func run(ctx context.Context, args []string, stdout, stderr io.Writer, lookup func(string) (string, bool)) (code int) {
	var c commands
	exited := -1
	parser, err := kong.New(&c, kong.Name("utskick"), kong.Writers(stdout, stderr), kong.Exit(func(code int) { exited = code }),
		kong.Description("A self-hosted dispatcher of direct marketing that keeps its promises."), kong.UsageOnError())
	if err != nil {
		fmt.Fprintln(stderr, err)
		return exitFailed
	}
	parsed, err := parser.Parse(args)
	if exited >= 0 { // --help
		return exited
	}
	if err != nil {
		fmt.Fprintf(stderr, "utskick: %v\nutskick --help lists the commands.\n", err)
		return exitMisuse
	}
	sh := &shell{ctx: ctx, stdout: stdout, stderr: stderr, lookup: lookup, json: c.JSON}
	sh.log = slog.New(slog.NewTextHandler(stderr, nil))
	if err := parsed.Run(sh); err != nil {
		fmt.Fprintf(stderr, "utskick: %v\n", err)
		return exitCode(err)
	}
	return exitDone
}

func exitCode(err error) int {
	var wrong *configError
	if errors.As(err, &misuse{}) || errors.As(err, &wrong) {
		return exitMisuse
	}
	return exitFailed
}

// print writes a result: as JSON where that was asked for, else as text.
func (sh *shell) print(result any, text string, args ...any) error {
	if sh.json {
		e := json.NewEncoder(sh.stdout)
		e.SetIndent("", "  ")
		return e.Encode(result)
	}
	_, err := fmt.Fprintf(sh.stdout, text+"\n", args...)
	return err
}

type versionCommand struct{}

func (versionCommand) Run(sh *shell) error {
	version := "(devel)"
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		version = info.Main.Version
	}
	return sh.print(map[string]string{"version": version}, "utskick %s", version)
}
