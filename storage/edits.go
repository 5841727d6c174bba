package storage

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"utskick/dispatcher"
)

// EditRun changes what a run says, or when it does, while it waits or is paused.
// No claim that knew the run as it was succeeds afterwards. A run in another state
// and an edit that does not fit return ErrConflict.
func (s *Store) EditRun(ctx context.Context, campaign string, e dispatcher.Edit) (run dispatcher.Run, err error) {
	err = s.tx(ctx, func(ctx context.Context, tx *sql.Tx) error {
		c, err := s.lockCampaign(ctx, tx, campaign)
		if err != nil {
			return err
		}
		text := `select ` + runColumns + ` from runs r where r.campaign = $1 order by r.id desc limit 1` + s.d.updateOf("r")
		run, err = scanRun(tx.QueryRowContext(ctx, text, c.ID))
		if errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("run of campaign %q: %w", campaign, ErrNotFound)
		}
		if err != nil {
			return err
		}
		if err := s.reschedule(&run, e); err != nil {
			return err
		}
		if err := s.restsFrom(ctx, tx, run.ID); err != nil {
			return err
		}
		for _, ch := range e.Channels {
			if err := s.editChannel(ctx, tx, &c, &run, ch); err != nil {
				return err
			}
		}
		return s.saveEdit(ctx, tx, c, &run)
	})
	if err != nil {
		return dispatcher.Run{}, fmt.Errorf("edit the run of campaign %q: %w", campaign, err)
	}
	return run, nil
}

// reschedule checks that the run may be edited, and changes its times.
func (s *Store) reschedule(run *dispatcher.Run, e dispatcher.Edit) error {
	if run.State != dispatcher.Paused && run.State != dispatcher.Scheduled {
		return fmt.Errorf("it is %s; pause it first: %w", run.State, ErrConflict)
	}
	if !e.Due.IsZero() {
		if run.State != dispatcher.Scheduled {
			return fmt.Errorf("due_at: it has begun: %w", ErrConflict)
		}
		run.Due = e.Due
	}
	if !e.SendBy.IsZero() {
		run.SendBy = e.SendBy
	}
	if !run.SendBy.After(run.Due) || !run.SendBy.After(s.now()) {
		return fmt.Errorf("send_by: it must lie after due_at, and ahead: %w", ErrConflict)
	}
	return nil
}

// restsFrom returns ErrConflict while a call that was begun before the pause has
// not been settled: some of its members may go on in a group of their own.
func (s *Store) restsFrom(ctx context.Context, tx *sql.Tx, run int64) error {
	var calling int
	const text = `select count(*) from batches where run = $1 and state = 1`
	if err := tx.QueryRowContext(ctx, text, run).Scan(&calling); err != nil {
		return err
	}
	if calling > 0 {
		return fmt.Errorf("%d calls that were begun have not ended; try again in some seconds: %w", calling, ErrConflict)
	}
	return nil
}

// editChannel lets those who are not settled get the newest version of a
// template. What calls have sent before stands in their rows.
func (s *Store) editChannel(ctx context.Context, tx *sql.Tx, c *dispatcher.Campaign, run *dispatcher.Run, ch dispatcher.CampaignChannel) error {
	i := slices.IndexFunc(c.Channels, func(known dispatcher.CampaignChannel) bool { return known.Channel == ch.Channel })
	j := slices.IndexFunc(run.Channels, func(known dispatcher.RunChannel) bool { return known.Channel == ch.Channel })
	if i < 0 || j < 0 {
		return fmt.Errorf("channels: the run does not go over %s: %w", ch.Channel, ErrConflict)
	}
	c.Channels[i] = ch
	pinned, err := s.pinTemplates(ctx, tx, dispatcher.Campaign{Channels: []dispatcher.CampaignChannel{ch}})
	if err != nil {
		return err
	}
	run.Channels[j] = pinned[0]
	if err := s.knowsLanguages(ctx, tx, run.ID, ch, pinned[0].Template); err != nil {
		return err
	}
	const text = `update groups set template = $1 where run = $2 and channel = $3
		and exists (select 1 from batches b where b.grp = groups.id and b.state <> 2)`
	_, err = tx.ExecContext(ctx, text, pinned[0].Template, run.ID, string(ch.Channel))
	return err
}

// knowsLanguages returns ErrConflict when people were planned for a language that
// the template does not have.
func (s *Store) knowsLanguages(ctx context.Context, tx *sql.Tx, run int64, ch dispatcher.CampaignChannel, template int64) error {
	var stored string
	if err := tx.QueryRowContext(ctx, `select contents from templates where id = $1`, template).Scan(&stored); err != nil {
		return err
	}
	var contents map[string]json.RawMessage
	if err := json.Unmarshal([]byte(stored), &contents); err != nil {
		return fmt.Errorf("read template %q: %w", ch.Template, err)
	}
	const planned = `select distinct g.language from groups g join batches b on b.grp = g.id
		where g.run = $1 and g.channel = $2 and b.state <> 2 order by g.language`
	return each(ctx, tx, planned, []any{run, string(ch.Channel)}, func(rows *sql.Rows) error {
		var language string
		if err := rows.Scan(&language); err != nil {
			return err
		}
		if _, ok := contents[language]; !ok {
			return fmt.Errorf("template %q has no %s, which people of this run were planned for: %w", ch.Template, language, ErrConflict)
		}
		return nil
	})
}

func (s *Store) saveEdit(ctx context.Context, tx *sql.Tx, c dispatcher.Campaign, run *dispatcher.Run) error {
	ofCampaign, err := json.Marshal(c.Channels)
	if err != nil {
		return err
	}
	ofRun, err := json.Marshal(run.Channels)
	if err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `update campaigns set channels = $1 where id = $2`, string(ofCampaign), c.ID); err != nil {
		return err
	}
	run.Rev++
	const text = `update runs set channels = $1, due_at = $2, send_by = $3, rev = $4 where id = $5`
	_, err = tx.ExecContext(ctx, text, string(ofRun), millisOf(run.Due), millisOf(run.SendBy), run.Rev, run.ID)
	return err
}
