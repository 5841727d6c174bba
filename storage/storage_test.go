package storage_test

import (
	"bytes"
	"database/sql"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"utskick/internal/testserver"
	"utskick/storage"
	"utskick/storage/storagetest"
)

func TestSQLite(t *testing.T) {
	storagetest.Run(t, storagetest.Engine{Name: "sqlite", Config: func(t testing.TB) storage.Config {
		return storage.Config{DataDir: t.TempDir()}
	}})
}

func TestPostgres(t *testing.T) {
	if _, ok := testserver.Postgres(t); !ok {
		return // no Postgres on this machine; see testserver
	}
	storagetest.Run(t, storagetest.Engine{Name: "postgres", Config: func(t testing.TB) storage.Config {
		url, _ := testserver.Postgres(t)
		return storage.Config{URL: url, DataDir: t.TempDir()}
	}})
}

// TestIdentityWithoutRights: a role that may not read a part of the identity is
// told which right it lacks, and the rest goes on telling.
func TestIdentityWithoutRights(t *testing.T) {
	url, ok := testserver.Postgres(t)
	if !ok {
		return // no Postgres on this machine; see testserver
	}
	db, err := sql.Open("pgx", strings.Replace(url, "utskick@", "postgres@", 1))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), `revoke execute on function pg_control_system() from public`); err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	c := storage.Config{URL: url, DataDir: t.TempDir(), Log: slog.New(slog.NewTextHandler(&said, nil))}
	e := storagetest.Open(t, storagetest.Engine{Name: "postgres", Config: func(testing.TB) storage.Config { return c }})
	if !strings.Contains(said.String(), "grant execute on function pg_control_system()") {
		t.Errorf("the log says %q", said.String())
	}
	if h, err := e.Look(t.Context()); err != nil || h.Held() {
		t.Errorf("%+v, %v", h, err)
	}
	remembered, err := os.ReadFile(filepath.Join(c.DataDir, "database.json"))
	if err != nil || !strings.Contains(string(remembered), `"identity":"-/00000001/`) {
		t.Errorf("%s, %v", remembered, err)
	}
}
