package main

import (
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"time"

	"golang.org/x/term"
)

// printTable prints the results for people.
func printTable(out io.Writer, all []comparison) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "case\tengine\tours/s\tbare/s\tratio\tpeak MiB\tworker µs\tdatabase µs\tsink µs\tbare µs\tbytes ours\tbare\t")
	for _, c := range all {
		fmt.Fprintf(w, "%s\t%s\t%.0f\t%.0f\t%.0f %%\t%.0f\t%.1f\t%.1f\t%.1f\t%.1f\t%.0f\t%.0f\t\n", c.Case, c.Engine, c.Ours.Rate, c.Bare.Rate, 100*c.Ratio,
			c.Ours.Peak, c.Ours.Sender, c.Ours.Database, c.Ours.Sink, c.Bare.Sender, c.Ours.Bytes, c.Bare.Bytes)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(out, "\nMicroseconds are processor time for each recipient. Where the time of 1000 recipients goes,\nin milliseconds, summed over what went on at once; render is what is left of a batch:")
	for _, c := range all {
		fmt.Fprintf(out, "  %s, %s: %s\n", c.Case, c.Engine, c.Ours.Phases)
	}
	return nil
}

// progress says what is going on: on one line of a terminal, or a line now and
// then in a log.
type progress struct {
	out      io.Writer
	terminal bool
	last     time.Time
}

func newProgress(out *os.File) *progress {
	return &progress{out: out, terminal: term.IsTerminal(int(out.Fd()))}
}

func (p *progress) line(format string, args ...any) {
	const often = 10 * time.Second
	switch {
	case p.terminal:
		fmt.Fprintf(p.out, "\r\x1b[K"+format, args...)
	case time.Since(p.last) > often:
		fmt.Fprintf(p.out, format+"\n", args...)
		p.last = time.Now()
	}
}

func (p *progress) done() {
	if p.terminal {
		fmt.Fprint(p.out, "\r\x1b[K")
	}
}
