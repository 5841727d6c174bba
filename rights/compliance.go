package rights

import (
	"fmt"
	"time"
)

// The audit log's names of what the report counts, as the API and the command
// line write them.
var (
	ExportActions = []string{"person.export", "people export"}
	ImportActions = []string{"contacts.import", "contacts import", "suppressions.import", "suppressions import"}
)

// The periods that figures are of.
const (
	LatencyDays = 30
	YearDays    = 365
)

// unreadFor is how long an answer may lie unread. Whoever objects in it goes on
// getting messages meanwhile.
const unreadFor = 2 * 24 * time.Hour

// Facts are what the database knows for the report.
type Facts struct {
	Breaches  map[string]int64 // by name, of the last audit
	Audited   time.Time        // zero: never
	AuditedBy string

	Latencies []Latency // of the last LatencyDays, by bucket

	Open, Overdue  int64 // cases
	Ended, InTime  int64 // of the last year
	Exports        int64 // of the last year
	Erasures       int64
	LogFrom        time.Time // when the audit log begins; zero: it is empty
	UnreadReplies  int64
	OldestReply    time.Time // zero: none
	Suppressed     time.Time // when an entry was last changed; zero: never
	Imported       time.Time
	Retained       time.Time // when the retention job last ran
	Forgotten      []Forgotten
	Held           string // why all sending is held; empty: it is not
	HeldChannels   int64
	LapsedInstance int64
}

// Forgotten is what the retention job last did with a rule.
type Forgotten struct {
	Rule    string
	At      time.Time
	Touched int64 // rows, the last time
	Total   int64
}

// Process is what the process that makes the report knows of itself; nil where it
// does not know.
type Process struct {
	WebhooksRefused *int64 // since it began
	Spooled         *int64 // records that the database has not got
}

// Figure is one line of the report.
type Figure struct {
	Name  string    `json:"name"`
	Value *float64  `json:"value" doc:"null: not measured"`
	At    time.Time `json:"at,omitzero" doc:"Of figures that are an instant"`
	Unit  string    `json:"unit"`
	Says  string    `json:"says" doc:"What it is, in plain words"`
	Wrong bool      `json:"wrong" doc:"Something has to be done"`
}

// Shown returns the figure as a page shows it.
func (f Figure) Shown() string {
	switch {
	case !f.At.IsZero():
		return f.At.UTC().Format("2006-01-02 15:04 UTC")
	case f.Value == nil:
		return "not measured"
	case f.Unit == "%":
		return fmt.Sprintf("%.1f %%", *f.Value)
	case f.Unit == "s":
		return fmt.Sprintf("%.3g s", *f.Value)
	}
	return fmt.Sprintf("%.0f", *f.Value)
}

// Compliance is the report for the data protection officer.
type Compliance struct {
	At      time.Time `json:"at"`
	Figures []Figure  `json:"figures"`
}

// Report says in plain words what the facts come to. What nobody has measured is
// not 0.
func Report(f Facts, p Process, now time.Time) Compliance {
	c := Compliance{At: now.UTC()}
	for _, part := range [][]Figure{f.promises(), f.latency(), f.cases(), f.rights(), p.failures(), f.failures(now), f.freshness(now)} {
		c.Figures = append(c.Figures, part...)
	}
	return c
}

func count(name string, n int64, says string) Figure {
	v := float64(n)
	return Figure{Name: name, Value: &v, Says: says}
}

// zero is a count that must be 0.
func zero(name string, n int64, says string) Figure {
	f := count(name, n, says)
	f.Wrong = n > 0
	return f
}

func unmeasured(name, unit, says string) Figure { return Figure{Name: name, Unit: unit, Says: says} }

func (f Facts) promises() []Figure {
	figures := []Figure{
		{Name: "sent_after_objection", Says: "Messages that went to somebody after her objection was acknowledged. Recomputed from every call to a provider; must be 0."},
		{Name: "duplicates", Says: "Addresses that are in one run of a campaign more than once. Must be 0."},
		{Name: "late_starts", Says: "Messages that left after the permission for them had expired. Must be 0."},
	}
	if f.Audited.IsZero() {
		return figures
	}
	// An objection is tied to a message by its address, or by the contact.
	counts := []int64{f.Breaches["sent_after_objection"] + f.Breaches["sent_after_objection_of_contact"], f.Breaches["duplicates"], f.Breaches["late_starts"]}
	for i := range figures {
		figures[i] = zero(figures[i].Name, counts[i], figures[i].Says)
	}
	return figures
}

