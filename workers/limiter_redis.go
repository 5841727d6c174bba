package workers

import (
	"context"
	"crypto/rand"
	"time"

	"github.com/redis/go-redis/v9"
)

// bucket is the part of a limit that lies in Redis. All times in it are Redis'
// own, so that no clock of a worker matters.
type bucket struct {
	client  *redis.Client
	name    string
	process string       // names this process
	clock   func() int64 // microseconds, in place of Redis' time in tests; nil: none
}

func newBucket(r *Redis, name string) *bucket {
	return &bucket{client: r.prompt, name: name, process: rand.Text()}
}

// answerWithin is how long Redis may take. A limiter that waits longer holds up a
// chunk that could go by the process' own share.
const answerWithin = 100 * time.Millisecond

// promptClient is a client of the same Redis that keeps to the time-outs of its
// contexts and tries nothing twice.
func promptClient(client *redis.Client) *redis.Client {
	o := *client.Options()
	if o.MaintNotificationsConfig != nil {
		own := *o.MaintNotificationsConfig
		o.MaintNotificationsConfig = &own
	}
	o.ContextTimeoutEnabled = true
	o.MaxRetries = -1
	return redis.NewClient(&o)
}

// redisTime begins each script: now in microseconds, Redis' own or the test's.
const redisTime = `
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
if ARGV[1] ~= '' then now = tonumber(ARGV[1]) end
`

// takeScript is the generic cell rate algorithm (ATM Forum, Traffic Management
// 4.0, 4.4.2) without a burst of its own: the key holds the instant at which all
// that was let go is paid for, and the next chunk goes then.
//
// A key that is missing was forgotten, and is taken for one that was just used:
// emptying Redis lets nothing more through. So is one too far ahead: Redis' clock
// has gone back.
//
// It returns how long to wait, in microseconds, and how long the provider is to
// be left alone, in milliseconds.
var takeScript = redis.NewScript(redisTime + `
local cost, most, credit = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local quiet = redis.call('PTTL', KEYS[2])
if quiet > 0 then return {0, quiet} end
local paid = tonumber(redis.call('GET', KEYS[1]) or '')
local changed = not paid or paid > now + most
if changed then paid = now + most end
local wait = math.max(0, paid - now)
if wait == 0 then
	paid = math.max(paid, now - credit) + cost
	changed = true
end
if changed then redis.call('SET', KEYS[1], string.format('%.0f', paid), 'PX', 60000) end
return {wait, 0}
`)

// take asks for n messages at the pace s.
func (b *bucket) take(ctx context.Context, n int, s share) (wait, quiet time.Duration, err error) {
	found, err := b.run(ctx, takeScript, []string{b.key("rate"), b.key("pause")},
		s.cost(n).Microseconds(), s.cost(s.most).Microseconds(), s.credit.Microseconds())
	if err != nil {
		return 0, 0, err
	}
	return time.Duration(found[0]) * time.Microsecond, time.Duration(found[1]) * time.Millisecond, nil
}

// beatScript counts a process among those that were seen within ten seconds.
var beatScript = redis.NewScript(redisTime + `
redis.call('ZADD', KEYS[1], now, ARGV[2])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - 10000000)
redis.call('PEXPIRE', KEYS[1], 10000)
return {redis.call('ZCARD', KEYS[1]), math.max(0, redis.call('PTTL', KEYS[2]))}
`)

// beat says that this process lives. It returns how many do, and how long the
// provider is to be left alone.
func (b *bucket) beat(ctx context.Context) (processes int, quiet time.Duration, err error) {
	found, err := b.run(ctx, beatScript, []string{b.key("processes"), b.key("pause")}, b.process)
	if err != nil {
		return 0, 0, err
	}
	return int(found[0]), time.Duration(found[1]) * time.Millisecond, nil
}

// leave says that this process ends. When it is not heard, the process is counted
// for ten seconds more.
func (b *bucket) leave(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	_ = b.client.ZRem(ctx, b.key("processes"), b.process).Err()
}

var pauseScript = redis.NewScript(redisTime + `
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[2]) then redis.call('SET', KEYS[1], '1', 'PX', ARGV[2]) end
return {}
`)

// pause keeps every process from the provider for d, or longer if it was told so
// before.
func (b *bucket) pause(ctx context.Context, d time.Duration) error {
	_, err := b.run(ctx, pauseScript, []string{b.key("pause")}, max(1, d.Milliseconds()))
	return err
}

func (b *bucket) key(kind string) string { return "utskick:" + kind + ":" + b.name }

func (b *bucket) run(ctx context.Context, s *redis.Script, keys []string, args ...any) ([]int64, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	var now any = ""
	if b.clock != nil {
		now = b.clock()
	}
	return s.Run(ctx, b.client, keys, append([]any{now}, args...)...).Int64Slice()
}
