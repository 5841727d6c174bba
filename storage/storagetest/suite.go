// Package storagetest is the suite that the store passes on every engine: what
// the rest of the program relies on, whichever database is below.
package storagetest

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"utskick/audience"
	"utskick/dispatcher"
	"utskick/storage"
	"utskick/suppression"
	"utskick/templates"
)

// Engine opens fresh databases of one kind.
type Engine struct {
	Name string
	// Config returns the place of a new, empty database.
	Config func(t testing.TB) storage.Config
}

// Run runs the whole suite.
func Run(t *testing.T, e Engine) {
	for _, c := range []struct {
		name string
		test func(*testing.T, *Env)
	}{
		{"contacts are created, updated and left alone", contactsUpsert},
		{"keys of earlier addresses are remembered", earlierKeys},
		{"consents give a basis, and let opens be tied to a person", consents},
		{"a person's wish covers every key", wishCoversPerson},
		{"a wish at an address binds whoever comes with it later", olderWishesBind},
		{"what is about one address, has ended or was lifted binds nobody", addressesBindNobody},
		{"a subscriber's wish binds the customer that she becomes", subscribersBind},
		{"a wish against tracking ends the grant", trackingWithdrawn},
		{"soft opt-in is a basis with what it rests on", softOptIn},
		{"a targeted campaign heeds objections to profiling", targeted},
		{"consents and refusals of tracking hold towards their senders", consentsBySender},
		{"opens and clicks after a withdrawal are dropped", dropped},
		{"versions have no gaps", versionsWithoutGaps},
		{"entries match within their scope only", matchingScope},
		{"a wish is not shortened by repeating it", wishesAreNotShortened},
		{"lifting one cause leaves the others", liftingOneCause},
		{"what was done in a visit is undone", visitsAreUndone},
		{"undoing a visit leaves what others did", undoingLeavesOthers},
		{"undoing a visit brings nothing back that was lifted", undoingWhatWasLiftedMeanwhile},
		{"consents come back with the visit that withdrew them", consentsComeBack},
		{"a refusal binds where nobody was asked", refusalsBind},
		{"every change of a wish is kept", changesAreKept},
		{"messages know where they come from", whereMessagesComeFrom},
		{"a device that the app is gone from is retired", retiring},
		{"open claims are found by key range", claimsInFlight},
		{"a run is planned once, everybody in one place", planning},
		{"locales find the longest tag of the template", languagesByLocale},
		{"an ended run's batches are rung for whoever can close them", ringEnded},
		{"a ring by a clock that was ahead is none", ringsInTheFuture},
		{"the closing slice adds whoever moved", closingSlice},
		{"a batch is claimed once", claimOnce},
		{"a run that is not sending or was edited is not claimed", claimNeedsRun},
		{"settling counts and closes", settling},
		{"moved members go on in another batch", movedMembers},
		{"a refused call is halved down to the one it is refused for", poisonOfOne},
		{"a refused call is halved down to two", poisonInEachHalf},
		{"a call that is too large is halved", tooLarge},
		{"a call that is refused in all its parts fails nobody", refusedThroughout},
		{"a channel is held until an operator releases it", heldChannel},
		{"a run is cancelled while its channel is held", cancelledWhileHeld},
		{"a paused run is edited, and whoever is left gets the new content", editingAPause},
		{"an edit that does not fit is refused", editsThatDoNotFit},
		{"a mail domain with a limit is sent to at its pace", domainsHaveLanes},
		{"a swept claim is in doubt, and late evidence is taken", sweeping},
		{"cancelling skips the rest", cancelling},
		{"a campaign is launched once", launchOnce},
		{"events are counted once", eventsOnce},
		{"opens and clicks are told from machines'", machinesAreTold},
		{"who made a request is forgotten after some days", requestersAreForgotten},
		{"an event and a settlement at the same moment leave nobody in doubt", evidenceMeanwhile},
		{"what a webhook says suppresses once, and not again after it was lifted", noticesSuppressOnce},
		{"a complaint covers the person, a bounce the address", noticesCover},
		{"messages in a row that were not delivered suppress", noticesCount},
		{"a notice told again waits for claims like the first", noticesWait},
		{"a look-up has the effect that the webhook would have", lookUpsHaveEffects},
		{"a stop holds for the person, once, and a start ends what it began", repliesStopAndStart},
		{"a stop told again waits for claims like the first", repliesWait},
		{"a topic for subscribers is sent to nobody else", subscribersAlone},
		{"an address gets three confirmations a day", confirmationsAreFew},
		{"who asks at the same moment as another has her mail, too", askedAtOnce},
		{"a confirmation is called once, and sent at most once", confirmationsOnce},
		{"a link confirms once, within its time", confirmingOnce},
		{"a subscription lifts what stands against it, and nothing else", subscribingLifts},
		{"a return lifts a person's own words against mail alone", returning},
		{"a contact made of a subscriber yields to the retailer's", yielding},
		{"a return is to one sender, and not to those that come later", returnsAreToOne},
		{"what is not clear waits for somebody who reads it", repliesUnclear},
		{"a case is kept with every step", casesAreKept},
		{"cases are listed by state, day, route and kind", casesAreListed},
		{"of two who end a case, one does", casesChangeSideBySide},
		{"reports outlive who opened and clicked", reportsOutliveEvents},
		{"sums outlive whom they are of", sumsOutliveMembers},
		{"retention stops and goes on", retentionIsResumed},
		{"retention of cases, answers, consents and evidence", retentionOfTheRest},
		{"a restriction in force keeps its case", restrictionsKeepTheirCases},
		{"retention is one process's turn", retentionTakesTurns},
		{"the officer's report has its facts", complianceFacts},
		{"what comes back by mail is taken once", mailOnce},
		{"mail told again waits for claims like the first", mailWaits},
		{"doubt is final after 72 hours", doubtIsFinal},
		{"a look-up resolves doubt, or asks again", lookingUp},
		{"who cannot be asked for stays in doubt", lookingForNobody},
		{"new doubt has a look-up of its own", newDoubtMeanwhile},
		{"several workers look up side by side", lookingSideBySide},
		{"those in doubt are written off", writingOff},
		{"those in doubt are sent to again", resending},
		{"nobody is sent to again in a run that was cancelled", resendingToNobody},
		{"the auditor finds who was sent to after an objection", auditing},
		{"the auditor is not misled by what is said or lifted since", auditingChanges},
		{"the auditor finds what a lost worker did", auditingLost},
		{"versions of a privacy notice are not exchanged", privacyNoticesStay},
		{"what was said is kept with the privacy notice in force", noticesInForce},
		{"what was said to all senders is kept with the privacy notices of each", noticesOfAll},
		{"what is undone leaves the privacy notice of before", undoneNotices},
		{"the first message under a privacy notice is told from the others", firstUnderNotice},
		{"soft opt-in counts towards senders to whom there is a relation", relations},
		{"history tells ruling, version and events", historyTells},
		{"messages keep their provider's ids", messagesKeepTheirIDs},
		{"people are found by what they have or had", peopleAreFound},
		{"history has pages", historyHasPages},
		{"history finds members in every slice", historyFindsSlices},
		{"a message is found by its id alone", messagesAreFound},
		{"what a person said is read back", personsAnswersAreKept},
		{"API keys are found by hash until revoked", apiKeys},
		{"templates keep their versions", templateVersions},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, Open(t, e)) })
	}
	t.Run("a snapshot of the suppressions", func(t *testing.T) { snapshots(t, e) })
	t.Run("a webhook before the outcome is not lost", func(t *testing.T) { evidenceFirst(t, e) })
	t.Run("webhooks resolve doubt, repeated and shuffled", func(t *testing.T) { evidenceLater(t, e) })
	t.Run("a look-up takes no message of another run", func(t *testing.T) { lookingPastOthers(t, e) })
	t.Run("leases", func(t *testing.T) { leases(t, e) })
	t.Run("a database that was restored", func(t *testing.T) { restores(t, e) })
	t.Run("what people may ask for", func(t *testing.T) { peoplesRights(t, e) })
	t.Run("steps in any order", func(t *testing.T) { property(t, e) })
	t.Run("another pepper is refused", func(t *testing.T) { otherPepper(t, e) })
	t.Run("a database that was not migrated is refused", func(t *testing.T) { notMigrated(t, e) })
}

