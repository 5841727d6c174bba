package storage_test

import (
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"

	"utskick/audience"
	"utskick/internal/testserver"
	"utskick/storage"
	"utskick/storage/storagetest"
	"utskick/suppression"
)

// TestWishesAfterTheFirstImport records wishes on tables of which Postgres has
// no statistics yet. To read a whole table for each of them takes a minute.
func TestWishesAfterTheFirstImport(t *testing.T) {
	url, ok := testserver.Postgres(t)
	if !ok {
		return // no Postgres on this machine; see testserver
	}
	env := storagetest.Open(t, storagetest.Engine{Name: "postgres", Config: func(testing.TB) storage.Config {
		return storage.Config{URL: url + "&statement_timeout=5000"}
	}})
	const wishes = 2000
	var list []suppression.Wish
	for _, k := range neverAnalysed(t, url)[:wishes] {
		list = append(list, suppression.Unsubscribe(k, audience.Email, 0))
	}
	recorded, err := env.RecordAll(t.Context(), list)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range recorded {
		if r.Keys != 2 {
			t.Fatalf("a wish was recorded for %d keys, want both of the person", r.Keys)
		}
	}
}

// neverAnalysed writes 100,000 people with two keys each, of whom Postgres
// knows nothing, and returns the first key of each.
func neverAnalysed(t *testing.T, url string) []audience.Key {
	t.Helper()
	ctx := t.Context()
	db, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	const off = `alter table address_keys set (autovacuum_enabled = false)`
	const fill = `insert into address_keys (k, contact, kind, first_seen) select decode(md5(kind || i), 'hex'), i, kind, 0
		from generate_series(1, 100000) i, (values ('email'), ('contact')) kinds(kind)`
	_, errOff := db.Exec(ctx, off)
	_, errFill := db.Exec(ctx, fill)
	rows, errRead := db.Query(ctx, `select k from address_keys where kind = 'email' order by contact`)
	if err := errors.Join(errOff, errFill, errRead); err != nil {
		t.Fatal(err)
	}
	keys, err := pgx.CollectRows(rows, pgx.RowTo[audience.Key])
	if err := errors.Join(err, db.Close(ctx)); err != nil {
		t.Fatal(err)
	}
	return keys
}
