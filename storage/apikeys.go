package storage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// APIKey is a key to the operator's API. The key itself is not stored, only a
// hash of it.
type APIKey struct {
	ID      int64     `json:"id"`
	Name    string    `json:"name"`
	Scope   string    `json:"scope"`
	Created time.Time `json:"created_at"`
	Revoked time.Time `json:"revoked_at,omitzero"`
}

// CreateKey stores the hash of a new key, or returns ErrConflict when its name
// is taken.
func (s *Store) CreateKey(ctx context.Context, name, scope string, hash []byte) (APIKey, error) {
	k := APIKey{Name: name, Scope: scope, Created: timeOf(s.millis())}
	const text = `insert into api_keys (name, scope, hash, created_at) values ($1, $2, $3, $4) on conflict (name) do nothing returning id`
	err := s.write.QueryRowContext(ctx, text, name, scope, hash, millisOf(k.Created)).Scan(&k.ID)
	if errors.Is(err, sql.ErrNoRows) {
		return k, fmt.Errorf("a key is already named %q; revoked keys keep their names: %w", name, ErrConflict)
	}
	if err != nil {
		return k, fmt.Errorf("create key %q: %w", name, err)
	}
	return k, nil
}

const keyColumns = `id, name, scope, created_at, revoked_at`

func scanKey(row interface{ Scan(...any) error }) (APIKey, error) {
	var k APIKey
	var created, revoked int64
	err := row.Scan(&k.ID, &k.Name, &k.Scope, &created, &revoked)
	k.Created, k.Revoked = timeOf(created), timeOf(revoked)
	return k, err
}

// Keys lists all keys, revoked ones included, by name.
func (s *Store) Keys(ctx context.Context) ([]APIKey, error) {
	var out []APIKey
	err := each(ctx, s.read, `select `+keyColumns+` from api_keys order by name`, nil, func(rows *sql.Rows) error {
		k, err := scanKey(rows)
		out = append(out, k)
		return err
	})
	return out, err
}

// KeyByHash returns the key with the hash, or ErrNotFound when there is none or
// it was revoked.
func (s *Store) KeyByHash(ctx context.Context, hash []byte) (APIKey, error) {
	const text = `select ` + keyColumns + ` from api_keys where hash = $1 and revoked_at = 0`
	k, err := scanKey(s.read.QueryRowContext(ctx, text, hash))
	return k, orNotFound(err, "API key")
}

// KeyByID returns a key that was not revoked, or ErrNotFound.
func (s *Store) KeyByID(ctx context.Context, id int64) (APIKey, error) {
	const text = `select ` + keyColumns + ` from api_keys where id = $1 and revoked_at = 0`
	k, err := scanKey(s.read.QueryRowContext(ctx, text, id))
	return k, orNotFound(err, "API key %d", id)
}

// RevokeKey makes a key useless from now on.
func (s *Store) RevokeKey(ctx context.Context, name string) error {
	res, err := s.write.ExecContext(ctx, `update api_keys set revoked_at = $1 where name = $2 and revoked_at = 0`, s.millis(), name)
	if err := exactlyOne(res, err, ErrNotFound); err != nil {
		return fmt.Errorf("revoke key %q: %w", name, err)
	}
	return nil
}

// Audit records who changed what. Neither object nor detail holds an address.
func (s *Store) Audit(ctx context.Context, actor, action, object, detail string) error {
	return s.noteAudit(ctx, s.write, actor, action, object, detail)
}

// execer is a database or a transaction on it.
type execer interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

func (s *Store) noteAudit(ctx context.Context, to execer, actor, action, object, detail string) error {
	const text = `insert into audit (at, actor, action, object, detail) values ($1, $2, $3, $4, $5)`
	if _, err := to.ExecContext(ctx, text, s.millis(), actor, action, object, detail); err != nil {
		return fmt.Errorf("write the audit log: %w", err)
	}
	return nil
}
