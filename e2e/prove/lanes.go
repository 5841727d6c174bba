package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"utskick/internal/testserver"
)

// The engines.
const (
	postgres = "postgres"
	sqlite   = "sqlite"
)

// job is a row on an engine.
type job struct {
	row    row
	engine string
}

func (j job) String() string { return j.row.name + "/" + j.engine }

func (o options) jobs() (jobs []job) {
	for _, r := range rows() {
		engines := o.engines
		if o.short {
			engines = r.short
		}
		for _, e := range engines {
			if o.rows.MatchString(r.name) && (len(r.engines) == 0 || slices.Contains(r.engines, e)) {
				jobs = append(jobs, job{r, e})
			}
		}
	}
	return jobs
}

// lane has servers of its own, so that a row may stop them.
type lane struct {
	options
	postgres *testserver.Server
	redis    *testserver.Server
}

func openLane(ctx context.Context, o options) (l *lane, err error) {
	l = &lane{options: o}
	if l.redis, err = testserver.StartRedis(ctx, testserver.Options{}); err != nil {
		return nil, err
	}
	if l.postgres, err = testserver.StartPostgres(ctx, testserver.Options{}); err != nil {
		return nil, errors.Join(err, l.redis.Close())
	}
	return l, nil
}

func (l *lane) close() error { return errors.Join(l.postgres.Close(), l.redis.Close()) }

// prove runs all jobs and prints a row for each as it ends.
func prove(ctx context.Context, o options, jobs []job) error {
	dir, err := os.MkdirTemp("", "utskick-prove-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if o.binary == "" {
		if o.binary, err = build(ctx, dir); err != nil {
			return err
		}
	}
	begun := time.Now()
	t := newTable(os.Stdout, jobs)
	var beside, alone []job
	for _, j := range jobs {
		if j.row.alone {
			alone = append(alone, j)
		} else {
			beside = append(beside, j)
		}
	}
	err = errors.Join(o.share(ctx, dir, beside, o.lanes, t), o.share(ctx, dir, alone, 1, t))
	return errors.Join(err, t.end(time.Since(begun)))
}

// share shares jobs among lanes.
func (o options) share(ctx context.Context, dir string, jobs []job, lanes int, t *table) error {
	queue := make(chan job, len(jobs))
	for _, j := range jobs {
		queue <- j
	}
	close(queue)
	failed := make([]error, min(lanes, len(jobs)))
	var wg sync.WaitGroup
	for i := range failed {
		wg.Go(func() { failed[i] = work(ctx, o, dir, queue, t) })
	}
	wg.Wait()
	return errors.Join(failed...)
}

func work(ctx context.Context, o options, dir string, queue <-chan job, t *table) error {
	l, err := openLane(ctx, o)
	if err != nil {
		return err
	}
	for j := range queue {
		if ctx.Err() != nil {
			break
		}
		t.add(j, l.run(ctx, dir, j))
	}
	return errors.Join(ctx.Err(), l.close())
}

// build builds the program with its failpoints.
func build(ctx context.Context, dir string) (string, error) {
	binary := filepath.Join(dir, "utskick")
	cmd := exec.CommandContext(ctx, "go", "build", "-tags", "failpoints", "-o", binary, "utskick/cmd/utskick")
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("build the program: %w", err)
	}
	return binary, nil
}
