package main

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"utskick/dispatcher"
	"utskick/e2e/witness"
)

// lookUps are the rows in which nobody tells what became of messages, and Twilio
// is asked. The numbers are those of the campaign before, which was sent a moment
// ago: its messages stand in the same list.
func lookUps() []row {
	return []row{
		{name: "lookups", fault: "SMS taken and not taken, without a sound answer, and no webhooks", ends: "P3", doubt: []string{server, noAnswer},
			apply: func(s *stage) error {
				return s.resolvedByLooking(
					witness.Rule{Vendor: "twilio", Fault: witness.Silence, Every: 31, Times: 3, Taken: true},
					witness.Rule{Vendor: "twilio", Fault: witness.Reset, Every: 17, Taken: true},
					witness.Rule{Vendor: "twilio", Status: http.StatusInternalServerError, Every: 13, Taken: true},
					witness.Rule{Vendor: "twilio", Status: http.StatusInternalServerError, Every: 11},
					witness.Rule{Vendor: "twilio", Fault: witness.Reset, Every: 23},
				)
			}},
	}
}

// resolvedByLooking launches a campaign whose SMS are answered in these ways, and
// waits until those are found out that were taken. The first request for a list
// is refused.
func (s *stage) resolvedByLooking(list ...witness.Rule) error {
	if err := s.told(list...); err != nil {
		return err
	}
	name, err := s.launch()
	if err != nil {
		return err
	}
	if err := s.ended(name); err != nil {
		return err
	}
	s.over = time.Now()
	if err := s.told(witness.Rule{Vendor: witness.Lists, Status: http.StatusTooManyRequests, RetryAfter: 2, Times: 1}); err != nil {
		return err
	}
	want, err := s.doubtful(name)
	if err != nil {
		return err
	}
	if want.taken == 0 || want.not == 0 {
		return fmt.Errorf("%d in doubt were taken and %d were not: the row shows nothing", want.taken, want.not)
	}
	var last dispatcher.ChannelReport
	err = s.eventually("those in doubt whose message was taken are sent", func() bool {
		last = dispatcher.ChannelReport{}
		if r, err := s.report(name); err == nil {
			last = r.Channels[1]
		}
		return last.Resolved >= int64(want.taken)
	})
	if last.Resolved != int64(want.taken) || last.InDoubt != int64(want.not) || last.Sent != int64(want.sent) {
		err = errors.Join(err, fmt.Errorf("P3 is broken: sms: %d are sent, %d were resolved and %d are in doubt; by the witness %d, %d and %d",
			last.Sent, last.Resolved, last.InDoubt, want.sent, want.taken, want.not))
	}
	says, errText := s.cli("campaigns", "report", name)
	for _, line := range []string{fmt.Sprintf("sms: %d are in doubt, %[1]d open and 0 final", want.not), fmt.Sprintf("sms: of %d who were in doubt", want.taken)} {
		if errText == nil && !strings.Contains(says, line) {
			errText = fmt.Errorf("the report does not say %q", line)
		}
	}
	s.notes = append(s.notes, fmt.Sprintf("%d of %d in doubt were looked up and found sent, %d s after the end of their run", last.Resolved,
		want.taken+want.not, int(time.Since(s.over).Seconds())))
	return errors.Join(err, errText)
}

// outcomes counts the SMS of a campaign by the witness: taken in all, and of those
// that had no sound answer how many were taken, and how many not.
type outcomes struct{ sent, taken, not int }

func (s *stage) doubtful(campaign string) (o outcomes, err error) {
	calls, err := readCalls(s.file("witness.ndjson"))
	for _, c := range calls {
		if c.Vendor != "twilio" || len(c.Messages) != 1 || c.Messages[0].Campaign != campaign {
			continue
		}
		sound := c.Answer == "accepted"
		switch {
		case sound:
			o.sent++
		case c.Taken:
			o.sent++
			o.taken++
		case c.Whole:
			o.not++
		}
	}
	return o, err
}
