package storage

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"utskick/dispatcher"
	"utskick/templates"
	"utskick/tracking"
)

// SaveSender writes a sender under its name. The record must have passed
// templates.CheckSender.
//
// A notice_version that is not saved, while others are, is a
// [*templates.SenderError].
func (s *Store) SaveSender(ctx context.Context, sender templates.Sender) error {
	record, err := json.Marshal(sender)
	if err != nil {
		return err
	}
	var bound written
	err = s.tx(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if err := checkNoticeOf(ctx, tx, sender); err != nil {
			return err
		}
		if bound, err = s.meetSender(ctx, tx, sender.Name); err != nil {
			return err
		}
		const text = `insert into senders (name, record, notice, updated_at) values ($1, $2, $3, $4)
			on conflict (name) do update set record = excluded.record, notice = excluded.notice, updated_at = excluded.updated_at`
		if _, err := tx.ExecContext(ctx, text, sender.Name, string(record), sender.NoticeVersion, s.millis()); err != nil {
			return err
		}
		return s.saveSubscriptions(ctx, tx, sender)
	})
	if err == nil && len(bound.entries) > 0 {
		err = s.journalEntries(bound)
	}
	if err != nil {
		return fmt.Errorf("save sender %q: %w", sender.Name, err)
	}
	return nil
}

// meetSender writes for a sender that is not on record yet what people have said
// against those to come. Confirmations read the senders under the same lock.
func (s *Store) meetSender(ctx context.Context, tx *sql.Tx, name string) (w written, err error) {
	names, err := senderNames(ctx, tx)
	if err != nil || slices.Contains(names, name) {
		return w, err
	}
	if err := s.lockHead(ctx, tx); err != nil {
		return w, err
	}
	return s.bindSender(ctx, tx, name)
}

func senderNames(ctx context.Context, from queryer) (names []string, err error) {
	names, err = valuesOf[string](ctx, from, `select name from senders order by name`)
	if err != nil {
		return nil, fmt.Errorf("read the names of the senders: %w", err)
	}
	return names, nil
}

// SenderByName implements [dispatcher.Library]: the version of the privacy notice
// is the one in force, whether or not the record names it.
func (s *Store) SenderByName(ctx context.Context, name string) (templates.Sender, error) {
	var sender templates.Sender
	var record []byte
	var notice string
	q := s.query()
	text := `select s.record, ` + s.noticeInForce(q, "s.name") + ` from senders s where s.name = ` + q.arg(name)
	if err := s.read.QueryRowContext(ctx, text, q.args...).Scan(&record, &notice); err != nil {
		return sender, orNotFound(err, "sender %q", name)
	}
	err := json.Unmarshal(record, &sender)
	sender.NoticeVersion = notice
	return sender, err
}

// Senders lists all senders by name, as they were saved: what a record does not say
// is not in it, the version of the privacy notice in force included.
func (s *Store) Senders(ctx context.Context) ([]templates.Sender, error) {
	var out []templates.Sender
	err := each(ctx, s.read, `select record from senders order by name`, nil, func(rows *sql.Rows) error {
		var record []byte
		if err := rows.Scan(&record); err != nil {
			return err
		}
		var sender templates.Sender
		err := json.Unmarshal(record, &sender)
		out = append(out, sender)
		return err
	})
	return out, err
}

