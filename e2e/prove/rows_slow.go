package main

import (
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"time"
)

// slowness is a database that takes its time.
func slowness() []row {
	return []row{
		{name: "slow-postgres", fault: "Postgres ten times slower", engines: []string{postgres}, ends: "P6", apply: slowPostgres,
			between: func(s *stage) error { return s.throughProxy() }},
		{name: "slow-sqlite", fault: "0.1 s more for each commit to the embedded database", engines: []string{sqlite}, ends: "P6",
			arms: func(string) map[string][]string {
				var all []string
				for _, point := range []string{"planned-before-commit", "claim-before-commit", "settle-before-commit", "wish-before-commit"} {
					all = append(all, point+"=delay:100ms")
				}
				return map[string][]string{"serve": {strings.Join(all, ",")}}
			},
			apply: once},
	}
}

// slowed is how many times longer an answer takes.
const slowed = 10

// leastHeld keeps a database that answers within microseconds from being fast
// when it is ten times slower.
const leastHeld = 10 * time.Millisecond

// throughProxy puts a proxy between the product and its database.
func (s *stage) throughProxy() error {
	at, err := url.Parse(s.env["UTSKICK_DATABASE_URL"])
	if err != nil {
		return err
	}
	query := at.Query()
	if s.proxy, err = startProxy(filepath.Join(query.Get("host"), ".s.PGSQL.5432")); err != nil {
		return err
	}
	s.closing = append(s.closing, s.proxy.close)
	query.Set("host", s.proxy.dir)
	at.RawQuery = query.Encode()
	s.env["UTSKICK_DATABASE_URL"] = at.String()
	return nil
}

func slowPostgres(s *stage) error {
	normal := s.proxy.median()
	s.proxy.slow(slowed, leastHeld)
	s.faults++
	for range 2 {
		if _, err := s.launch(); err != nil {
			return err
		}
	}
	for _, name := range s.launched {
		if err := s.ended(name); err != nil {
			return err
		}
	}
	s.notes = append(s.notes, fmt.Sprintf("a round trip took %s in the median, and %s while it was slow", normal, s.proxy.median()))
	s.proxy.slow(1, 0)
	s.over = time.Now()
	return nil
}