// Env is a store on a fresh database, and the clock it reads.
type Env struct {
	*storage.Store
	t     testing.TB
	Keyer *audience.Keyer
	Now   time.Time
}

// Pepper is the one that the suite uses.
var Pepper = bytes.Repeat([]byte("pepper"), 8)

// Open migrates and opens a fresh database.
func Open(t testing.TB, e Engine) *Env {
	t.Helper()
	env := &Env{t: t, Now: time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)}
	var err error
	if env.Keyer, err = audience.NewKeyer(Pepper); err != nil {
		t.Fatal(err)
	}
	c := e.Config(t)
	c.Keyer, c.Now = env.Keyer, func() time.Time { return env.Now }
	if err := storage.Migrate(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if env.Store, err = storage.Open(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := env.Close(); err != nil {
			t.Error(err)
		}
	})
	return env
}

func (e *Env) ctx() context.Context { return e.t.Context() }

func (e *Env) must(err error) {
	e.t.Helper()
	if err != nil {
		e.t.Fatal(err)
	}
}

// all is every field of a contact.
const all = audience.FieldEmail | audience.FieldPhone | audience.FieldDevices | audience.FieldLocale | audience.FieldTimeZone |
	audience.FieldFirstName | audience.FieldLastName | audience.FieldBasis | audience.FieldBasisEvidence | audience.FieldSale | audience.FieldOffered | audience.FieldFamily