// SaveTemplate writes a new version of a template, with its link targets by
// language, and returns it with its id and version. It must have passed
// templates.Check.
func (s *Store) SaveTemplate(ctx context.Context, t templates.Template, targets []string) (templates.Template, error) {
	contents, err := json.Marshal(t.Contents)
	if err != nil {
		return t, err
	}
	err = s.tx(ctx, func(ctx context.Context, tx *sql.Tx) error {
		const insert = `insert into templates (name, channel, version, default_language, contents, created_at)
			select cast($1 as text), $2, coalesce(max(version), 0) + 1, $3, $4, $5 from templates where name = $1 returning id, version`
		err := tx.QueryRowContext(ctx, insert, t.Name, string(t.Channel), t.Default, string(contents), s.millis()).Scan(&t.ID, &t.Version)
		if err != nil {
			return err
		}
		for _, target := range targets {
			const link = `insert into links (template, target) values ($1, $2) on conflict (template, target) do nothing`
			if _, err := tx.ExecContext(ctx, link, t.ID, target); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return t, fmt.Errorf("save template %q: %w", t.Name, err)
	}
	return t, nil
}

const templateColumns = `t.id, t.name, t.channel, t.version, t.default_language, t.contents`

func scanTemplate(row interface{ Scan(...any) error }) (templates.Template, error) {
	var t templates.Template
	var contents []byte
	if err := row.Scan(&t.ID, &t.Name, &t.Channel, &t.Version, &t.Default, &contents); err != nil {
		return t, err
	}
	return t, json.Unmarshal(contents, &t.Contents)
}

// TemplateByID implements [dispatcher.Library].
func (s *Store) TemplateByID(ctx context.Context, id int64) (templates.Template, error) {
	t, err := scanTemplate(s.read.QueryRowContext(ctx, `select `+templateColumns+` from templates t where t.id = $1`, id))
	return t, orNotFound(err, "template %d", id)
}

// TemplateByName returns the newest version of a template, or ErrNotFound.
func (s *Store) TemplateByName(ctx context.Context, name string) (templates.Template, error) {
	const text = `select ` + templateColumns + ` from templates t where t.name = $1 order by t.version desc limit 1`
	t, err := scanTemplate(s.read.QueryRowContext(ctx, text, name))
	return t, orNotFound(err, "template %q", name)
}

// Templates lists the newest version of every template by name.
func (s *Store) Templates(ctx context.Context) ([]templates.Template, error) {
	var out []templates.Template
	const text = `select ` + templateColumns + ` from templates t
		where t.version = (select max(o.version) from templates o where o.name = t.name) order by t.name`
	err := each(ctx, s.read, text, nil, func(rows *sql.Rows) error {
		t, err := scanTemplate(rows)
		out = append(out, t)
		return err
	})
	return out, err
}

// LinkIDs implements [dispatcher.Library].
func (s *Store) LinkIDs(ctx context.Context, template int64) (map[string]int64, error) {
	ids := map[string]int64{}
	err := each(ctx, s.read, `select target, id from links where template = $1`, []any{template}, func(rows *sql.Rows) error {
		var target string
		var id int64
		err := rows.Scan(&target, &id)
		ids[target] = id
		return err
	})
	return ids, err
}

// LinkTarget returns where a stored link leads, or ErrNotFound.
func (s *Store) LinkTarget(ctx context.Context, id int64) (target string, err error) {
	err = s.read.QueryRowContext(ctx, `select target from links where id = $1`, id).Scan(&target)
	return target, orNotFound(err, "link %d", id)
}

// CreateCampaign writes a new campaign, or returns ErrConflict when its name is
// taken.
func (s *Store) CreateCampaign(ctx context.Context, c dispatcher.Campaign) (dispatcher.Campaign, error) {
	if err := c.Validate(); err != nil {
		return c, err
	}
	if _, err := s.SenderByName(ctx, c.Sender); err != nil {
		return c, err
	}
	for _, ch := range c.Channels {
		if _, err := s.TemplateByName(ctx, ch.Template); err != nil {
			return c, err
		}
	}
	channels, err := json.Marshal(c.Channels)
	if err != nil {
		return c, err
	}
	now := s.millis()
	const text = `insert into campaigns (name, sender, topic, family, targeted, channels, created_at) values ($1, $2, $3, $4, $5, $6, $7)
		on conflict (name) do nothing returning id`
	err = s.write.QueryRowContext(ctx, text, c.Name, c.Sender, c.Topic, c.Family, c.Targeted, string(channels), now).Scan(&c.ID)
	if err != nil {
		if errors.Is(err, sql.ErrNoRows) {
			return c, fmt.Errorf("a campaign is already named %q: %w", c.Name, ErrConflict)
		}
		return c, fmt.Errorf("create campaign %q: %w", c.Name, err)
	}
	c.Created = timeOf(now)
	return c, nil
}

const campaignColumns = `c.id, c.name, c.sender, c.topic, c.family, c.targeted, c.channels, c.created_at`

func scanCampaign(row interface{ Scan(...any) error }) (dispatcher.Campaign, error) {
	var c dispatcher.Campaign
	var channels []byte
	var created int64
	if err := row.Scan(&c.ID, &c.Name, &c.Sender, &c.Topic, &c.Family, &c.Targeted, &channels, &created); err != nil {
		return c, err
	}
	c.Created = timeOf(created)
	return c, json.Unmarshal(channels, &c.Channels)
}

// lockCampaign reads a campaign and keeps others from launching it meanwhile.
func (s *Store) lockCampaign(ctx context.Context, tx *sql.Tx, name string) (dispatcher.Campaign, error) {
	text := `select ` + campaignColumns + ` from campaigns c where c.name = $1` + s.d.updateOf("c")
	c, err := scanCampaign(tx.QueryRowContext(ctx, text, name))
	return c, orNotFound(err, "campaign %q", name)
}

// CampaignByName returns a campaign, or ErrNotFound.
func (s *Store) CampaignByName(ctx context.Context, name string) (dispatcher.Campaign, error) {
	c, err := scanCampaign(s.read.QueryRowContext(ctx, `select `+campaignColumns+` from campaigns c where c.name = $1`, name))
	return c, orNotFound(err, "campaign %q", name)
}

// Campaigns lists all campaigns, the newest first.
func (s *Store) Campaigns(ctx context.Context) ([]dispatcher.Campaign, error) {
	var out []dispatcher.Campaign
	err := each(ctx, s.read, `select `+campaignColumns+` from campaigns c order by c.id desc`, nil, func(rows *sql.Rows) error {
		c, err := scanCampaign(rows)
		out = append(out, c)
		return err
	})
	return out, err
}

// Links returns up to limit stored links with an id above after, the newest of
// them, in the order of their ids.
func (s *Store) Links(ctx context.Context, after int64, limit int) ([]tracking.Link, error) {
	const text = `select id, target from (select id, target from links where id > $1 order by id desc limit $2) l order by id`
	var links []tracking.Link
	err := each(ctx, s.read, text, []any{after, limit}, func(rows *sql.Rows) error {
		var l tracking.Link
		err := rows.Scan(&l.ID, &l.Target)
		links = append(links, l)
		return err
	})
	return links, err
}
