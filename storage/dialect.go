package storage

import (
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"utskick/audience"
)

// dialect is what differs between the two engines in statements that are
// otherwise the same.
type dialect struct {
	name  string // of the migrations folder
	goose goose.Dialect
	clock string // the database's own, in milliseconds since 1970
}

var (
	postgres = dialect{name: "postgres", goose: goose.DialectPostgres, clock: "cast(extract(epoch from clock_timestamp()) * 1000 as bigint)"}
	sqlite   = dialect{name: "sqlite", goose: goose.DialectSQLite3, clock: "cast(unixepoch('subsec') * 1000 as integer)"}
)

// skipLockedOf keeps two doorbells from waiting for each other. SQLite has a
// single writer, who waits for nobody.
func (d dialect) skipLockedOf(table string) string {
	if d.embedded() {
		return ""
	}
	return d.updateOf(table) + " skip locked"
}

// sharedOf keeps the rows of a table from being changed until the transaction
// ends, and updateOf keeps them for this transaction alone.
func (d dialect) sharedOf(table string) string { return d.lock("share", table) }
func (d dialect) updateOf(table string) string { return d.lock("update", table) }

func (d dialect) lock(how, table string) string {
	if d.embedded() {
		return ""
	}
	return " for " + how + " of " + table
}

func sessionLocker() (lock.SessionLocker, error) { return lock.NewPostgresSessionLocker() }

func (d dialect) embedded() bool { return d.name == sqlite.name }

// otherKeys joins the table u with p, which has every other key of whoever has
// or had u.k. On Postgres each is looked up by itself: on a table that was never
// analysed, as it is after the first import, the planner would otherwise read
// all of it for each wish, and nobody would be answered for a minute.
func (d dialect) otherKeys(u string) string {
	if d.embedded() {
		return u + ` cross join address_keys mine on mine.k = u.k cross join address_keys p on p.contact = mine.contact and p.k <> u.k`
	}
	return u + `, lateral (select p.k from address_keys mine,
		lateral (select x.k from address_keys x where x.contact = mine.contact offset 0) p where mine.k = u.k and p.k <> u.k offset 0) p`
}

// lookUp joins the rows u with those of a table that match each: condition is
// formatted with the table's alias. On Postgres each row is looked up by itself,
// for the reason that otherKeys has.
func (d dialect) lookUp(u, table, alias, condition string) string {
	if d.embedded() {
		return u + " cross join " + table + " " + alias + " on " + fmt.Sprintf(condition, alias)
	}
	return fmt.Sprintf("%s cross join lateral (select y.* from %s y where %s offset 0) %s", u, table, fmt.Sprintf(condition, "y"), alias)
}

// randomText is 32 random digits, others in every row: on Postgres from a UUID of
// version 4, of which 122 bits are random (RFC 9562, 5.4).
func (d dialect) randomText() string {
	if d.embedded() {
		return "lower(hex(randomblob(16)))"
	}
	return "replace(cast(gen_random_uuid() as text), '-', '')"
}

// within is the condition that a text has another in it, both expressions.
func (d dialect) within(text, part string) string {
	if d.embedded() {
		return "instr(" + text + ", " + part + ") > 0"
	}
	return "strpos(" + text + ", " + part + ") > 0"
}

// quoted lists names of ours as texts of SQL. What comes from outside is an
// argument, never one of these.
func quoted[T ~string](names ...T) string {
	list := make([]string, len(names))
	for i, n := range names {
		list[i] = "'" + string(n) + "'"
	}
	return strings.Join(list, ", ")
}

// query collects the arguments of a statement while its text is written.
type query struct {
	d    dialect
	now  int64 // milliseconds
	args []any
}

func (s *Store) query() *query { return &query{d: s.d, now: s.millis()} }

