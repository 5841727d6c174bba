package templates

// Limits of what an author may write, in bytes. They keep a template from
// stopping a worker; no honest newsletter comes near them. (Gmail shows no more
// than the first 102 KB of a mail.)
const (
	MaxSubject = 998     // as rendered, too: the longest line of a mail (RFC 5322, 2.1.1)
	MaxHTML    = 500_000 // as written
	MaxText    = 100_000 // as written
	MaxLink    = 2_048   // of one target
)

// MaxLinks is how many link targets a content may have: each takes about 100
// bytes of every row, see [MaxRow].
const MaxLinks = 60

// Limits of one message as rendered.
const (
	// MaxRow is how many bytes may differ from recipient to recipient in one
	// e-mail: the values of all holes, and columnName bytes a hole for its name.
	// SendGrid takes 10,000 bytes of substitutions a personalization.
	MaxRow = 10_000
	// MaxSMS is how many UTF-16 units an SMS may have (Twilio's Body).
	MaxSMS = 1_600
	// MaxPush is how many bytes title, body and data of a push message may have
	// together (Firebase Cloud Messaging's payload).
	MaxPush = 4_096
)

const (
	columnName   = 8         // bytes allowed for the name of a hole
	maxOutput    = 1_000     // bytes of one tag or output
	maxDepth     = 10        // blocks within blocks
	maxNodes     = 1_000     // tags and outputs in one part
	maxFilters   = 10        // on one output
	maxLoops     = 10        // in one part
	maxLoopNodes = 50        // tags and outputs within one loop
	maxElements  = 1_000     // of a range or a list
	maxVariable  = MaxRow    // bytes of a value that a template computes with
	maxProblems  = 100       // that one part reports
	maxLiteral   = 1_000_000 // a whole number's size
)
