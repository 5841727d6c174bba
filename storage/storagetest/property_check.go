package storagetest

import (
	"bytes"
	"cmp"
	"database/sql"
	"slices"

	gocmp "github.com/google/go-cmp/cmp"

	"utskick/audience"
	"utskick/dispatcher"
	"utskick/tracking"
)

// check compares the store with the model, and looks at what must hold of its
// rows whatever the model says.
func (m *machine) check() {
	members, batches := m.memberRows(), m.batchRows()
	m.checkRows(members, batches)
	same(m, "members", m.wantMembers(), members)
	same(m, "batches", m.wantBatches(), batches)
	same(m, "runs", m.wantRuns(), m.runRows())
	same(m, "slices", m.wantSlices(), m.sliceRows())
	for _, x := range mailings {
		if r := m.latest(x.name); r != nil {
			m.checkReport(r)
		}
	}
}

func same[Row comparable](m *machine, what string, want, got []Row) {
	m.t.Helper()
	if !slices.Equal(want, got) {
		m.fail("%s (-want +got):\n%s", what, gocmp.Diff(want, got, gocmp.AllowUnexported(memberID{})))
	}
}

// checkRows asserts the laws of the ledger.
func (m *machine) checkRows(members []memberRow, batches []batchRow) {
	in := map[int64]int64{}       // members of a batch
	claimed := map[memberID]int{} // by open claims
	codes := map[memberID]dispatcher.Code{}
	ended := map[int64]bool{}
	for _, r := range m.runRows() {
		ended[r.ID] = r.State.Ended()
	}
	for _, x := range members {
		if _, twice := codes[x.ID]; twice {
			m.fail("a key is in a run twice: %v", x.ID)
		}
		code, holders := x.Code, 0
		for _, b := range batches {
			if b.Group != x.Group || less(x.ID.key, b.Low) || less(b.High, x.ID.key) {
				continue
			}
			holders++
			in[b.ID]++
			settled := !b.Last.IsZero() && !less(b.Last, x.ID.key)
			if settled && code == dispatcher.Pending {
				code = dispatcher.Sent
			}
			if b.State == calling && !settled && !less(b.Claim, x.ID.key) {
				claimed[x.ID]++
			}
		}
		if holders != 1 || claimed[x.ID] > 1 {
			m.fail("a member is in %d batches and %d claims: %v", holders, claimed[x.ID], x.ID)
		}
		if code == dispatcher.Pending && ended[x.ID.run] {
			m.fail("a member of a run that has ended is pending: %v", x.ID)
		}
		codes[x.ID] = code
	}
	for id, before := range m.codes {
		if after := codes[id]; before != dispatcher.Pending && after != before && (before != dispatcher.InDoubt || after != dispatcher.Sent) {
			m.fail("a member was %s and is %s: %v", before, after, id)
		}
	}
	for _, b := range batches {
		var sum int64
		for _, n := range b.Counts {
			sum += n
		}
		if sum+b.Moved != b.Settled || in[b.ID] != b.N-b.Moved || b.State == done && b.Settled != b.N {
			m.fail("the sums of batch %d do not meet: %+v, %d members", b.ID, b, in[b.ID])
		}
	}
	m.codes = codes
}

// checkReport compares the report with what has become of everybody, and with
// itself, as the doctor does.
func (m *machine) checkReport(r *modelRun) {
	got, err := m.Report(m.ctx(), r.campaign)
	m.must(err)
	m.must(got.Reconcile())
	want := dispatcher.Report{Campaign: r.campaign, Run: r.ID, State: r.State, Reason: r.Reason, Planned: r.Planned}
	for _, ch := range audience.Channels {
		if slices.Contains(r.channels, ch) {
			want.Channels = append(want.Channels, m.wantReport(r, ch))
		}
	}
	for i, c := range got.Channels {
		// When doubt is final has a test of its own.
		want.Channels[i].InDoubtFinal = min(c.InDoubtFinal, c.InDoubt)
	}
	if diff := gocmp.Diff(want, got); diff != "" {
		m.fail("report (-want +got):\n%s", diff)
	}
}

