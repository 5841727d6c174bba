// Package failpoint names the steps of the protocol at which a test may make
// the program fail: kill it, freeze it, slow it down, or lose an answer. The
// points do nothing, and are not even in the program, unless it is built with
// -tags failpoints. Then the variable UTSKICK_FAILPOINTS says what happens
// where:
//
//	claimed=kill@2,checked=stop@1,settle-before-commit=delay:3s,claim-answer=error@1
//
// kill is SIGKILL and stop is SIGSTOP, both to the process itself. @2 means the
// second time that this process comes by, @2+ the second and every later time;
// without it, every time. One point is no step: clock=shift:-1h sets the wall
// clock of the process an hour back. Asked by SIGUSR1, a process of that build
// also says how many goroutines it has. The harness in e2e/prove uses all three.
package failpoint

// Name is a point in the protocol.
type Name string

// The points, in the order of a run's life.
const (
	PlannedBeforeCommit Name = "planned-before-commit" // a slice is written, not committed
	PlannedAfterCommit  Name = "planned-after-commit"  // a slice is committed
	Rung                Name = "rung"                  // a task was offered to asynq
	Prepared            Name = "prepared"              // a call is prepared, nothing is claimed
	ClaimBeforeCommit   Name = "claim-before-commit"   // about to claim
	ClaimAnswer         Name = "claim-answer"          // claimed; an error here is an answer that was lost
	Claimed             Name = "claimed"               // claimed, not checked
	Checked             Name = "checked"               // checked, permits are out
	Opened              Name = "opened"                // addresses are in the call, the deadline is not yet asked
	Allowed             Name = "allowed"               // the deadline was asked, nothing is written
	Sent                Name = "sent"                  // the provider has answered
	SettleBeforeCommit  Name = "settle-before-commit"  // about to settle
	SettleAnswer        Name = "settle-answer"         // settled; an error here is an answer that was lost
	Settled             Name = "settled"               // settled, and known to be
	Released            Name = "released"              // a claim was given back
	Swept               Name = "swept"                 // a lost worker's claim was swept
	WishBeforeCommit    Name = "wish-before-commit"    // an unsubscribe is written, not committed
	WishCommitted       Name = "wish-committed"        // it is committed, its acknowledgement has not begun to wait
	Acknowledged        Name = "acknowledged"          // the wait is over, the answer is not yet given
	EventBeforeCommit   Name = "event-before-commit"   // opens, clicks and webhooks are about to be written
	RunFinishing        Name = "run-finishing"         // about to end the runs that are done

	Clock Name = "clock" // the wall clock is read; it can be shifted, and nothing else
)

// All lists every point.
var All = []Name{
	PlannedBeforeCommit, PlannedAfterCommit, Rung, Prepared, ClaimBeforeCommit, ClaimAnswer, Claimed, Checked, Opened, Allowed, Sent,
	SettleBeforeCommit, SettleAnswer, Settled, Released, Swept, WishBeforeCommit, WishCommitted, Acknowledged,
	EventBeforeCommit, RunFinishing, Clock,
}
