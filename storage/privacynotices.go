package storage

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"

	"utskick/audience"
	"utskick/dispatcher"
	"utskick/suppression"
	"utskick/templates"
)

// SaveNotice writes a version of a privacy notice, which must have passed
// templates.CheckNotice. Saving it again changes nothing; with another text, date
// or address it is a [*templates.NoticeChanged].
func (s *Store) SaveNotice(ctx context.Context, n templates.PrivacyNotice) (saved templates.PrivacyNotice, err error) {
	err = s.tx(ctx, func(ctx context.Context, tx *sql.Tx) error {
		const insert = `insert into notices (sender, version, language, dated, url, hash, created_at) values ($1, $2, $3, $4, $5, $6, $7)
			on conflict (sender, version, language) do nothing`
		if _, err := tx.ExecContext(ctx, insert, n.Sender, n.Version, n.Language, n.Date, n.URL, n.Hash, s.millis()); err != nil {
			return err
		}
		const known = `select ` + noticeColumns + ` from notices n where n.sender = $1 and n.version = $2 and n.language = $3`
		if saved, err = scanNotice(tx.QueryRowContext(ctx, known, n.Sender, n.Version, n.Language)); err != nil {
			return err
		}
		if !saved.SameText(n) {
			return &templates.NoticeChanged{Known: saved}
		}
		return nil
	})
	if err != nil {
		return saved, fmt.Errorf("save a privacy notice: %w", err)
	}
	return saved, nil
}

const noticeColumns = `n.sender, n.version, n.language, n.dated, n.url, n.hash, n.created_at`

func scanNotice(row interface{ Scan(...any) error }) (n templates.PrivacyNotice, err error) {
	var created int64
	err = row.Scan(&n.Sender, &n.Version, &n.Language, &n.Date, &n.URL, &n.Hash, &created)
	n.Created = timeOf(created)
	return n, err
}

