package workers

import "time"

// share is the pace of a process that divides a limit with others by itself, or,
// for one sharer, the pace that all keep together.
type share struct {
	every  time.Duration // one message
	most   int           // messages at once
	credit time.Duration // how late a chunk may come without the pace falling behind
	slack  time.Duration // how much later than usual a chunk may begin
	asks   bool          // Redis is asked, too
}

// What may go at once. A provider that takes one recipient a call gets 4 % of a
// second's messages, which leaves 1 % for chunks that come late; one that takes
// many a call gets what the limit lets out in half a second, so that no ten
// seconds hold much more than theirs. A tenth of the second, or of the ten, is what
// may come together: the chunk, its credit, what is on its way, and what begins late.
const (
	shareOfSecond  = 25
	wholeCallShare = 2
	mostCredit     = 10 * time.Millisecond
	burstOfSingles = time.Second / 20
	burstOfCalls   = time.Second
	overSingles    = time.Second / 10
	overCalls      = time.Second
	onItsWay       = 5 // of what may come together, one part in so many
	leastSlack     = 20 * time.Millisecond
)

// share divides the limit by sharers. A part of a message a second is left out:
// several processes that each round up would be over the limit together.
func (l *Limiter) share(sharers int) share {
	perSecond, burst, over := l.PerSecond/sharers, burstOfSingles, overSingles
	s := share{every: time.Duration(sharers) * time.Second / time.Duration(l.PerSecond), most: 1}
	if perSecond > 0 {
		s.every = time.Second / time.Duration(perSecond)
	}
	if l.PerCall > 1 {
		burst, over = burstOfCalls, overCalls
		s.most = max(1, min(l.PerCall, perSecond/wholeCallShare))
	} else {
		s.most = max(1, perSecond/shareOfSecond)
	}
	s.credit = min(mostCredit, max(0, burst-s.cost(s.most)))
	s.slack = max(leastSlack, over-over/onItsWay-s.cost(s.most)-s.credit)
	return s
}

// cost is the time that n messages take.
func (s share) cost(n int) time.Duration { return time.Duration(n) * s.every }

// pay returns when n messages that go now are paid for, after those that were
// paid for at an earlier instant.
func (s share) pay(paid, now time.Time, n int) time.Time {
	if late := now.Add(-s.credit); paid.Before(late) {
		paid = late
	}
	return paid.Add(s.cost(n))
}

// link is how a process stands with Redis. Together, all processes must stay
// within the limit whatever they know of Redis, which they do not learn at the
// same moment:
//
//   - While Redis answers, it alone divides the limit.
//   - When it does not, the process sends nothing for two seconds. By then every
//     other process has found out, too: each has asked within a second.
//   - Then it keeps to its share: the limit divided by how many processes were
//     last seen, or were configured if it has seen none.
//   - When Redis answers again, it asks it, but keeps to its share for two more
//     seconds: by then nobody goes by a share alone.
//
// A process that is cut off by itself, while the others reach Redis, is not known
// to them, and adds its share to the limit.
type link struct {
	since   time.Time // of the first request in a row that was not answered
	shareTo time.Time // until then it keeps to its share, though Redis answers
	assumed int
	seen    int // processes
	seenAt  time.Time
}

const (
	silence   = 2 * time.Second
	shareOn   = 2 * time.Second
	shortGap  = 500 * time.Millisecond // after which no other process can have gone its own way
	seenLasts = 10 * time.Second
)

func (k *link) failed(now time.Time) {
	if k.since.IsZero() {
		k.since = now
	}
}

func (k *link) answered(now time.Time) {
	if !k.since.IsZero() && now.Sub(k.since) > shortGap {
		k.shareTo = now.Add(shareOn)
	}
	k.since = time.Time{}
}

// counted takes in how many processes there are. A smaller number counts after a
// while: right after Redis was emptied, not all have said that they live.
func (k *link) counted(processes int, now time.Time) {
	if processes >= k.seen || now.Sub(k.seenAt) > seenLasts {
		k.seen, k.seenAt = processes, now
	}
}

// lost says that the process goes its own way.
func (k *link) lost(now time.Time) bool { return !k.since.IsZero() && now.Sub(k.since) >= silence }

// sharers returns by how many the process divides the limit by itself; 1 while
// Redis does it.
func (k *link) sharers(now time.Time) int {
	switch {
	case !k.lost(now) && !now.Before(k.shareTo):
		return 1
	case k.seen > 0:
		return k.seen
	}
	return max(1, k.assumed)
}
