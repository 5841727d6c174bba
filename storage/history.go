package storage

import (
	"context"
	"database/sql"
	"fmt"
	"sort"

	"utskick/audience"
	"utskick/dispatcher"
	"utskick/tracking"
)

// History returns every communication with a contact, the newest first, with
// what was withheld and why, and what she did with it.
func (s *Store) History(ctx context.Context, externalID string) ([]dispatcher.Communication, error) {
	c, err := s.Contact(ctx, externalID)
	if err != nil {
		return nil, err
	}
	ks, err := s.KeysOfContact(ctx, c.ID)
	if err != nil {
		return nil, fmt.Errorf("history: %w", err)
	}
	all, places, err := s.communications(ctx, c.ID, ks)
	if err != nil {
		return nil, fmt.Errorf("history: %w", err)
	}
	if err := s.addEvents(ctx, ks, all, places); err != nil {
		return nil, fmt.Errorf("history: %w", err)
	}
	markFirst(all)
	sort.SliceStable(all, func(i, j int) bool { return all[i].Run > all[j].Run })
	return all, nil
}

// place is where a communication's member row lies.
type place struct {
	group int64
	key   audience.Key
}

// communications finds the member rows of the keys, run by run: members are
// only indexed by group, so the groups are narrowed by slice first.
func (s *Store) communications(ctx context.Context, contact int64, ks []audience.Key) ([]dispatcher.Communication, map[place]int, error) {
	q := s.query()
	text := fmt.Sprintf(`select m.grp, m.k, camp.name, g.run, g.channel, t.name, t.version, g.language, coalesce(m.code, 0), coalesce(m.cause, ''),
		coalesce(m.provider_id, cl.provider_id, ''), coalesce(cl.message_ids, ''), coalesce(cl.t0, 0), coalesce(cl.suppression_ver, 0), g.sender, coalesce(cl.notice, ''), b.last_k is not null and m.k <= b.last_k
		from %s join groups g on true join members m on m.grp = g.id and m.k = u.k and m.contact = %s
		join runs r on r.id = g.run join campaigns camp on camp.id = r.campaign
		join batches b on b.grp = g.id and m.k between b.k_lo and b.k_hi
		left join calls cl on cl.batch = b.id and cl.suppression_ver is not null and (cl.k_from is null or m.k > cl.k_from) and m.k <= cl.k_to
		join templates t on t.id = coalesce(nullif(cl.template, 0), g.template)`,
		q.table("u", keys("k", ks)), q.arg(contact))
	var all []dispatcher.Communication
	places := map[place]int{}
	err := each(ctx, s.read, text, q.args, func(rows *sql.Rows) error {
		var c dispatcher.Communication
		var p place
		var code dispatcher.Code
		var at int64
		var settled bool
		var messageIDs string
		if err := rows.Scan(&p.group, &p.key, &c.Campaign, &c.Run, &c.Channel, &c.Template, &c.Version, &c.Language, &code, &c.Cause,
			&c.ProviderID, &messageIDs, &at, &c.SuppressionVersion, &c.Sender, &c.Notice, &settled); err != nil {
			return err
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
		places[p] = len(all)
		all = append(all, c)
		return nil
	})
	return all, places, err
}

func (s *Store) addEvents(ctx context.Context, ks []audience.Key, all []dispatcher.Communication, places map[place]int) error {
	q := s.query()
	text := fmt.Sprintf(`select e.grp, e.k, e.type, e.at, coalesce(e.link, 0), coalesce(l.target, ''), e.machine, e.agent from %s join events e on e.k = u.k
		left join links l on l.id = e.link order by e.at`, q.table("u", keys("k", ks)))
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
