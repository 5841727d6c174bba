package channels

import (
	"net/http"
	"strconv"
	"time"
)

// LongestPause bounds what a vendor can ask for: beyond it, it is taken for
// broken.
const LongestPause = time.Hour

// ReasonCredentials is that of a provider which does not know our key.
const ReasonCredentials = "bad_credentials"

// Answer is what a vendor answers over HTTP.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte // its beginning, at most 64 KiB
}

// ByStatus says what the status alone means, for a status that is none of
// success that the vendor documents, and a request for one recipient.
func (a Answer) ByStatus() Result {
	switch {
	case a.Status < 300:
		// Whether anything went out is for a person to find out.
		return Result{Class: InDoubt, Reason: ReasonServerError}
	case a.Status < 400:
		return Result{Class: Hold, Reason: "redirected"}
	case a.Status == http.StatusUnauthorized:
		return Result{Class: Hold, Reason: ReasonCredentials}
	case a.Status == http.StatusForbidden:
		return Result{Class: Hold, Reason: "forbidden"}
	case a.Status == http.StatusNotFound, a.Status == http.StatusMethodNotAllowed:
		return Result{Class: Hold, Reason: "wrong_endpoint"}
	case a.Status == http.StatusRequestTimeout:
		return Result{Class: InDoubt, Reason: ReasonTimeout}
	case a.Status == http.StatusTooManyRequests:
		return Result{Class: NotTaken, Reason: "throttled"}
	case a.Status < 500:
		return Result{Class: Rejected, Reason: "bad_request"}
	}
	// 503 usually says that nothing was taken, but vendors do not promise it, and
	// a front may say it for a server that has taken the message.
	return Result{Class: InDoubt, Reason: ReasonServerError}
}

// RetryAfter reads the header of that name, a number of seconds or a date (RFC
// 9110, 10.2.3), the date against now. Without one it is zero; it is never more
// than [LongestPause].
func (a Answer) RetryAfter(now time.Time) time.Duration {
	var d time.Duration
	after := a.Header.Get("Retry-After")
	if seconds, err := strconv.ParseInt(after, 10, 64); err == nil {
		d = time.Duration(min(max(seconds, 0), int64(LongestPause/time.Second))) * time.Second
	} else if at, err := http.ParseTime(after); err == nil {
		d = at.Sub(now)
	}
	return min(max(d, 0), LongestPause)
}
