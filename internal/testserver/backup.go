package testserver

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"github.com/jackc/pgx/v5"
)

// Backup takes a base backup of a running Postgres, in place of an earlier one.
func (s *Server) Backup(ctx context.Context) error {
	if err := os.RemoveAll(s.backup()); err != nil {
		return err
	}
	return s.tool(ctx, "pg_basebackup", "-D", s.backup(), "-h", s.dir, "-U", superuser, "-c", "fast", "--no-sync")
}

func (s *Server) backup() string { return filepath.Join(s.dir, "backup") }

// PutBack stops the Postgres, and starts it with the files of its last backup.
// What was written since is gone. With promoted it recovers as from an archive,
// and so goes on in a new timeline, as a standby does that is promoted.
func (s *Server) PutBack(ctx context.Context, promoted bool) error {
	if err := s.Stop(); err != nil {
		return err
	}
	data := filepath.Join(s.dir, "data")
	if err := errors.Join(os.RemoveAll(data), os.Rename(s.backup(), data)); err != nil {
		return err
	}
	if !promoted {
		return s.start(ctx)
	}
	// There is no archive, and the backup has all the log that it needs.
	const settings = "restore_command = 'false'\nrecovery_target = 'immediate'\nrecovery_target_action = 'promote'\n"
	for name, content := range map[string]string{"recovery.signal": "", "postgresql.auto.conf": settings} {
		path := filepath.Join(data, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			return err
		}
		if a := s.program.account; a != nil {
			if err := os.Chown(path, int(a.Uid), int(a.Gid)); err != nil {
				return err
			}
		}
	}
	if err := s.start(ctx); err != nil {
		return err
	}
	return s.awaitPromotion(ctx)
}

// awaitPromotion waits until the server takes writes.
func (s *Server) awaitPromotion(ctx context.Context) error {
	for {
		conn, err := pgx.Connect(ctx, s.URL)
		if err != nil {
			return err
		}
		var standby bool
		err = conn.QueryRow(ctx, "select pg_is_in_recovery() from pg_sleep(0.05)").Scan(&standby)
		if err := errors.Join(err, conn.Close(ctx)); err != nil || !standby {
			return err
		}
	}
}

// Dump writes a database of [Server.NewDatabase] into a file, and returns what
// makes it anew from there, under its old name.
func (s *Server) Dump(ctx context.Context, databaseURL string) (restore func(context.Context) error, err error) {
	u, err := url.Parse(databaseURL)
	if err != nil {
		return nil, err
	}
	name, file := u.Path[1:], filepath.Join(s.dir, "dump")
	if err := s.tool(ctx, "pg_dump", "-Fc", "-f", file, "-h", s.dir, "-U", superuser, name); err != nil {
		return nil, err
	}
	return func(ctx context.Context) error {
		if err := s.dropDatabase(ctx, databaseURL); err != nil {
			return err
		}
		if err := s.exec(ctx, "CREATE DATABASE "+pgx.Identifier{name}.Sanitize()+" OWNER "+owner); err != nil {
			return err
		}
		return s.tool(ctx, "pg_restore", "-d", name, "-h", s.dir, "-U", superuser, file)
	}, nil
}

// tool runs one of Postgres' own programs as the server's user.
func (s *Server) tool(ctx context.Context, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, filepath.Join(filepath.Dir(s.program.path), name), args...)
	cmd.Env, cmd.Dir = environment(), s.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.program.account}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w; it said:\n%s", name, err, out)
	}
	return nil
}