// Notices lists all versions by sender, the newest first.
func (s *Store) Notices(ctx context.Context) (all []templates.PrivacyNotice, err error) {
	const text = `select ` + noticeColumns + ` from notices n order by n.sender, n.dated desc, n.created_at desc, n.version, n.language`
	err = each(ctx, s.read, text, nil, func(rows *sql.Rows) error {
		n, err := scanNotice(rows)
		all = append(all, n)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the privacy notices: %w", err)
	}
	return all, nil
}

// checkNoticeOf refuses a sender that names a version which is not saved for it
// or for all. As long as none is saved at all, any name will do: versions are then
// kept elsewhere.
func checkNoticeOf(ctx context.Context, tx *sql.Tx, sender templates.Sender) error {
	if sender.NoticeVersion == "" {
		return nil
	}
	var all, named int
	const text = `select count(*), count(case when sender in ('*', $1) and version = $2 then 1 end) from notices`
	if err := tx.QueryRowContext(ctx, text, sender.Name, sender.NoticeVersion).Scan(&all, &named); err != nil {
		return err
	}
	if all > 0 && named == 0 {
		return &templates.SenderError{Sender: sender.Name, Problems: []templates.FieldProblem{{Field: "notice_version",
			Rule: "a version of the privacy notice that is saved for this sender or for all (utskick notices save), or empty"}}}
	}
	return nil
}

// noticeInForce is the expression for the version of the privacy notice in force of a
// sender, or of all: the one that the sender's record names, or else the newest
// one of its own, or else the newest one of all that is not for later.
func (s *Store) noticeInForce(q *query, sender string) string {
	return fmt.Sprintf(`coalesce((select nullif(x.notice, '') from senders x where x.name = %[1]s),
		(select x.version from notices x where x.sender in ('*', %[1]s) and x.dated <= %[2]s
			order by case when x.sender = '*' then 1 else 0 end, x.dated desc, x.created_at desc, x.version desc limit 1), '')`,
		sender, q.arg(s.today()))
}

func (s *Store) today() string { return s.now().UTC().Format(time.DateOnly) }

// noticeOf returns the version of the privacy notice in force of a sender; an
// empty one is all of them.
func (s *Store) noticeOf(ctx context.Context, tx *sql.Tx, sender string) (version string, err error) {
	q := s.query()
	text := `select ` + s.noticeInForce(q, "u.sender") + ` from ` + q.table("u", texts("sender", []string{sender}))
	if err := tx.QueryRowContext(ctx, text, q.args...).Scan(&version); err != nil {
		return "", fmt.Errorf("find the privacy notice in force: %w", err)
	}
	if version == "" && ofAll(sender) {
		return s.noticesOfAll(ctx, tx)
	}
	return version, nil
}

// ofAll says whether a sender is all of them.
func ofAll(sender string) bool { return sender == "" || sender == suppression.Any }

// noticesOfAll says under which versions somebody spoke to all senders, where none
// is saved for all: under the one that each of them has in force, or else under
// those, each behind the name of its sender. Who has none is left out.
func (s *Store) noticesOfAll(ctx context.Context, tx *sql.Tx) (string, error) {
	q := s.query()
	text := `select s.name, ` + s.noticeInForce(q, "s.name") + ` from senders s order by s.name`
	var versions, named []string
	err := each(ctx, tx, text, q.args, func(rows *sql.Rows) error {
		var name, version string
		err := rows.Scan(&name, &version)
		versions = append(versions, version)
		if version != "" {
			named = append(named, name+" "+version)
		}
		return err
	})
	if err != nil {
		return "", fmt.Errorf("read the privacy notices of all senders: %w", err)
	}
	if len(named) == len(versions) && len(slices.Compact(versions)) == 1 {
		return versions[0], nil
	}
	return strings.Join(named, ", "), nil
}

// saidTo is whom somebody spoke to: the sender of the message that she came from,
// or without one, or without a trace of it, the sender that she named, or all.
type saidTo struct {
	group  int64
	sender string
}

// stamp notes with entries under which version of the privacy notice they were
// said; to is whom, by entry. What has one, from the journal, keeps it.
func (s *Store) stamp(ctx context.Context, tx *sql.Tx, entries []suppression.Entry, to []saidTo) error {
	there := map[saidTo]bool{}
	var ask []saidTo
	for i, e := range entries {
		if e.Notice == "" && !there[to[i]] {
			there[to[i]], ask = true, append(ask, to[i])
		}
	}
	if len(ask) == 0 {
		return nil
	}
	found, err := s.noticesTo(ctx, tx, ask)
	if err != nil {
		return fmt.Errorf("find the privacy notices in force: %w", err)
	}
	for i := range entries {
		if entries[i].Notice == "" {
			entries[i].Notice = found[to[i]]
		}
	}
	return nil
}

// noticesTo returns the versions in force of whom somebody spoke to.
func (s *Store) noticesTo(ctx context.Context, tx *sql.Tx, ask []saidTo) (found map[saidTo]string, err error) {
	groups, senders := make([]int64, len(ask)), make([]string, len(ask))
	for i, to := range ask {
		groups[i], senders[i] = to.group, to.sender
	}
	q := s.query()
	text := `select u.grp, u.sender, u.told, ` + s.noticeInForce(q, "u.told") + ` from (select u.grp, u.sender, coalesce((select g.sender from groups g where g.id = u.grp), u.sender) as told from ` +
		q.table("u", ints("grp", groups), texts("sender", senders)) + `) u`
	found = map[saidTo]string{}
	var toAll []saidTo // and none is saved for all
	err = each(ctx, tx, text, q.args, func(rows *sql.Rows) error {
		var t saidTo
		var told, version string
		err := rows.Scan(&t.group, &t.sender, &told, &version)
		if found[t] = version; version == "" && ofAll(told) {
			toAll = append(toAll, t)
		}
		return err
	})
	if err != nil || len(toAll) == 0 {
		return found, err
	}
	version, err := s.noticesOfAll(ctx, tx)
	for _, t := range toAll {
		found[t] = version
	}
	return found, err
}

// markFirst marks, of all communications with a person, the first that was sent
// under each version of each sender's privacy notice: that is when she was led to
// it (GDPR 13, 14(3)(b) and 21(4)). One in doubt may not have come.
func markFirst(all []dispatcher.Communication) {
	type under struct{ sender, notice string }
	first := map[under]int{}
	for i, c := range all {
		u := under{c.Sender, c.Notice}
		before, there := first[u]
		if c.Notice != "" && c.Outcome == dispatcher.Sent.String() && (!there || c.At.Before(all[before].At)) {
			first[u] = i
		}
	}
	for _, i := range first {
		all[i].NoticeFirst = true
	}
}

// noticeOfConsent returns the version that a consent in a file was given under:
// the one that the row names, or the one in force of the sender. known remembers
// it by sender.
func (s *Store) noticeOfConsent(ctx context.Context, tx *sql.Tx, r audience.Row, sender string, known map[string]string) (string, error) {
	if r.ConsentNotice != "" {
		return r.ConsentNotice, nil
	}
	version, there := known[sender]
	if !there {
		var err error
		if version, err = s.noticeOf(ctx, tx, sender); err != nil {
			return "", err
		}
		known[sender] = version
	}
	return version, nil
}
