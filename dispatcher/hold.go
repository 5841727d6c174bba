package dispatcher

import (
	"errors"
	"time"
)

// Hold says that nothing is sent, whatever the state of runs and batches: the
// database may have lost what it knew. The zero value is no hold.
type Hold struct {
	Since time.Time `json:"since,omitzero"`
	Why   string    `json:"why,omitempty"`
}

// Held reports whether sending is held.
func (h Hold) Held() bool { return !h.Since.IsZero() }

// WayOut tells an operator what ends a hold.
const WayOut = "when the right database is in place, run utskick database release"

// ErrNotHeld says that there is no hold to release.
var ErrNotHeld = errors.New("sending is not held: there is nothing to release")

// Released is what the release of a hold did.
type Released struct {
	Hold     Hold       `json:"hold"`
	Journals []Replayed `json:"journals"`
	// Relaunched are new runs of campaigns that were launched in what was lost.
	Relaunched []int64 `json:"relaunched"`
	// Erasing is how many people are there again who were erased, or asked to be, in
	// what was lost: their erasures are under way again.
	Erasing int     `json:"erasing"`
	Runs    []int64 `json:"runs"`     // whose unfinished members are in doubt now
	InDoubt int64   `json:"in_doubt"` // how many those are
}

// Replayed is what became of a file of the journal.
type Replayed struct {
	File    string `json:"file"`
	Lines   int    `json:"lines"`             // that are whole
	Applied int    `json:"applied"`           // that the database had lost
	Damaged []int  `json:"damaged,omitempty"` // numbers of lines, from 1
}
