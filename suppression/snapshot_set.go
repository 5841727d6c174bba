package suppression

import (
	"encoding/binary"
	"math/bits"
	"slices"

	"utskick/audience"
)

// prefixSet holds the first eight bytes of keys. It may say that it has a key
// that was never added, which costs a look into the database; it never says
// that it lacks one that was.
type prefixSet struct {
	sorted []uint64 // 8 bytes a key
	// starts is where in sorted the prefixes of each bucket start, and at last
	// where they end. A bucket is what has the same leading bits; keys are evenly
	// spread, so it has about bucketSize of them, one or two cache lines.
	starts []uint32
	shift  int                 // from a prefix to its bucket
	recent map[uint64]struct{} // added since, none of them in sorted
	// minFold is how many recent ones there are before they are folded into
	// sorted at all.
	minFold int
}

// minFold and foldPart say when recent prefixes are folded in: a map takes some
// 40 bytes a key, and folding takes about 10 ms a million.
const (
	minFold  = 10_000
	foldPart = 8
)

const bucketSize = 8

func prefix(k audience.Key) uint64 { return binary.BigEndian.Uint64(k[:]) }

// newPrefixSet takes over prefixes, in any order and repeated at will.
func newPrefixSet(prefixes []uint64) *prefixSet {
	slices.Sort(prefixes)
	s := &prefixSet{minFold: minFold}
	s.index(slices.Compact(prefixes))
	return s
}

// index puts sorted prefixes in the place of all that the set had.
func (s *prefixSet) index(sorted []uint64) {
	leading := bits.Len(uint(len(sorted) / bucketSize))
	s.sorted, s.shift, s.recent = sorted, 64-leading, map[uint64]struct{}{}
	s.starts = make([]uint32, 1<<leading+1)
	for _, p := range sorted {
		s.starts[p>>s.shift+1]++
	}
	for i := range len(s.starts) - 1 {
		s.starts[i+1] += s.starts[i]
	}
}

func (s *prefixSet) len() int { return len(s.sorted) + len(s.recent) }

func (s *prefixSet) has(k audience.Key) bool {
	p := prefix(k)
	bucket := p >> s.shift
	if slices.Contains(s.sorted[s.starts[bucket]:s.starts[bucket+1]], p) {
		return true
	}
	_, ok := s.recent[p]
	return ok
}

// add adds a key, and folds the recent ones in when they have become many.
func (s *prefixSet) add(k audience.Key) {
	if s.has(k) {
		return
	}
	s.recent[prefix(k)] = struct{}{}
	if len(s.recent) > max(s.minFold, len(s.sorted)/foldPart) {
		s.fold()
	}
}

// fold merges the recent prefixes into the sorted ones, which takes the memory
// of both while it goes on.
func (s *prefixSet) fold() {
	added := make([]uint64, 0, len(s.recent))
	for p := range s.recent {
		added = append(added, p)
	}
	slices.Sort(added)
	merged := make([]uint64, 0, s.len())
	rest := s.sorted
	for _, p := range added {
		n, _ := slices.BinarySearch(rest, p)
		merged = append(append(merged, rest[:n]...), p)
		rest = rest[n:]
	}
	s.index(append(merged, rest...))
}
