package suppression

import "time"

// Instant is a point on a clock that only moves forward and goes on while the
// machine is suspended, in nanoseconds since an arbitrary start. Instants of
// two machines cannot be compared.
type Instant int64

// Add returns the instant d later.
func (i Instant) Add(d time.Duration) Instant { return i + Instant(d) }

// Clock tells the instant. A permit's life is measured on it: wall clocks jump,
// and Go's monotonic clock stands still while a laptop or a virtual machine
// sleeps.
type Clock func() Instant
