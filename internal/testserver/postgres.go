package testserver

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"

	"github.com/jackc/pgx/v5"
)

const (
	superuser = "postgres"
	owner     = "utskick" // owns the databases, and has no other right
)

// outsidePATH is where Postgres keeps its server programs: Debian, Red Hat,
// Alpine and Homebrew leave them out of PATH.
var outsidePATH = []string{
	"/usr/lib/postgresql/*/bin",
	"/usr/pgsql-*/bin",
	"/usr/libexec/postgresql*",
	"/opt/homebrew/opt/postgresql*/bin",
}

// StartPostgres makes a new cluster and starts it. It listens on a socket in
// its own directory and nowhere else. As root, it runs as user postgres or
// nobody, because Postgres refuses root. Without an installed Postgres the
// error is [ErrMissing].
func StartPostgres(ctx context.Context, o Options) (*Server, error) {
	bin, err := postgresPrograms(outsidePATH)
	if err != nil {
		return nil, err
	}
	account, err := unprivileged()
	if err != nil {
		return nil, err
	}
	dir, err := directoryFor(account)
	if err != nil {
		return nil, err
	}
	data := filepath.Join(dir, "data")
	if err := initdb(ctx, filepath.Join(bin, "initdb"), data, account); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	s, err := launch(ctx, databaseURL(superuser, "postgres", dir), dir, program{
		path:    filepath.Join(bin, "postgres"),
		args:    postgresArgs(data, dir, o),
		env:     o.Env,
		account: account,
		ready:   "database system is ready to accept connections",
		stop:    syscall.SIGINT,  // "fast shutdown"
		kill:    syscall.SIGQUIT, // "immediate shutdown"
	})
	if err != nil {
		return nil, err
	}
	if err := s.exec(ctx, "CREATE ROLE "+owner+" LOGIN"); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func postgresArgs(data, sockets string, o Options) []string {
	args := []string{"-D", data, "-k", sockets, "-c", "listen_addresses=", "-c", "max_connections=200"}
	if !o.Durable {
		// synchronous_commit stays on: with it off, Kill would lose commits.
		args = append(args, "-c", "fsync=off", "-c", "full_page_writes=off")
	}
	for _, setting := range o.Settings {
		args = append(args, "-c", setting)
	}
	return args
}

// NewDatabase makes an empty database and returns its URL, whose user owns the
// database and is no superuser. The server must be a Postgres.
func (s *Server) NewDatabase(ctx context.Context) (string, error) {
	s.databases++
	name := "test_" + strconv.Itoa(s.databases)
	if err := s.exec(ctx, "CREATE DATABASE "+name+" OWNER "+owner); err != nil {
		return "", err
	}
	return databaseURL(owner, name, s.dir), nil
}

// dropDatabase removes a database of [Server.NewDatabase], also from under its
// clients.
func (s *Server) dropDatabase(ctx context.Context, databaseURL string) error {
	u, err := url.Parse(databaseURL)
	if err != nil {
		return err
	}
	return s.exec(ctx, "DROP DATABASE IF EXISTS "+pgx.Identifier{u.Path[1:]}.Sanitize()+" WITH (FORCE)")
}

func (s *Server) exec(ctx context.Context, statement string) error {
	conn, err := pgx.Connect(ctx, s.URL)
	if err != nil {
		return fmt.Errorf("connecting to the test server: %w", err)
	}
	_, err = conn.Exec(ctx, statement)
	return errors.Join(err, conn.Close(ctx))
}

func databaseURL(name, database, sockets string) string {
	u := url.URL{
		Scheme:   "postgres",
		User:     url.User(name),
		Path:     "/" + database,
		RawQuery: url.Values{"host": {sockets}}.Encode(),
	}
	return u.String()
}

// postgresPrograms returns the folder of initdb and postgres: what PATH has,
// else the newest in the given places.
func postgresPrograms(places []string) (string, error) {
	if path, err := exec.LookPath("initdb"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil {
			return filepath.Dir(path), nil
		}
	}
	var found []string
	for _, place := range places {
		matches, err := filepath.Glob(filepath.Join(place, "initdb"))
		if err != nil {
			return "", err
		}
		found = append(found, matches...)
	}
	if len(found) == 0 {
		return "", fmt.Errorf("postgres: %w: neither in PATH nor in %v", ErrMissing, places)
	}
	slices.Sort(found) // major versions have had two digits since 10
	return filepath.Dir(found[len(found)-1]), nil
}

func initdb(ctx context.Context, program, data string, account *syscall.Credential) error {
	cmd := exec.CommandContext(ctx, program, "-D", data, "-U", superuser,
		"--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync")
	cmd.Env = environment()
	cmd.Dir = filepath.Dir(data)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: account}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w; it said:\n%s", err, out)
	}
	return nil
}

// unprivileged returns whom Postgres runs as: nil for ourselves, another user
// if we are root.
func unprivileged() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, errUID := strconv.ParseUint(u.Uid, 10, 32)
		gid, errGID := strconv.ParseUint(u.Gid, 10, 32)
		if err := errors.Join(errUID, errGID); err != nil {
			return nil, fmt.Errorf("user %s: %w", name, err)
		}
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
	}
	return nil, errors.New("postgres refuses to run as root, and there is no user postgres or nobody to run it as")
}

// directoryFor makes a directory that belongs to the account. Its path is short
// enough for a socket in it, and all of it open to the account.
func directoryFor(account *syscall.Credential) (string, error) {
	parent := os.TempDir()
	if len(parent) > maxParent || (account != nil && !openToAll(parent)) {
		parent = "/tmp"
	}
	dir, err := os.MkdirTemp(parent, "utskick-")
	if err != nil || account == nil {
		return dir, err
	}
	return dir, os.Chown(dir, int(account.Uid), int(account.Gid))
}

// maxParent leaves room for the names of the directory and the socket within
// the 104 bytes of a socket's path (unix(4) of macOS; Linux has 108).
const maxParent = 64

// openToAll reports whether everybody may enter a directory.
func openToAll(dir string) bool {
	dir, err := filepath.EvalSymlinks(dir)
	for err == nil {
		info, statErr := os.Stat(dir)
		if statErr != nil || info.Mode().Perm()&0o001 == 0 {
			return false
		}
		if dir == filepath.Dir(dir) {
			return true
		}
		dir = filepath.Dir(dir)
	}
	return false
}
