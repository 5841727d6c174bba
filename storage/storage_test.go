package storage_test

import (
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
