package rights

import (
	"context"
	"log/slog"
	"math"
	"sync"
	"time"
)

// Latency is how many wishes of a day were acknowledged within the durations of a
// bucket.
type Latency struct {
	Day    int64 // days since 1970, UTC
	Bucket int64
	N      int64
}

// step is how much longer the durations of each bucket are than those of the one
// before: what is read from them is at most a tenth too long.
const step = 1.1

// BucketOf returns the bucket of a duration: 0 up to a millisecond, and so on.
func BucketOf(d time.Duration) int64 {
	if d <= time.Millisecond {
		return 0
	}
	return int64(math.Ceil(math.Log(float64(d)/float64(time.Millisecond))/math.Log(step) - 1e-9))
}

// BucketEnd returns the longest duration of a bucket.
func BucketEnd(bucket int64) time.Duration {
	return time.Duration(math.Pow(step, float64(bucket)) * float64(time.Millisecond))
}

// Quantile returns a duration within which the share p of all was, and how many
// there are. The buckets are in rising order.
func Quantile(buckets []Latency, p float64) (d time.Duration, n int64) {
	for _, b := range buckets {
		n += b.N
	}
	rank := int64(math.Ceil(p * float64(n)))
	for _, b := range buckets {
		if rank -= b.N; rank <= 0 {
			return BucketEnd(b.Bucket), n
		}
	}
	return 0, n
}

// Latencies gathers how long people waited until their wishes were acknowledged,
// and brings it to the database now and then. What a process has gathered when it
// is killed, a minute's at most, is lost: it is a statistic.
type Latencies struct {
	// Keep adds to what is kept.
	Keep func(ctx context.Context, gathered []Latency) error
	Log  *slog.Logger

	mu sync.Mutex
	n  map[Latency]int64 // by day and bucket
}

// Note notes a wish that was said at an instant and acknowledged after took.
func (l *Latencies) Note(at time.Time, took time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.n == nil {
		l.n = map[Latency]int64{}
	}
	l.n[Latency{Day: at.Unix() / (24 * 60 * 60), Bucket: BucketOf(took)}]++
}

// keepEvery is how often the database gets what was gathered.
const keepEvery = time.Minute

// Run brings what is gathered to the database until ctx ends, and then once more.
func (l *Latencies) Run(ctx context.Context) {
	ticker := time.NewTicker(keepEvery)
	defer ticker.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-ticker.C:
		}
		within, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		l.Flush(within)
		cancel()
	}
}

// Flush brings what is gathered to the database. What it does not take stays.
func (l *Latencies) Flush(ctx context.Context) {
	l.mu.Lock()
	gathered := make([]Latency, 0, len(l.n))
	for at, n := range l.n {
		at.N = n
		gathered = append(gathered, at)
	}
	l.n = nil
	l.mu.Unlock()
	if len(gathered) == 0 {
		return
	}
	if err := l.Keep(ctx, gathered); err != nil {
		l.Log.Warn("how long acknowledging took was not kept and will be tried again", "error", err)
		l.putBack(gathered)
	}
}

func (l *Latencies) putBack(gathered []Latency) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.n == nil {
		l.n = map[Latency]int64{}
	}
	for _, g := range gathered {
		l.n[Latency{Day: g.Day, Bucket: g.Bucket}] += g.N
	}
}