// arg adds an argument and returns its placeholder.
func (q *query) arg(v any) string {
	if k, ok := v.(audience.Key); ok {
		v = keyArg(k)
	}
	q.args = append(q.args, v)
	return "$" + strconv.Itoa(len(q.args))
}

// cast adds an argument whose type the engine cannot tell from its place.
func (q *query) cast(v any, sqlType string) string {
	if q.d.embedded() && sqlType == "bytea" {
		sqlType = "blob"
	}
	return "cast(" + q.arg(v) + " as " + sqlType + ")"
}

// column is one column of a table that is passed as arguments.
type column struct {
	name    string
	keys    []audience.Key // NULL where zero
	ints    []int64
	texts   []string
	pgType  string
	rows    int
	appendj func(b []byte, i int) []byte
}

func keys(name string, v []audience.Key) column {
	return column{name: name, keys: v, pgType: "bytea", rows: len(v), appendj: func(b []byte, i int) []byte {
		if v[i].IsZero() {
			return append(b, "null"...)
		}
		b = append(b, '"')
		b = hex.AppendEncode(b, v[i][:])
		return append(b, '"')
	}}
}

func ints(name string, v []int64) column {
	return column{name: name, ints: v, pgType: "bigint", rows: len(v), appendj: func(b []byte, i int) []byte {
		return strconv.AppendInt(b, v[i], 10)
	}}
}

func texts(name string, v []string) column {
	return column{name: name, texts: v, pgType: "text", rows: len(v), appendj: func(b []byte, i int) []byte {
		quoted, err := json.Marshal(v[i])
		if err != nil {
			// A string can always be marshalled.
			panic(err)
		}
		return append(b, quoted...)
	}}
}

// table passes rows as a table that a statement can select from or join: one
// array a column on Postgres, one JSON document on SQLite.
func (q *query) table(alias string, columns ...column) string {
	if q.d.embedded() {
		return q.jsonTable(alias, columns)
	}
	var placeholders, names []string
	for _, c := range columns {
		placeholders = append(placeholders, q.arg(c.array())+"::"+c.pgType+"[]")
		names = append(names, c.name)
	}
	return fmt.Sprintf("unnest(%s) as %s(%s)", strings.Join(placeholders, ", "), alias, strings.Join(names, ", "))
}

func (c column) array() any {
	switch c.pgType {
	case "bytea":
		out := make([][]byte, len(c.keys))
		for i := range c.keys {
			out[i] = keyArg(c.keys[i])
		}
		return out
	case "bigint":
		return c.ints
	default:
		return c.texts
	}
}

func (q *query) jsonTable(alias string, columns []column) string {
	b := []byte{'['}
	for i := range columns[0].rows {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '[')
		for j, c := range columns {
			if j > 0 {
				b = append(b, ',')
			}
			b = c.appendj(b, i)
		}
		b = append(b, ']')
	}
	b = append(b, ']')
	var selected, names []string
	for j, c := range columns {
		value := fmt.Sprintf("value ->> %d", j)
		if c.pgType == "bytea" {
			value = "unhex(" + value + ")"
		}
		selected, names = append(selected, value+" as "+c.name), append(names, c.name)
	}
	// Materialized, so that a join that looks things up in it builds an index
	// instead of reading the document again for every row.
	return fmt.Sprintf("(with rows as materialized (select %s from json_each(%s)) select %s from rows) as %s",
		strings.Join(selected, ", "), q.arg(string(b)), strings.Join(names, ", "), alias)
}

// keyArg is the stored form of a key: its bytes, or NULL. The key itself would
// be taken for a UUID by the Postgres driver.
func keyArg(k audience.Key) []byte {
	if k.IsZero() {
		return nil
	}
	return k[:]
}

// snapshot is the isolation in which all statements of a transaction see the
// same state. SQLite's readers always do.
func (d dialect) snapshot() sql.IsolationLevel {
	if d.embedded() {
		return sql.LevelDefault
	}
	return sql.LevelRepeatableRead
}
