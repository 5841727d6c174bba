package docs

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"utskick/dispatcher"
	"utskick/suppression"
)

// at is when an export is made of nothing.
var at = time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)

type noEntries struct{}

func (noEntries) EachEntry(context.Context, func(suppression.Entry) error) error { return nil }

// reports reads the reports that README.md shows.
func reports(t *testing.T) (all []dispatcher.Report) {
	t.Helper()
	for _, text := range strings.Split(read(t, "README.md"), "\nCampaign ")[1:] {
		text = before(text, "\n```")
		var r dispatcher.Report
		for _, line := range strings.Split(text, "\n") {
			if c, ok := channelLine(line); ok {
				r.Channels = append(r.Channels, c)
			}
			words := strings.Fields(line)
			for i := range r.Channels {
				if len(words) == 4 && words[0] == string(r.Channels[i].Channel) {
					addCause(t, &r.Channels[i], words[1:])
				}
			}
		}
		if len(r.Channels) > 0 {
			all = append(all, r)
		}
	}
	return all
}

var number = regexp.MustCompile(`^\d+$`)

// channelLine reads a line of twelve: a channel and its figures.
func channelLine(line string) (c dispatcher.ChannelReport, ok bool) {
	words := strings.Fields(line)
	if len(words) != 12 || !number.MatchString(words[1]) {
		return c, false
	}
	_, err := fmt.Sscan(line, &c.Channel, &c.Audience, &c.Duplicates, &c.Sent, &c.Suppressed, &c.Failed, &c.InDoubt, &c.Skipped, &c.Pending,
		&c.Opened, &c.Clicked, &c.Unsubscribed)
	c.Causes = map[string]map[string]int64{}
	return c, err == nil
}

func addCause(t *testing.T, c *dispatcher.ChannelReport, words []string) {
	t.Helper()
	n, err := strconv.ParseInt(words[2], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	if c.Causes[words[0]] == nil {
		c.Causes[words[0]] = map[string]int64{}
	}
	c.Causes[words[0]][words[1]] = n
}

// TestReportsOfTheTour wants the sums of both reports to meet, and the second
// one to have sent one message less, for the wish between them.
func TestReportsOfTheTour(t *testing.T) {
	all := reports(t)
	if len(all) != 2 {
		t.Fatalf("README.md shows %d reports", len(all))
	}
	for _, r := range all {
		if err := r.Reconcile(); err != nil {
			t.Error(err)
		}
	}
	first, second := all[0].Channels[0], all[1].Channels[0]
	first.Sent--
	first.Suppressed++
	first.Causes["suppressed"]["unsubscribed"]++
	if fmt.Sprint(first) != fmt.Sprint(second) {
		t.Errorf("after one unsubscribe:\n%v, not\n%v", second, first)
	}
}
