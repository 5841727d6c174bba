package suppression

import "golang.org/x/sys/unix"

// SystemClock is CLOCK_BOOTTIME (clock_gettime(2)): monotonic, suspend counted.
func SystemClock() Instant {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		// Linux has had this clock since 2.6.39; without it no window can be kept.
		panic("the kernel offers no CLOCK_BOOTTIME: " + err.Error())
	}
	return Instant(ts.Nano())
}
