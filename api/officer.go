package api

import (
	"net/http"
	"regexp"
)

// officerReads are what the data protection officer sees: cases, figures and the
// log, and campaigns, in which nobody is named. She monitors (GDPR 39(1)(b)), and
// needs nobody's address for it.
var officerReads = regexp.MustCompile(`^/($|ops$|ops/campaigns/|ops/cases($|/)|ops/compliance$|ops/audit$|v1/cases($|/)|v1/compliance$|v1/audit$|docs($|/)|openapi\.json$)`)

// officerWrites are what she may do to a case, if it is routed to her.
var officerWrites = regexp.MustCompile(`^/(ops|v1)/cases/[^/]+/(notes|route)$`)

func officerMayDo(method, path string) bool {
	if safeMethod(method) {
		return officerReads.MatchString(path)
	}
	return method == http.MethodPost && officerWrites.MatchString(path)
}
