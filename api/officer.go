package api

import (
	"net/http"
	"slices"
)

// officerReads are the routes of what the data protection officer sees: cases,
// figures and the log, and campaigns, in which nobody is named. She monitors (GDPR
// 39(1)(b)), and needs nobody's address for it.
var officerReads = []string{homePath, "/ops", "/ops/campaigns/{name}", casesPath, "/ops/cases/{id}", "/ops/compliance", "/ops/audit",
	"/v1/cases", "/v1/cases/{id}", "/v1/compliance", "/v1/audit", "/docs", "/openapi.json"}

// officerWrites are those of what she may do to a case, if it is routed to her.
var officerWrites = []string{"/v1/cases/{id}/notes", "/v1/cases/{id}/route", "/ops/cases/{id}/notes", "/ops/cases/{id}/route"}

func officerMayDo(method, path string) bool {
	if safeMethod(method) {
		return slices.Contains(officerReads, path)
	}
	return method == http.MethodPost && slices.Contains(officerWrites, path)
}
