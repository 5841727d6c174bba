package storage

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"math"
	"slices"

	"utskick/audience"
	"utskick/dispatcher"
	"utskick/tracking"
)

// History returns every communication with a contact, the newest first, with
// what was withheld and why, and what she did with it.
func (s *Store) History(ctx context.Context, externalID string) (all []dispatcher.Communication, err error) {
	c, err := s.Contact(ctx, externalID)
	if err != nil {
		return nil, err
	}
	ks, err := s.kindsOfContact(ctx, c.ID)
	if err != nil {
		return nil, fmt.Errorf("history: %w", err)
	}
	for before := int64(math.MaxInt64); before > 0; {
		var page []dispatcher.Communication
		if page, before, err = s.Communications(ctx, c.ID, ks, before, runsAtOnce); err != nil {
			return nil, err
		}
		all = append(all, page...)
	}
	markFirst(all)
	return all, nil
}

func (s *Store) kindsOfContact(ctx context.Context, contact int64) (ks []audience.KindKey, err error) {
	err = each(ctx, s.read, `select kind, k from address_keys where contact = $1`, []any{contact}, func(rows *sql.Rows) error {
		var k audience.KindKey
		err := rows.Scan(&k.Kind, &k.Key)
		ks = append(ks, k)
		return err
	})
	return ks, err
}

// A page is filled from so many runs at a time, and from so many times as many
// at most: a person who is in few of them is not looked for in all at once.
const (
	runsAtOnce = 100
	mostLooks  = 20
)

// Communications returns messages to a contact under any of the keys, of runs
// below before, the newest first: those of whole runs, until there are at least
// limit. next is where to go on, 0 at the end; a page may be short, or empty,
// before the end. Without a contact, it is whoever had the keys; a key without a
// kind may be of any.
func (s *Store) Communications(ctx context.Context, contact int64, ks []audience.KindKey, before int64, limit int) (all []dispatcher.Communication, next int64, err error) {
	next = before
	for range mostLooks {
		runs, err := s.runsBefore(ctx, next, min(limit, runsAtOnce))
		if err != nil {
			return nil, 0, fmt.Errorf("history: %w", err)
		}
		if len(runs) == 0 {
			return all, 0, nil
		}
		page, err := s.communicationsIn(ctx, contact, ks, runs)
		if err != nil {
			return nil, 0, fmt.Errorf("history: %w", err)
		}
		if next, all = runs[len(runs)-1].id, append(all, page...); len(all) >= limit {
			break
		}
	}
	return all, next, nil
}

// sliced is how many slices the channels of a run have, the closing one not
// counted.
type sliced struct {
	id     int64
	slices map[audience.Channel]int
}

// runsBefore returns runs that began to be planned, and others, the newest first.
func (s *Store) runsBefore(ctx context.Context, before int64, limit int) (runs []sliced, err error) {
	const text = `select id, channels from runs where id < $1 order by id desc limit $2`
	var ids []int64
	var channels []string
	err = each(ctx, s.read, text, []any{before, limit}, func(rows *sql.Rows) error {
		r := sliced{slices: map[audience.Channel]int{}}
		var stored string
		if err := rows.Scan(&r.id, &stored); err != nil {
			return err
		}
		var pinned []dispatcher.RunChannel
		if err := json.Unmarshal([]byte(stored), &pinned); err != nil {
			return err
		}
		for _, c := range pinned {
			ids, channels = append(ids, r.id), append(channels, string(c.Channel))
		}
		runs = append(runs, r)
		return nil
	})
	if err != nil || len(ids) == 0 {
		return runs, err
	}
	q := s.query()
	counts := `select u.run, u.channel, (select max(x.slice) from slices x where x.run = u.run and x.channel = u.channel) from ` +
		q.table("u", ints("run", ids), texts("channel", channels))
	byID := map[int64]map[audience.Channel]int{}
	for _, r := range runs {
		byID[r.id] = r.slices
	}
	return runs, each(ctx, s.read, counts, q.args, func(rows *sql.Rows) error {
		var run int64
		var ch audience.Channel
		var closing sql.NullInt64
		err := rows.Scan(&run, &ch, &closing)
		if closing.Valid {
			byID[run][ch] = int(closing.Int64)
		}
		return err
	})
}

// place is where a communication's member row lies.
type place struct {
	group int64
	key   audience.Key
}

