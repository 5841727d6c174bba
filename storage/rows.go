package storage

import (
	"context"
	"database/sql"
)

// queryer is what *sql.DB and *sql.Tx share for reading.
type queryer interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// each calls f for every row of a query.
func each(ctx context.Context, from queryer, text string, args []any, f func(*sql.Rows) error) error {
	rows, err := from.QueryContext(ctx, text, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := f(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// valuesOf reads the one column of a query.
func valuesOf[T any](ctx context.Context, from queryer, text string, args ...any) (values []T, err error) {
	err = each(ctx, from, text, args, func(rows *sql.Rows) error {
		var v T
		err := rows.Scan(&v)
		values = append(values, v)
		return err
	})
	return values, err
}
