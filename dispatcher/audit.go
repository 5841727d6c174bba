package dispatcher

import "time"

// Audited is a line of the audit log: who did what to whom. It holds no address.
type Audited struct {
	At     time.Time `json:"at"`
	Actor  string    `json:"actor" doc:"Name of the key"`
	Action string    `json:"action"`
	Object string    `json:"object"`
	Detail string    `json:"detail,omitempty"`
}
