package dispatcher

import (
	"time"

	"utskick/audience"
	"utskick/tracking"
)

// Communication is one message that was sent to a contact, or withheld.
type Communication struct {
	Campaign string           `json:"campaign"`
	Run      int64            `json:"run"`
	Channel  audience.Channel `json:"channel"`
	Template string           `json:"template"`
	Version  int              `json:"template_version"`
	Language string           `json:"language"`
	Sender   string           `json:"sender"`
	Outcome  string           `json:"outcome"` // a code's name
	Cause    string           `json:"cause,omitempty"`
	// At is when the message was claimed to be sent or withheld; zero before.
	At time.Time `json:"at,omitzero"`
	// SuppressionVersion is the state of the suppression index that the ruling
	// was made on; 0 where none was.
	SuppressionVersion int64  `json:"suppression_version,omitempty"`
	ProviderID         string `json:"provider_id,omitempty"`
	// Notice is the version of the sender's privacy notice that was in force, and
	// NoticeFirst says that nothing was sent to her under it before.
	Notice      string           `json:"notice,omitempty"`
	NoticeFirst bool             `json:"notice_first,omitempty"`
	Events      []tracking.Event `json:"events,omitempty"`
}
