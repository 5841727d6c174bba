package storage

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"time"

	"utskick/audience"
	"utskick/dispatcher"
	"utskick/suppression"
)

// identityOf is what an entry is one of: the primary key of its table.
type identityOf struct {
	k                                      audience.Key
	channel, topic, purpose, sender, cause string
}

func (l journalLine) identity() identityOf {
	return identityOf{l.key, l.Channel, l.Topic, l.Purpose, l.Sender, l.Cause}
}

// replay writes what journals have and the database has not. The lines may come
// in any order, and again.
type replay struct {
	store *Store
	// applied is what was written, by the versions that the journal tells: in the
	// database they are new ones.
	applied  map[identityOf]there
	page     []journalLine
	launches []launched
	erasures []journalLine
}

// file replays one journal file.
func (r *replay) file(ctx context.Context, path string) (dispatcher.Replayed, error) {
	f, err := os.Open(path)
	if err != nil {
		return dispatcher.Replayed{}, fmt.Errorf("open a journal: %w", err)
	}
	defer f.Close()
	done := dispatcher.Replayed{File: path}
	flush := func() error {
		n, err := r.flush(ctx)
		done.Applied += n
		return err
	}
	done.Damaged, err = readJournal(f, func(l journalLine) error {
		done.Lines++
		if l.Launch != nil {
			r.launches = append(r.launches, *l.Launch)
			return nil
		}
		if l.Erase != nil {
			r.erasures = append(r.erasures, l)
			return nil
		}
		if r.page = append(r.page, l); len(r.page) < suppression.ImportSize {
			return nil
		}
		return flush()
	})
	if err == nil {
		err = flush()
	}
	if err != nil {
		return done, fmt.Errorf("replay the journal %s: %w", path, err)
	}
	return done, nil
}

// flush writes those of the page that are missing, and returns how many.
func (r *replay) flush(ctx context.Context) (int, error) {
	var entries, refusals []journalLine
	for _, l := range r.page {
		if l.refusal() {
			refusals = append(refusals, l)
		} else {
			entries = append(entries, l)
		}
	}
	r.page = r.page[:0]
	n, err := r.writeEntries(ctx, entries)
	if err != nil {
		return n, err
	}
	refused, err := r.writeRefusals(ctx, refusals)
	return n + refused, err
}

func (r *replay) writeEntries(ctx context.Context, lines []journalLine) (int, error) {
	if len(lines) == 0 {
		return 0, nil
	}
	there, err := r.store.entriesThere(ctx, lines)
	if err != nil {
		return 0, err
	}
	var wishes []wish
	for i, l := range lines {
		in, applied := r.applied[l.identity()]
		if !applied {
			in = there[i]
		}
		if in.misses(l) {
			r.applied[l.identity()] = in.with(l)
			wishes = append(wishes, suppression.Wish{Entry: l.entry()})
		}
	}
	if len(wishes) == 0 {
		return 0, nil
	}
	_, err = r.store.commitWishes(ctx, wishes)
	return len(wishes), err
}

// there is what the database has of an entry.
type there struct {
	known   bool
	active  bool
	expires time.Time // zero: never
	version int64
}

// misses reports whether a line says something that is not there. What is
// numbered higher is later, since a hold lets versions jump. A wish that is in
// force is never made to end sooner by writing it again, so one that lasts longer
// is written in any case.
func (t there) misses(l journalLine) bool {
	return !t.known || t.version < l.Version || t.active && l.Active && t.endsBefore(l)
}

func (t there) endsBefore(l journalLine) bool {
	return !t.expires.IsZero() && (l.ExpiresAt == 0 || timeOf(l.ExpiresAt).After(t.expires))
}

// with is what is there once the line is written.
func (t there) with(l journalLine) there {
	after := there{known: true, active: l.Active, expires: timeOf(l.ExpiresAt), version: max(t.version, l.Version)}
	if t.active && l.Active && !t.endsBefore(l) {
		after.expires = t.expires
	}
	return after
}

// entriesThere looks the lines' entries up.
func (s *Store) entriesThere(ctx context.Context, lines []journalLine) ([]there, error) {
	n := len(lines)
	index, ks := make([]int64, n), make([]audience.Key, n)
	var fields [5][]string
	for i, l := range lines {
		index[i], ks[i] = int64(i), l.key
		for j, v := range []string{l.Channel, l.Topic, l.Purpose, l.Sender, l.Cause} {
			fields[j] = append(fields[j], v)
		}
	}
	q := s.query()
	text := fmt.Sprintf(`select u.i, x.active, coalesce(x.expires_at, 0), x.ver from %s join suppressions x on x.k = u.k and x.channel = u.channel
		and x.topic = u.topic and x.purpose = u.purpose and x.sender = u.sender and x.cause = u.cause`,
		q.table("u", ints("i", index), keys("k", ks), texts("channel", fields[0]), texts("topic", fields[1]), texts("purpose", fields[2]),
			texts("sender", fields[3]), texts("cause", fields[4])))
	out := make([]there, n)
	err := each(ctx, s.write, text, q.args, func(rows *sql.Rows) error {
		var i, expires int64
		t := there{known: true}
		err := rows.Scan(&i, &t.active, &expires, &t.version)
		t.expires = timeOf(expires)
		out[i] = t
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("look for the entries: %w", err)
	}
	return out, nil
}

// writeRefusals takes back consents that were refused after they were given, and
// records refusals that are missing.
func (r *replay) writeRefusals(ctx context.Context, lines []journalLine) (n int, err error) {
	for _, l := range lines {
		err := r.store.tx(ctx, func(ctx context.Context, tx *sql.Tx) error {
			const text = `insert into consents (contact_k, purpose, sender, granted, at, source, evidence) values ($1, $2, $3, false, $4, $5, $6)
				on conflict (contact_k, purpose, sender) do update set granted = false, at = excluded.at, source = excluded.source,
				evidence = excluded.evidence where consents.granted and consents.at <= excluded.at`
			changed, err := affected(tx.ExecContext(ctx, text, keyArg(l.key), l.Purpose, l.Sender, l.At, l.Source, l.Evidence))
			if err != nil || changed == 0 {
				return err
			}
			n++
			return r.store.copyGrants(ctx, tx, []audience.Key{l.key})
		})
		if err != nil {
			return n, fmt.Errorf("write a refused consent: %w", err)
		}
	}
	return n, nil
}