// contact is a contact with a legal basis and an e-mail address.
func contact(id, email string) audience.Contact {
	return audience.Contact{ExternalID: id, Email: email, Locale: "sv-SE", Basis: audience.Consent, BasisEvidence: "form"}
}

func (e *Env) save(contacts ...audience.Contact) audience.Saved {
	e.t.Helper()
	rows := make([]audience.Row, len(contacts))
	for i, c := range contacts {
		rows[i] = audience.Row{Contact: c, Set: all}
	}
	saved, err := e.SaveContacts(e.ctx(), rows)
	e.must(err)
	return saved
}

func (e *Env) email(address string) audience.Key { return e.Keyer.Key(audience.KindEmail, address) }

// mails saves n contacts with an e-mail address each.
func (e *Env) mails(n int) {
	e.t.Helper()
	var page []audience.Contact
	for i := range n {
		page = append(page, contact(fmt.Sprintf("c%d", i), address(i)))
		if len(page) == 1000 || i == n-1 {
			e.save(page...)
			page = nil
		}
	}
}

func address(i int) string { return fmt.Sprintf("c%d@example.com", i) }

const campaign = "Höst"

// library saves a sender, a template a channel, and a campaign over the
// channels.
func (e *Env) library(channels ...audience.Channel) {
	e.t.Helper()
	e.must(e.SaveSender(e.ctx(), templates.Sender{Name: "exempelbolaget", FromName: "Exempelbolaget", FromEmail: "nyheter@exempelbolaget.test",
		PostalAddress: "Exempelgatan 1, 111 11 Exempelstad", Site: "https://www.exempelbolaget.test"}))
	c := dispatcher.Campaign{Name: campaign, Sender: "exempelbolaget", Topic: "newsletter"}
	for _, ch := range channels {
		name := "host-" + string(ch)
		_, err := e.SaveTemplate(e.ctx(), templates.Template{Name: name, Channel: ch, Default: "sv",
			Contents: map[string]templates.Content{"sv": {Subject: "Hej", HTML: "<p>Hej</p>", Text: "Hej"}, "en": {Subject: "Hi", HTML: "<p>Hi</p>", Text: "Hi"}}},
			[]string{"https://www.exempelbolaget.test/a"})
		e.must(err)
		c.Channels = append(c.Channels, dispatcher.CampaignChannel{Channel: ch, Template: name})
	}
	_, err := e.CreateCampaign(e.ctx(), c)
	e.must(err)
}

