package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"utskick/internal/failpoint"
)

// brokers are what happens to Redis.
func brokers() []row {
	all := []row{
		{name: "redis-killed", fault: "Redis killed as a handler returns",
			arms: func(string) map[string][]string { return map[string][]string{"work-1": {"settled=stop@2"}} },
			apply: func(s *stage) error {
				return s.whileFrozen(func() error { return errors.Join(s.redis.Kill(), s.redis.Restart(s.ctx)) })
			}},
		{name: "redis-flushed", fault: "FLUSHALL every two seconds", short: []string{postgres}, apply: func(s *stage) error {
			for range 2 {
				if _, err := s.launch(); err != nil {
					return err
				}
			}
			return s.flushing(2*time.Second, 5)
		}},
		{name: "redis-away", fault: "no Redis at all for 20 s", apply: func(s *stage) error {
			if err := s.redis.Kill(); err != nil {
				return err
			}
			s.faults++
			if _, err := s.launch(); err != nil {
				return err
			}
			time.Sleep(20 * time.Second)
			s.over = time.Now()
			return s.redis.Restart(s.ctx)
		}},
		{name: "redis-keys", fault: "asynq's lease and index keys deleted one by one", apply: deleteKeys},
	}
	for i := range all {
		all[i].engines, all[i].ends = []string{postgres}, "P4"
	}
	return all
}

func (s *stage) withRedis(f func(context.Context, *redis.Client) error) error {
	o, err := redis.ParseURL(s.redis.URL)
	if err != nil {
		return err
	}
	c := redis.NewClient(o)
	return errors.Join(f(s.ctx, c), c.Close())
}

func (s *stage) flushing(every time.Duration, times int) error {
	return s.withRedis(func(ctx context.Context, c *redis.Client) error {
		for range times {
			time.Sleep(every)
			if err := c.FlushAll(ctx).Err(); err != nil {
				return err
			}
			s.faults++
		}
		s.over = time.Now()
		return nil
	})
}

// deleteKeys deletes what asynq keeps for itself, a key at a time, while two
// campaigns run.
func deleteKeys(s *stage) error {
	for range 2 {
		if _, err := s.launch(); err != nil {
			return err
		}
	}
	err := s.withRedis(func(ctx context.Context, c *redis.Client) error {
		for until := time.Now().Add(8 * time.Second); time.Now().Before(until); time.Sleep(50 * time.Millisecond) {
			all, err := c.Keys(ctx, "asynq:*").Result()
			if err != nil {
				return err
			}
			for _, k := range all {
				if strings.HasSuffix(k, ":lease") || strings.HasSuffix(k, ":active") || strings.HasSuffix(k, ":pending") || strings.Contains(k, ":t:") {
					if err := c.Del(ctx, k).Err(); err != nil {
						return err
					}
					s.faults++
				}
			}
		}
		return nil
	})
	s.over = time.Now()
	return err
}

// databases stop Postgres in each phase of the protocol: the worker stands
// there, the server is stopped at once and stays away for three seconds.
func databases() (all []row) {
	for _, point := range []failpoint.Name{
		failpoint.PlannedBeforeCommit, failpoint.Prepared, failpoint.Claimed, failpoint.Checked, failpoint.Sent, failpoint.Settled,
		failpoint.WishBeforeCommit, failpoint.WishCommitted,
	} {
		all = append(all, row{
			name: "postgres-" + string(point), fault: fmt.Sprintf("Postgres stopped at once at %s, back after 3 s", point),
			engines: []string{postgres}, doubt: []string{workerLost}, away: true,
			arms: func(string) map[string][]string { return freezeAt(point, 1) },
			apply: func(s *stage) error {
				if err := s.whileFrozen(s.postgres.Kill); err != nil {
					return err
				}
				time.Sleep(3 * time.Second)
				err := s.postgres.Restart(s.ctx)
				s.over = time.Now()
				return err
			},
		})
	}
	return all
}