func (f Facts) latency() (figures []Figure) {
	for _, q := range []struct {
		name, share string
		p           float64
	}{{"optout_p50", "half of them", 0.5}, {"optout_p99", "99 of 100", 0.99}, {"optout_max", "all of them", 1}} {
		says := fmt.Sprintf("Within how many seconds %s were in force and acknowledged, of those who said no by a link, on the pages of a message or through a case, "+
			"in the last %d days.", q.share, LatencyDays)
		d, n := Quantile(f.Latencies, q.p)
		if n == 0 {
			figures = append(figures, unmeasured(q.name, "s", says))
			continue
		}
		v := d.Seconds()
		figures = append(figures, Figure{Name: q.name, Value: &v, Unit: "s", Says: says})
	}
	return figures
}

func (f Facts) cases() []Figure {
	inTime := unmeasured("cases_in_time", "%", "Of the cases that ended in the last year, how many ended by their due day.")
	if f.Ended > 0 {
		v := 100 * float64(f.InTime) / float64(f.Ended)
		inTime.Value, inTime.Wrong = &v, f.InTime < f.Ended
	}
	return []Figure{
		count("cases_open", f.Open, "Cases that wait for an answer."),
		zero("cases_overdue", f.Overdue, "Cases whose due day has gone by without an answer (GDPR 12(3))."),
		count("cases_ended", f.Ended, "Cases that ended in the last year: answered, refused or closed."),
		inTime,
	}
}

func (f Facts) rights() []Figure {
	exports := unmeasured("exports", "", "Access exports made in the last year, by the audit log.")
	if !f.LogFrom.IsZero() {
		exports = count(exports.Name, f.Exports, exports.Says)
	}
	return []Figure{exports, count("erasures", f.Erasures, "People erased in the last year. Requests that wait for a run to end are not counted yet.")}
}

func (p Process) failures() []Figure {
	hooks := unmeasured("webhooks_refused", "", "Webhooks that were forged, unreadable or too large, since the process that says so began. A few are normal on the internet.")
	if p.WebhooksRefused != nil {
		hooks = count(hooks.Name, *p.WebhooksRefused, hooks.Says)
	}
	spool := unmeasured("spooled", "", "Wishes and events that are safe on this machine's disk, and that the database has not got yet. 0 but for the time in which it is away.")
	if p.Spooled != nil {
		spool = count(spool.Name, *p.Spooled, spool.Says)
	}
	return []Figure{hooks, spool}
}

func (f Facts) failures(now time.Time) []Figure {
	held := count("sending_held", 0, "1: all sending is held, because the database was restored or failed over. Nobody is sent to; an operator decides.")
	if f.Held != "" {
		held = zero("sending_held", 1, held.Says)
	}
	replies := count("replies_unread", f.UnreadReplies, "Answers to messages that wait for somebody to read them: any may be an objection.")
	replies.Wrong = f.UnreadReplies > 0 && now.Sub(f.OldestReply) > unreadFor
	return []Figure{held,
		count("channels_held", f.HeldChannels, "Channels whose provider refuses everything. Nothing is sent by them."),
		zero("instances_lapsed", f.LapsedInstance, "Processes that took wishes and are cut off. Nothing is sent until they are back, or released."),
		replies}
}

func (f Facts) freshness(now time.Time) []Figure {
	instants := []struct {
		name, says string
		at         time.Time
		within     time.Duration // 0: as long as it likes
	}{
		{"suppressions_changed_at", "When somebody's wishes were last recorded or lifted.", f.Suppressed, 0},
		{"imported_at", "When a file of contacts or wishes was last imported.", f.Imported, 0},
		{"retained_at", "When the retention job last ran. It should every day.", f.Retained, 3 * 24 * time.Hour},
		{"audited_at", "When the promises above were last recomputed, by serve or by utskick doctor.", f.Audited, 24 * time.Hour},
	}
	figures := make([]Figure, len(instants))
	for i, in := range instants {
		figures[i] = Figure{Name: in.name, At: in.at, Unit: "time", Says: in.says, Wrong: in.within > 0 && !in.at.IsZero() && now.Sub(in.at) > in.within}
	}
	return figures
}

// Audited is a row of the audit log: who changed what.
type Audited struct {
	ID     int64     `json:"id"`
	At     time.Time `json:"at"`
	Actor  string    `json:"actor" doc:"Name of a key, or the command line"`
	Action string    `json:"action"`
	Object string    `json:"object"`
	Detail string    `json:"detail,omitempty"`
}
