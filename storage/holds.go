package storage

import (
	"context"
	"database/sql"
	"fmt"

	"utskick/audience"
	"utskick/dispatcher"
)

// HoldChannel implements [dispatcher.Ledger]. The first reason stands.
func (s *Store) HoldChannel(ctx context.Context, channel audience.Channel, reason string) error {
	const text = `insert into channel_holds (channel, reason, at) values ($1, $2, $3) on conflict (channel) do nothing`
	if _, err := s.write.ExecContext(context.WithoutCancel(ctx), text, string(channel), reason, s.millis()); err != nil {
		return fmt.Errorf("hold %s: %w", channel, err)
	}
	return nil
}

// ChannelHolds returns the channels on which nothing is sent, because their provider
// refuses all of it.
func (s *Store) ChannelHolds(ctx context.Context) ([]dispatcher.ChannelHold, error) {
	holds := []dispatcher.ChannelHold{}
	err := each(ctx, s.read, `select channel, reason, at from channel_holds order by channel`, nil, func(rows *sql.Rows) error {
		var h dispatcher.ChannelHold
		var at int64
		err := rows.Scan(&h.Channel, &h.Reason, &at)
		h.At = timeOf(at)
		holds = append(holds, h)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the holds: %w", err)
	}
	return holds, nil
}

// ReleaseChannel lets sending go on, at once, on a channel that is held. It
// returns [ErrNotFound] when it is not.
func (s *Store) ReleaseChannel(ctx context.Context, channel audience.Channel) error {
	return s.tx(ctx, func(ctx context.Context, tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `delete from channel_holds where channel = $1`, string(channel))
		if err := exactlyOne(res, err, ErrNotFound); err != nil {
			return fmt.Errorf("a hold of %s: %w", channel, err)
		}
		// What was given back waits for its next try, and what was rung for would
		// be rung for again in half a minute.
		const ring = `update batches set rung_at = 0, not_before = 0 where state = 0 and channel = $1 and attempts > 0 and refusal = ''`
		if _, err := tx.ExecContext(ctx, ring, string(channel)); err != nil {
			return fmt.Errorf("ring for the batches of %s: %w", channel, err)
		}
		_, err = tx.ExecContext(ctx, forgetBatchRings+` and channel = $1`, string(channel))
		return err
	})
}
