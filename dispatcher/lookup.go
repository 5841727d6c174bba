package dispatcher

import "time"

// LookUpFor is how long after its claim a message in doubt may be resolved by
// asking its provider. After that its doubt is final.
const LookUpFor = 72 * time.Hour

// LookAfter is how long to wait before the provider is asked again, when it has
// been asked so many times.
func LookAfter(times int) time.Duration {
	const first, longest = time.Minute, 6 * time.Hour
	if times > 12 {
		return longest
	}
	return min(first<<times, longest)
}
