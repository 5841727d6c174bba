package main

import (
	"strings"
	"testing"
	"time"

	"utskick/e2e/witness"
)

// steady starts calls of n messages each, so that the rate is as it says, from an
// instant on.
func steady(vendor string, perSecond, n int, from, lasts time.Duration) (all []call) {
	every := time.Duration(n) * time.Second / time.Duration(perSecond)
	for at := from; at < from+lasts; at += every {
		c := call{Start: int64(at), Line: witness.Line{Vendor: vendor, At: int64(at + time.Millisecond), Taken: true}}
		for range n {
			c.Messages = append(c.Messages, witness.Message{Channel: "email", To: "a@example.com", Campaign: "prov-1"})
		}
		all = append(all, c)
	}
	return all
}

// TestPlantedRates plants logs that keep to a limit of 100 messages a second, and
// some that do not.
func TestPlantedRates(t *testing.T) {
	const lasts = 30 * time.Second
	single := rate{"smtp", 100, time.Second}
	many := rate{"sendgrid", 100, 10 * time.Second}
	for name, c := range map[string]struct {
		limit  rate
		calls  []call
		broken bool
	}{
		"at the limit":                 {single, steady("smtp", 100, 1, 0, lasts), false},
		"a tenth over it":              {single, steady("smtp", 109, 1, 0, lasts), false},
		"more over it":                 {single, steady("smtp", 112, 1, 0, lasts), true},
		"another vendor beside it":     {single, append(steady("smtp", 100, 1, 0, lasts), steady("fcm", 100, 1, 0, lasts)...), false},
		"a burst":                      {single, append(steady("smtp", 100, 1, 0, lasts), steady("smtp", 1000, 1, 9*time.Second, 12*time.Millisecond)...), true},
		"two workers, each at it":      {single, append(steady("smtp", 100, 1, 0, lasts), steady("smtp", 100, 1, 5*time.Second, time.Second)...), true},
		"two halves":                   {single, append(steady("smtp", 50, 1, 0, lasts), steady("smtp", 50, 1, 0, lasts)...), false},
		"none at all":                  {single, nil, true},
		"calls of many at the limit":   {many, steady("sendgrid", 100, 50, 0, lasts), false},
		"calls of many in one second":  {many, steady("sendgrid", 150, 50, 0, time.Second), false},
		"calls of many in ten seconds": {many, steady("sendgrid", 125, 50, 0, lasts), true},
	} {
		v := verdict{}
		evidence{rates: []rate{c.limit}, calls: c.calls}.judgeRates(&v)
		got := strings.Join(v.problems, "; ")
		if c.broken != strings.Contains(got, "P6") || len(v.notes) != 1 {
			t.Errorf("%s: found %q, noted %q", name, got, v.notes)
		}
	}
}
