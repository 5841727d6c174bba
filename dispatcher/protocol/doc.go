// Package protocol holds a model of the batch protocol and explores it to the
// end. It has tests alone: nothing of the program is in it, and nothing of it is
// in the program.
//
// The model says what two workers, an unsubscribing client, a sweep and an
// operator do, in the steps in which package dispatcher, suppression.Gate,
// suppression.Register and the statements of package storage do it. Every order
// of these steps is tried, and every fault between any two of them: a worker is
// killed, stands still for as long as it likes, loses its connection; a statement
// is executed though nobody hears of it, at any later time; the provider takes a
// message or not, and says so or not. A state in which a promise is broken fails
// the test, with the shortest way there in words. The shortcuts by which one
// could build the protocol wrongly are in the model, too, each behind a switch.
// Each must be found to break the promise that it is said to break.
//
// # What is checked
//
//   - P1: no send to a person is started after her unsubscribe was acknowledged.
//   - P2: the provider never takes two messages for one person.
//   - P3: where nothing can happen any more, everybody has one outcome, and the
//     provider's memory does not deny it; the counters sum. Somebody is in doubt
//     only if an answer was lost or a worker stood still for the whole watch. What
//     the ledger was told to be taken is sent, not in doubt. And from every
//     state, once faults stop, the run can end.
//   - P6, of pausing alone: no claim is committed while a run is paused.
//
// # What is left out, and why nothing is lost by it
//
//   - Fences are numbers that only rise and are only compared with their batch's.
//     The model keeps whether they are equal, and needs no bound on claims.
//   - The doorbell is not there. Any worker may take up any ready batch at any
//     time, which is more than what any loss, repetition and order of tasks makes
//     it do; a task with an old fence is put down without effect. Likewise
//     a retry may begin before its pause has passed.
//   - Time is in whole ticks of a second. The window ends with its last instant and
//     the waits end no sooner than with theirs, and for such bounds whole ticks show
//     every order of events that real time can (Henzinger, Manna and Pnueli, "What
//     good are digital clocks?", ICALP 1992). All clocks run alike; the second that an
//     acknowledgement waits beyond the window is there for those that do not. The
//     watch of the sweep is cut to the least that it may be.
//   - Frozen is a worker whose next step comes late. Every step may.
//   - Reading and rendering are one step: what changes between them changes the
//     fence or the run's revision, too, and the claim is refused.
//   - The batches of an expired run are closed like those of a cancelled one.
//   - Who dies on the client's side has acknowledged nothing: it is a client that
//     takes no further step.
//   - A call that is refused as a whole and halved goes on in batches that have
//     nothing to do with each other; the model has the batch that members move to,
//     one at a time.
//   - States that no later step can tell apart are one state. A test explores the
//     smallest model without this, and comes to the same ends.
//
// # Bounds
//
// Two workers, one or two people in one batch, one unsubscribe, and for each
// worker one statement at a time that it has left on its way. Faults, claims,
// retries and pauses are not bounded.
//
// # The honest limit
//
// In the model, a permit is asked and the first byte written in one step. The
// program cannot do that. The model with two steps breaks P1, and in no other
// way than by a send that starts after its permit's window.
package protocol