// communicationsIn finds the member rows of the keys. Members are only indexed
// by group; in which groups a key can be follows from its slice, in which each
// that was cut from them later stays.
func (s *Store) communicationsIn(ctx context.Context, contact int64, ks []audience.KindKey, runs []sliced) ([]dispatcher.Communication, error) {
	var ids, slice []int64
	var channels []string
	var at []audience.Key
	for _, r := range runs {
		for ch, n := range r.slices {
			for _, k := range ks {
				if k.Kind != "" && k.Kind != ch.Kind() && k.Kind != audience.KindContact {
					continue
				}
				for _, i := range []int{sliceOf(k.Key, n), n} {
					ids, channels, slice, at = append(ids, r.id), append(channels, string(ch)), append(slice, int64(i)), append(at, k.Key)
				}
			}
		}
	}
	if len(ids) == 0 {
		return nil, nil
	}
	q := s.query()
	from := s.d.lookUp(q.table("u", ints("run", ids), texts("channel", channels), ints("slice", slice), keys("k", at)), "groups", "g",
		"%[1]s.run = u.run and %[1]s.channel = u.channel and %[1]s.slice = u.slice")
	from = s.d.lookUp(from, "members", "m", "%[1]s.grp = g.id and %[1]s.k = u.k")
	all, places, err := s.readCommunications(ctx, q, from, contact)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	if err := s.addEvents(ctx, ks, all, places, runs); err != nil {
		return nil, err
	}
	slices.SortStableFunc(all, func(a, b dispatcher.Communication) int {
		return cmp.Or(cmp.Compare(b.Run, a.Run), slices.Index(audience.Channels, a.Channel)-slices.Index(audience.Channels, b.Channel))
	})
	return all, nil
}

func (s *Store) readCommunications(ctx context.Context, q *query, from string, contact int64) ([]dispatcher.Communication, map[place]int, error) {
	text := `select m.grp, m.k, camp.name, g.run, g.channel, t.name, t.version, g.language, coalesce(m.code, 0), coalesce(m.cause, ''),
		coalesce(m.provider_id, cl.provider_id, ''), coalesce(cl.message_ids, ''), coalesce(cl.t0, 0), coalesce(cl.suppression_ver, 0), g.sender, coalesce(cl.notice, ''), b.last_k is not null and m.k <= b.last_k
		from ` + from + ` join runs r on r.id = g.run join campaigns camp on camp.id = r.campaign
		join batches b on b.grp = g.id and m.k between b.k_lo and b.k_hi
		left join calls cl on cl.batch = b.id and cl.suppression_ver is not null and (cl.k_from is null or m.k > cl.k_from) and m.k <= cl.k_to
		join templates t on t.id = coalesce(nullif(cl.template, 0), g.template)`
	if contact != 0 {
		text += ` where m.contact = ` + q.arg(contact)
	}
	var all []dispatcher.Communication
	places := map[place]int{}
	err := each(ctx, s.read, text, q.args, func(rows *sql.Rows) error {
		c, p, err := scanCommunication(rows)
		if _, twice := places[p]; err != nil || twice {
			return err
		}
		places[p] = len(all)
		all = append(all, c)
		return nil
	})
	return all, places, err
}

func scanCommunication(rows *sql.Rows) (c dispatcher.Communication, p place, err error) {
	var code dispatcher.Code
	var at int64
	var settled bool
	var messageIDs string
	if err := rows.Scan(&p.group, &p.key, &c.Campaign, &c.Run, &c.Channel, &c.Template, &c.Version, &c.Language, &code, &c.Cause,
		&c.ProviderID, &messageIDs, &at, &c.SuppressionVersion, &c.Sender, &c.Notice, &settled); err != nil {
		return c, p, err
	}
	if code == dispatcher.Pending && settled {
		code = dispatcher.Sent
	}
	c.Outcome, c.At = code.String(), timeOf(at)
	switch {
	case code != dispatcher.Sent:
		c.ProviderID = ""
	case c.ProviderID == "":
		c.ProviderID = messageID(messageIDs, p.key)
	}
	return c, p, nil
}

// addEvents adds the events of the communications in the runs, the newest run
// first.
func (s *Store) addEvents(ctx context.Context, ks []audience.KindKey, all []dispatcher.Communication, places map[place]int, runs []sliced) error {
	var own []audience.Key
	for _, k := range ks {
		if !slices.Contains(own, k.Key) {
			own = append(own, k.Key)
		}
	}
	q := s.query()
	text := fmt.Sprintf(`select e.grp, e.k, e.type, e.at, coalesce(e.link, 0), coalesce(l.target, ''), e.machine, e.agent from %s
		left join links l on l.id = e.link where e.run >= %s and e.run <= %s order by e.at`,
		s.d.lookUp(q.table("u", keys("k", own)), "events", "e", "%[1]s.k = u.k"), q.arg(runs[len(runs)-1].id), q.arg(runs[0].id))
	return each(ctx, s.read, text, q.args, func(rows *sql.Rows) error {
		var e tracking.Event
		var at int64
		if err := rows.Scan(&e.Group, &e.Key, &e.Type, &at, &e.Link, &e.Target, &e.Machine, &e.Agent); err != nil {
			return err
		}
		e.At = timeOf(at)
		if i, ok := places[place{e.Group, e.Key}]; ok {
			all[i].Events = append(all[i].Events, e)
		}
		return nil
	})
}
