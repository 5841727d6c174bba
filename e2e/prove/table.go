package main

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// table prints results as they come.
type table struct {
	mu     sync.Mutex
	out    io.Writer
	wide   int
	broken []string
	rows   int
	sends  int
}

const heading = "| %-*s | %-8s | faults | runs | sends | objections | twice | after ack | lost | in doubt | unexplained | recovered |\n"

func newTable(out io.Writer, jobs []job) *table {
	t := &table{out: out, wide: len("fault")}
	for _, j := range jobs {
		t.wide = max(t.wide, len(j.row.fault))
	}
	fmt.Fprintf(out, heading, t.wide, "fault", "engine")
	fmt.Fprintf(out, "|%s|%s|-------:|-----:|------:|-----------:|------:|----------:|-----:|---------:|------------:|----------:|\n",
		strings.Repeat("-", t.wide+2), strings.Repeat("-", 10))
	return t
}

func (t *table) add(j job, v verdict) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rows++
	t.sends += v.sends
	fmt.Fprintf(t.out, "| %-*s | %-8s | %6d | %4d | %5d | %10d | %5d | %9d | %4d | %8d | %11d | %7.1f s |\n", t.wide, j.row.fault, j.engine,
		v.faults, v.runs, v.sends, v.objections, v.duplicates, v.afterAck, v.lost, v.inDoubt, v.unexplained, v.recovered.Seconds())
	for _, n := range v.notes {
		fmt.Fprintf(t.out, "    %s: %s\n", j, n)
	}
	for _, p := range v.problems {
		line := fmt.Sprintf("%s: %s", j, p)
		t.broken = append(t.broken, line)
		fmt.Fprintln(t.out, "    "+line)
	}
}

// end prints the sum, and returns an error that names what was broken.
func (t *table) end(took time.Duration) error {
	fmt.Fprintf(t.out, "\n%d rows, %d sends, %s.\n", t.rows, t.sends, took.Round(time.Second))
	if len(t.broken) > 0 {
		return fmt.Errorf("%d promises are broken:\n  %s", len(t.broken), strings.Join(t.broken, "\n  "))
	}
	return nil
}
