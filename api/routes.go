package api

import (
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
)

// routes is a mux that remembers its patterns, so that a test can ask every one
// of them whether it lets strangers in.
type routes struct {
	mux      http.ServeMux
	patterns []string
}

// HandleFunc and ServeHTTP make it a mux for huma.
func (r *routes) HandleFunc(pattern string, f func(http.ResponseWriter, *http.Request)) {
	r.Handle(pattern, http.HandlerFunc(f))
}

func (r *routes) Handle(pattern string, h http.Handler) {
	r.patterns = append(r.patterns, pattern)
	r.mux.Handle(pattern, h)
}

func (r *routes) ServeHTTP(w http.ResponseWriter, req *http.Request) { r.mux.ServeHTTP(w, req) }

// pattern returns the pattern that a request matches, or nothing.
func (r *routes) pattern(req *http.Request) string {
	_, pattern := r.mux.Handler(req)
	return pattern
}

// path returns the path of the pattern that a request matches, such as
// /v1/contacts/{external_id}, or nothing. It says which route is asked for,
// whatever the ids look like: an id may have a slash in it, escaped, so the
// decoded path of a request may look like that of another route.
func (r *routes) path(req *http.Request) string {
	pattern := r.pattern(req)
	if _, path, found := strings.Cut(pattern, " "); found {
		return path
	}
	return pattern
}

// maxConcurrent is how many requests a listener works on at a time. More are
// told to come again: each may hold a connection to the database.
const maxConcurrent = 2000

// limited passes on at most n requests at a time; busy answers the others.
func limited(n int, next, busy http.Handler) http.Handler {
	slots := make(chan struct{}, n)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case slots <- struct{}{}:
			defer func() { <-slots }()
			next.ServeHTTP(w, r)
		default:
			busy.ServeHTTP(w, r)
		}
	})
}

// recovered answers a panic with failed. It logs where, and neither the value
// nor who asked: net/http would log the client's address.
func recovered(log *slog.Logger, next, failed http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			switch v := recover(); v {
			case nil:
			case http.ErrAbortHandler:
				panic(v)
			default:
				log.Error("a request panicked", "stack", string(debug.Stack()))
				failed.ServeHTTP(w, r)
			}
		}()
		next.ServeHTTP(w, r)
	})
}

// withHeaders sets headers before anything else may answer.
func withHeaders(headers map[string]string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for name, value := range headers {
			w.Header().Set(name, value)
		}
		next.ServeHTTP(w, r)
	})
}
