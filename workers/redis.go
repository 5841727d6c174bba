// Package workers connects the dispatcher to asynq and Redis: the doorbell that
// tells workers which batch is ready, the handlers that answer it, the limiter,
// and the queue dashboard. Nothing here is needed to know what was sent: Redis
// carries ids, and losing all of it only delays.
package workers

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/hibiken/asynq"
	"github.com/hibiken/asynqmon"
	"github.com/redis/go-redis/v9"
)

// Redis is the connection that the doorbell rings over.
type Redis struct {
	client *redis.Client
	prompt *redis.Client // for the limiters
	opt    asynq.RedisConnOpt
	server *miniredis.Miniredis // the in-process one, or nil
	close  []func()
}

// OpenRedis connects to a redis:// or rediss:// address. It does not ask
// whether anybody answers: a worker starts without Redis, too.
func OpenRedis(url string) (*Redis, error) {
	opt, err := asynq.ParseRedisURI(url)
	if err != nil {
		// The parser's error quotes the address, which may hold a password.
		return nil, fmt.Errorf("UTSKICK_REDIS_URL is not a valid redis:// address")
	}
	return newRedis(opt), nil
}

// init keeps go-redis from writing to the standard error by itself: that Redis
// is away is said once, in our log.
func init() { redis.SetLogger(silent{}) }

type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}

func newRedis(opt asynq.RedisConnOpt) *Redis {
	client := opt.MakeRedisClient().(*redis.Client) // no address that can be given is of a cluster
	prompt := promptClient(client)
	return &Redis{client: client, prompt: prompt, opt: opt, close: []func(){func() { _ = prompt.Close(); _ = client.Close() }}}
}

// EmbeddedRedis starts a Redis inside this process. It keeps nothing on disk,
// which does not matter, and it serves this process alone, which does: with
// separate workers a real Redis is needed.
func EmbeddedRedis() (*Redis, error) {
	server := miniredis.NewMiniRedis()
	if err := server.StartAddr("127.0.0.1:0"); err != nil {
		return nil, fmt.Errorf("start the in-process Redis: %w", err)
	}
	r := newRedis(asynq.RedisClientOpt{Addr: server.Addr()})
	r.server = server
	stop := make(chan struct{})
	go expireKeys(server, stop)
	r.close = append(r.close, func() { close(stop); server.Close() })
	return r, nil
}

// expireKeys lets time pass in the in-process Redis, which does not do it by
// itself.
func expireKeys(server *miniredis.Miniredis, stop <-chan struct{}) {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-stop:
			return
		case <-ticker.C:
			server.FastForward(time.Second)
		}
	}
}

// Ping reports whether Redis answers.
func (r *Redis) Ping(ctx context.Context) error { return r.client.Ping(ctx).Err() }

// Flush empties Redis: for tests that show that it does not matter.
func (r *Redis) Flush(ctx context.Context) error { return r.client.FlushAll(ctx).Err() }

// Close ends the connection.
func (r *Redis) Close() {
	for _, f := range r.close {
		f()
	}
}

// Dashboard shows the queues, and changes nothing.
func (r *Redis) Dashboard(rootPath string) http.Handler {
	return asynqmon.New(asynqmon.Options{RootPath: rootPath, RedisConnOpt: r.opt, ReadOnly: true})
}