// launch launches the campaign and starts its run.
func (e *Env) launch() dispatcher.Run {
	e.t.Helper()
	run, err := e.LaunchRun(e.ctx(), campaign, dispatcher.Launch{})
	e.must(err)
	n, err := e.StartDueRuns(e.ctx())
	e.must(err)
	if n != 1 {
		e.t.Fatalf("%d runs started, want 1", n)
	}
	return run
}

// plan plans every slice that is rung, until none is.
func (e *Env) plan() {
	e.t.Helper()
	for {
		refs, err := e.RingSlices(e.ctx(), 100)
		e.must(err)
		if len(refs) == 0 {
			_, err := e.FinishRuns(e.ctx())
			e.must(err)
			return
		}
		for _, r := range refs {
			e.must(e.PlanSlice(e.ctx(), r))
		}
	}
}

// batches rings for all batches of a channel that are ready and returns them.
func (e *Env) batches(ch audience.Channel) []dispatcher.Batch {
	e.t.Helper()
	refs, err := e.RingBatches(e.ctx(), ch, 1000)
	e.must(err)
	var out []dispatcher.Batch
	for _, r := range refs {
		b, err := e.Batch(e.ctx(), r.ID)
		e.must(err)
		out = append(out, b)
	}
	return out
}

// membersOf reads members in both ways that a store has, which must agree.
func (e *Env) membersOf(b dispatcher.Batch, n int) ([]dispatcher.Member, error) {
	e.t.Helper()
	members, err := e.Members(e.ctx(), b, n)
	if err != nil {
		return nil, err
	}
	b.Dense = !b.Dense
	others, err := e.Members(e.ctx(), b, n)
	if diff := cmp.Diff(members, others, cmp.AllowUnexported(suppression.Candidate{})); diff != "" {
		e.t.Errorf("members read one by one and as a range differ: %s", diff)
	}
	return members, err
}

// claimOf returns the claim of the first n members of a batch, and their keys.
func (e *Env) claimOf(b dispatcher.Batch, n int) (dispatcher.Claim, []audience.Key) {
	e.t.Helper()
	members, err := e.membersOf(b, n)
	e.must(err)
	if len(members) == 0 {
		e.t.Fatal("the batch has no unsettled members")
	}
	var ks []audience.Key
	for _, m := range members {
		ks = append(ks, m.Key)
	}
	return dispatcher.Claim{Batch: b.ID, Fence: b.Fence, Run: b.Run, Rev: b.Rev, Nonce: 1, Owner: "test", From: b.Last, Through: ks[len(ks)-1]}, ks
}

// settlementOf settles a claim with everybody sent.
func settlementOf(b dispatcher.Batch, c dispatcher.Claim, ks []audience.Key) dispatcher.Settlement {
	return dispatcher.Settlement{Batch: b.ID, Group: b.Group, Fence: c.Fence + 1, Members: len(ks), Through: c.Through, Version: 1}
}

// report returns the channel's report, reconciled.
func (e *Env) report(ch audience.Channel) dispatcher.ChannelReport {
	e.t.Helper()
	r, err := e.Report(e.ctx(), campaign)
	e.must(err)
	e.must(r.Reconcile())
	for _, c := range r.Channels {
		if c.Channel == ch {
			return c
		}
	}
	e.t.Fatalf("the report has no %s", ch)
	return dispatcher.ChannelReport{}
}

// objection is a wish of a whole person against marketing by e-mail.
func objection(k audience.Key) suppression.Wish { return suppression.Unsubscribe(k, audience.Email, 0) }

var marketing = suppression.Scope{Channel: audience.Email, Topic: "newsletter", Sender: "exempelbolaget", Purpose: suppression.Marketing}

func (e *Env) blocked(scope suppression.Scope, ks ...audience.Key) map[audience.Key]suppression.Cause {
	e.t.Helper()
	matches, _, err := e.Matching(e.ctx(), scope, ks)
	e.must(err)
	out := map[audience.Key]suppression.Cause{}
	for _, m := range matches {
		out[m.Key] = m.Cause
	}
	return out
}
