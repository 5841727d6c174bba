package storage

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// A database's identity is a text of parts joined by slashes. A part that
// cannot be read is a dash, and then says nothing.
//
//   - Postgres: the system identifier of the cluster, which a new cluster does
//     not share; the timeline, which every promotion and every recovery to a
//     point in time raises; the database's oid, which a restored dump does not
//     share. The timeline is that of the place where the next record goes, since
//     pg_control_checkpoint still tells the old one for a while.
//   - SQLite: an id that is written when the database is made, and the inode of
//     its file, which a file that was put in its place does not share.
type identityPart struct {
	text   string // of a statement, without arguments
	what   string // it tells
	needed string // right that a role needs for it
}

var postgresParts = []identityPart{
	{"(select system_identifier::text from pg_control_system())", "the cluster", "grant execute on function pg_control_system() to the role"},
	{"substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8)", "the timeline",
		"grant execute on function pg_walfile_name(pg_lsn), pg_current_wal_insert_lsn() to the role"},
	{"(select oid::text from pg_database where datname = current_database())", "the database", "select on pg_database"},
}

// findIdentity finds out which parts of the identity this role may read, and
// says so when it is not all of them: the others still tell, and so do the
// version and the counter.
func (s *Store) findIdentity(ctx context.Context) error {
	if s.d.embedded() {
		const remember = `insert into meta (name, value) values ('database', $1) on conflict (name) do nothing`
		if _, err := s.write.ExecContext(ctx, remember, rand.Text()); err != nil {
			return fmt.Errorf("give the database an id: %w", err)
		}
		s.identity = `(select value from meta where name = 'database')`
		return nil
	}
	var texts []string
	for _, p := range postgresParts {
		var part string
		text := p.text
		if err := s.write.QueryRowContext(ctx, `select `+text).Scan(&part); err != nil {
			if pingErr := s.write.PingContext(ctx); pingErr != nil {
				return fmt.Errorf("read the identity of the database: %w", err)
			}
			s.log.Warn("this role may not read a part of the database's identity: a restored or failed-over database may then be noticed "+
				"a second late, or not at all", "part", p.what, "needed", p.needed, "error", err)
			text = "'-'"
		}
		texts = append(texts, text)
	}
	s.identity = strings.Join(texts, " || '/' || ")
	return nil
}

// inode adds the file's inode to the identity of an embedded database.
func (s *Store) withInode(identity string) string {
	if !s.d.embedded() {
		return identity
	}
	info, err := os.Stat(filepath.Join(s.dir, databaseFile))
	if err != nil {
		return identity + "/-"
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return identity + "/" + strconv.FormatUint(stat.Ino, 10)
	}
	return identity + "/-"
}

// changedPart returns what tells two identities apart, or nothing.
func changedPart(known, now string) string {
	whats := []string{"it is another database cluster", "its server was promoted, or recovered to a point in time", "it is another database of the server"}
	a, b := strings.Split(known, "/"), strings.Split(now, "/")
	if len(a) == 2 && len(b) == 2 {
		whats = []string{"it is another database", "its file was put in the place of another"}
	}
	if len(a) != len(b) {
		return "it is a database of another kind"
	}
	for i := range a {
		if a[i] != b[i] && a[i] != "-" && b[i] != "-" {
			return whats[min(i, len(whats)-1)]
		}
	}
	return ""
}
