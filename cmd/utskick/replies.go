package main

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"utskick/channels/replies"
	"utskick/suppression"
)

type repliesCommand struct {
	Import repliesImport `cmd:"" help:"Import delivery notices, complaints and answers from a mailbox file or one message."`
}

type repliesImport struct {
	File     string `arg:"" help:"Mailbox file (mbox), or one message; - is the standard input."`
	Problems string `help:"File for messages that cannot be read; they are listed on the standard error if it is not given." placeholder:"FILE"`
}

func (c repliesImport) Run(sh *shell) error {
	file, size, err := openInput(c.File)
	if err != nil {
		return err
	}
	defer file.Close()
	problems := mailProblems{name: c.Problems, stderr: sh.stderr}
	return sh.with(func(a *app) error {
		bar := sh.progress(size, "importing")
		im := replies.Importer{Taker: suppression.NewMailroom(a.store, a.register), Keyer: a.keyer, Signer: a.signer, Now: time.Now,
			Problems: problems.write, Progress: func(read int64) { _ = bar.Set64(min(read, max(size, read))) }}
		report, err := im.Import(sh.ctx, file)
		_ = bar.Finish()
		if err := errors.Join(err, problems.close()); err != nil {
			return err
		}
		return sh.print(report, "%d messages, %d of them taken before: %d bounces that suppress, %d that count, %d that do neither; %d delays, %d delivered;"+
			" %d complaints, %d unsubscribes; %d objections, %d for customer service; %d automatic answers ignored; %d about nobody we know; %d that cannot be read.",
			report.Messages, report.Repeated, report.Bounces.Suppressing, report.Bounces.Counting, report.Bounces.Harmless, report.Delays, report.Delivered,
			report.Complaints, report.Unsubscribes, report.Objections, report.Queued, report.Automatic, report.Unknown, report.Problems)
	})
}

// mailProblems lists messages that cannot be read: in a file that is made when the
// first is found, or on the standard error.
type mailProblems struct {
	name   string
	stderr io.Writer
	file   *os.File
	out    *csv.Writer
}

func (p *mailProblems) write(problem replies.Problem) error {
	if p.name == "" {
		_, err := fmt.Fprintf(p.stderr, "utskick: message %d, at byte %d: it %s\n", problem.Message, problem.Offset, problem.Rule)
		return err
	}
	if p.out == nil {
		f, err := os.Create(p.name)
		if err != nil {
			return fmt.Errorf("make the list of problems: %w", err)
		}
		p.file, p.out = f, csv.NewWriter(f)
		_ = p.out.Write([]string{"message", "offset", "rule"}) // the writer remembers its error
	}
	_ = p.out.Write([]string{strconv.Itoa(problem.Message), strconv.FormatInt(problem.Offset, 10), problem.Rule})
	return p.out.Error()
}

func (p *mailProblems) close() error {
	if p.out == nil {
		return nil
	}
	p.out.Flush()
	return errors.Join(p.out.Error(), p.file.Close())
}
