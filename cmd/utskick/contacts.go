package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"utskick/audience"
	"utskick/suppression"
)

type contactsCommand struct {
	Import contactsImport `cmd:"" help:"Import contacts from a CSV file."`
}

type contactsImport struct {
	File     string `arg:"" help:"CSV file; - is the standard input."`
	Basis    string `help:"Legal basis for rows that name none: consent or soft_optin."`
	Evidence string `help:"Evidence of the basis for rows that give none."`
	Sale     string `help:"The sale that soft opt-in rests on, for rows that name none: a date, or the number of a receipt."`
	Offered  bool   `help:"Opting out was offered when the address was given, for rows that do not say."`
	Family   string `help:"Product family of the sale, for rows that name none."`
	Problems string `help:"File for what is wrong, line by line; FILE.problems.csv if it is not given." placeholder:"FILE"`
	FromLine int    `help:"Begin at this line, to go on with an import that was stopped."`
}

func (c contactsImport) Run(sh *shell) error {
	if !audience.Basis(c.Basis).Valid() {
		return misuse{fmt.Errorf("--basis: %q is not consent or soft_optin", c.Basis)}
	}
	file, size, err := openInput(c.File)
	if err != nil {
		return err
	}
	defer file.Close()
	problems := newProblemFile(c.problemsFile())
	return sh.with(func(a *app) error {
		report, err := a.importContacts(sh, file, size, audience.ImportOptions{Basis: audience.Basis(c.Basis), Evidence: c.Evidence,
			Sale: audience.Sale{Reference: c.Sale, Offered: map[bool]string{true: "yes"}[c.Offered], Family: c.Family}, FromLine: c.FromLine, Problems: problems.write})
		if err := errors.Join(err, problems.close()); err != nil {
			return err
		}
		if err := a.store.Audit(sh.ctx, "command line", "contacts import", "file", fmt.Sprintf("%d created, %d updated, %d rejected", report.Created, report.Updated, report.Rejected)); err != nil {
			return err
		}
		text := "%d rows: %d contacts created, %d updated, %d unchanged; %d rows rejected, %d saved with a warning.%s"
		return sh.print(report, text, report.Rows, report.Created, report.Updated, report.Unchanged, report.Rejected, report.Warnings, problems.hint())
	})
}

func (c contactsImport) problemsFile() string {
	switch {
	case c.Problems != "":
		return c.Problems
	case c.File == "-":
		return "contacts.problems.csv"
	}
	return c.File + ".problems.csv"
}

// openInput opens a file, or the standard input; size is 0 when it is unknown.
func openInput(name string) (file io.ReadCloser, size int64, err error) {
	if name == "-" {
		return io.NopCloser(os.Stdin), 0, nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, 0, err
	}
	if info, err := f.Stat(); err == nil {
		size = info.Size()
	}
	return f, size, nil
}

// importContacts fills in what every import has, and shows progress.
func (a *app) importContacts(sh *shell, r io.Reader, size int64, o audience.ImportOptions) (audience.Report, error) {
	o.Region, o.Keyer, o.Purposes = a.cfg.Region, a.keyer, purposeNames()
	bar := sh.progress(size, "importing")
	o.Progress = func(p audience.Progress) { _ = bar.Set64(min(p.Bytes, max(size, p.Bytes))) }
	report, err := audience.Import(sh.ctx, r, a.contacts(), o)
	_ = bar.Finish()
	return report, err
}

func purposeNames() []string {
	names := make([]string, len(suppression.Purposes))
	for i, p := range suppression.Purposes {
		names[i] = string(p)
	}
	return names
}

// progress shows a bar where a person looks at the screen, and nothing else.
func (sh *shell) progress(size int64, what string) *progressbar.ProgressBar {
	if size == 0 {
		size = -1
	}
	f, ok := sh.stderr.(*os.File)
	visible := ok && !sh.json && term.IsTerminal(int(f.Fd()))
	return progressbar.NewOptions64(size, progressbar.OptionSetDescription(what), progressbar.OptionSetWriter(sh.stderr),
		progressbar.OptionSetVisibility(visible), progressbar.OptionClearOnFinish(), progressbar.OptionThrottle(100_000_000))
}

// problemFile is made when the first problem is found.
type problemFile struct {
	name  string
	file  *os.File
	write func(audience.Problem) error
	out   *audience.ProblemWriter
}

func newProblemFile(name string) *problemFile {
	p := &problemFile{name: name}
	p.write = func(problem audience.Problem) error {
		if p.out == nil {
			f, err := os.Create(p.name)
			if err != nil {
				return fmt.Errorf("make the list of problems: %w", err)
			}
			p.file, p.out = f, audience.NewProblemWriter(f)
		}
		return p.out.Write(problem)
	}
	return p
}

func (p *problemFile) close() error {
	if p.out == nil {
		return nil
	}
	return errors.Join(p.out.Flush(), p.file.Close())
}

func (p *problemFile) hint() string {
	if p.out == nil {
		return ""
	}
	return " What is wrong, line by line: " + p.name
}