func (w *model) wantReport(r *modelRun, ch audience.Channel) dispatcher.ChannelReport {
	at := place{r.ID, ch}
	c := dispatcher.ChannelReport{Channel: ch, Causes: map[string]map[string]int64{}, Unsubscribed: int64(len(w.unsubs[at])) + w.strangers[at], Resolved: w.resolved[at]}
	if c.Unsubscribed > 0 {
		c.Events = map[string]int64{string(tracking.Unsubscribes): c.Unsubscribed}
	}
	for _, s := range w.slices {
		if s.Run == r.ID && s.Channel == ch {
			c.Audience, c.Duplicates = c.Audience+s.Audience, c.Duplicates+s.Duplicates
		}
	}
	counters := map[dispatcher.Code]*int64{dispatcher.Pending: &c.Pending, dispatcher.Sent: &c.Sent, dispatcher.Suppressed: &c.Suppressed,
		dispatcher.Failed: &c.Failed, dispatcher.InDoubt: &c.InDoubt, dispatcher.Skipped: &c.Skipped}
	for id, x := range w.members {
		if id.run != r.ID || id.channel != ch {
			continue
		}
		code := w.codeOf(x)
		*counters[code]++
		if x.Cause != "" {
			if c.Causes[code.String()] == nil {
				c.Causes[code.String()] = map[string]int64{}
			}
			c.Causes[code.String()][string(x.Cause)]++
		}
	}
	return c
}

func (w *model) wantMembers() []memberRow {
	var rows []memberRow
	for _, x := range w.members {
		rows = append(rows, x.memberRow)
	}
	slices.SortFunc(rows, func(a, b memberRow) int {
		return cmp.Or(cmp.Compare(a.ID.run, b.ID.run), cmp.Compare(a.ID.channel, b.ID.channel), bytes.Compare(a.ID.key[:], b.ID.key[:]))
	})
	return rows
}

func (w *model) wantBatches() []batchRow {
	var rows []batchRow
	for _, b := range w.batchOf {
		rows = append(rows, b.batchRow)
	}
	slices.SortFunc(rows, func(a, b batchRow) int { return cmp.Compare(a.ID, b.ID) })
	return rows
}

func (w *model) wantRuns() []runRow {
	var rows []runRow
	for _, r := range w.runs {
		rows = append(rows, r.runRow)
	}
	return rows
}

func (w *model) wantSlices() []sliceRow {
	var rows []sliceRow
	for _, s := range w.slices {
		rows = append(rows, *s)
	}
	slices.SortFunc(rows, func(a, b sliceRow) int {
		return cmp.Or(cmp.Compare(a.Run, b.Run), cmp.Compare(a.Channel, b.Channel), cmp.Compare(a.Slice, b.Slice))
	})
	return rows
}

// rowsOf reads a table past the store.
func rowsOf[Row any](m *machine, text string, scan func(*sql.Rows, *Row) error) []Row {
	m.t.Helper()
	rows, err := m.db.QueryContext(m.ctx(), text)
	m.must(err)
	defer rows.Close()
	var all []Row
	for rows.Next() {
		var row Row
		m.must(scan(rows, &row))
		all = append(all, row)
	}
	m.must(rows.Err())
	return all
}

func (m *machine) memberRows() []memberRow {
	const text = `select g.run, g.channel, m.k, m.contact, m.grp, g.slice, g.language, coalesce(m.code, 0), coalesce(m.cause, ''), coalesce(m.provider_id, '')
		from members m join groups g on g.id = m.grp order by g.run, g.channel, m.k`
	return rowsOf(m, text, func(rows *sql.Rows, x *memberRow) error {
		return rows.Scan(&x.ID.run, &x.ID.channel, &x.ID.key, &x.Contact, &x.Group, &x.Slice, &x.Language, &x.Code, &x.Cause, &x.Provider)
	})
}

func (m *machine) batchRows() []batchRow {
	const text = `select id, grp, run, channel, n, k_lo, k_hi, last_k, claim_k, settled, state, fence, beat_at, not_before, rung_at, attempts,
		sent, suppressed, failed, in_doubt, skipped, moved from batches order by id`
	return rowsOf(m, text, func(rows *sql.Rows, b *batchRow) error {
		return rows.Scan(&b.ID, &b.Group, &b.Run, &b.Channel, &b.N, &b.Low, &b.High, &b.Last, &b.Claim, &b.Settled, &b.State, &b.Fence, &b.Beat,
			&b.NotBefore, &b.Rung, &b.Attempts, &b.Counts[dispatcher.Sent], &b.Counts[dispatcher.Suppressed], &b.Counts[dispatcher.Failed],
			&b.Counts[dispatcher.InDoubt], &b.Counts[dispatcher.Skipped], &b.Moved)
	})
}

func (m *machine) runRows() []runRow {
	return rowsOf(m, `select id, state, reason, rev, planned from runs order by id`, func(rows *sql.Rows, r *runRow) error {
		return rows.Scan(&r.ID, &r.State, &r.Reason, &r.Rev, &r.Planned)
	})
}

func (m *machine) sliceRows() []sliceRow {
	const text = `select run, channel, slice, closing, planned_at > 0, rung_at, audience, duplicates from slices order by run, channel, slice`
	return rowsOf(m, text, func(rows *sql.Rows, s *sliceRow) error {
		return rows.Scan(&s.Run, &s.Channel, &s.Slice, &s.Closing, &s.Planned, &s.Rung, &s.Audience, &s.Duplicates)
	})
}
