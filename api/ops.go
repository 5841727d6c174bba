package api

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"

	"utskick/audience"
	"utskick/dispatcher"
)

// mostShown is how many campaigns the pages show, the newest first. The API
// lists all.
const mostShown = 50

// refreshEvery is how often a page of a run that goes on loads itself again.
const refreshEvery = 5 // seconds

// campaignLine is a campaign as the pages show it.
type campaignLine struct {
	dispatcher.Campaign
	Run      *dispatcher.Run
	Channels []dispatcher.ChannelReport
	// Wrong says which sums of the report do not meet. It never should.
	Wrong string
}

// buttons are what may be done to a run now.
type buttons struct {
	Name, CSRF string
	Actions    []string
}

// Buttons returns the buttons of the campaign for a session with this token.
func (c campaignLine) Buttons(csrf string) buttons {
	b := buttons{Name: c.Name, CSRF: csrf}
	if c.Run != nil {
		b.Actions = actionsOf[c.Run.State]
	}
	return b
}

var actionsOf = map[dispatcher.RunState][]string{
	dispatcher.Scheduled: {"cancel"},
	dispatcher.Sending:   {"pause", "cancel"},
	dispatcher.Paused:    {"resume", "cancel"},
}

func (o *operator) registerOps() {
	o.routes.HandleFunc("GET /ops", o.showOps)
	o.routes.HandleFunc("GET /ops/campaigns/{name}", o.showCampaign)
	o.routes.HandleFunc("POST /ops/campaigns/{name}/{action}", o.act)
	o.routes.HandleFunc("POST /ops/holds/{channel}/release", o.actOnHold)
}

// campaignLines returns the newest campaigns with their runs.
func (o *operator) campaignLines(ctx context.Context) ([]campaignLine, error) {
	campaigns, err := o.c.Store.Campaigns(ctx)
	if err != nil {
		return nil, err
	}
	lines := make([]campaignLine, min(len(campaigns), mostShown))
	for i := range lines {
		lines[i].Campaign = campaigns[i]
		if err := o.addRun(ctx, &lines[i], o.c.Store.Progress); err != nil {
			return nil, err
		}
	}
	return lines, nil
}

// addRun fills in the newest run and its report, if there is a run.
func (o *operator) addRun(ctx context.Context, line *campaignLine, report func(context.Context, string) (dispatcher.Report, error)) error {
	run, err := o.c.Store.LatestRun(ctx, line.Name)
	if errors.Is(err, o.c.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	r, err := report(ctx, line.Name)
	if err != nil {
		return err
	}
	line.Run, line.Channels = &run, r.Channels
	if err := r.Reconcile(); err != nil {
		o.c.Log.Error("a report does not add up", "error", err)
		line.Wrong = err.Error()
	}
	return nil
}

func (o *operator) showOps(w http.ResponseWriter, r *http.Request) {
	lines, err := o.campaignLines(r.Context())
	if err != nil {
		o.pageFailed(w, r, noRun, err)
		return
	}
	held, err := o.c.Store.ChannelHolds(r.Context())
	if err != nil {
		o.pageFailed(w, r, "hold", err)
		return
	}
	f := o.frame(r, "Campaigns")
	f.Refresh = refreshFor(r, lines...)
	o.pages.write(w, http.StatusOK, "ops", struct {
		frame
		Holds     []dispatcher.ChannelHold
		Campaigns []campaignLine
	}{f, held, lines})
}

// refreshFor lets a page load itself again while something goes on, unless the
// reader has asked for rest.
func refreshFor(r *http.Request, lines ...campaignLine) int {
	going := func(c campaignLine) bool { return c.Run != nil && !c.Run.State.Ended() }
	if r.URL.Query().Get("refresh") == "off" || !slices.ContainsFunc(lines, going) {
		return 0
	}
	return refreshEvery
}

// causeLine is how many members of a channel have a code for a cause.
type causeLine struct {
	Channel, Code, Cause string
	Members              int64
}

func causeLines(channels []dispatcher.ChannelReport) (lines []causeLine) {
	for _, ch := range channels {
		lines = append(lines, linesOf(ch.Channel, ch.Causes)...)
	}
	return lines
}

// machineLines are the same of events and why they are machines'.
func machineLines(channels []dispatcher.ChannelReport) (lines []causeLine) {
	for _, ch := range channels {
		lines = append(lines, linesOf(ch.Channel, ch.Machines)...)
	}
	return lines
}

func linesOf(channel audience.Channel, counts map[string]map[string]int64) (lines []causeLine) {
	for _, code := range slices.Sorted(maps.Keys(counts)) {
		for _, cause := range slices.Sorted(maps.Keys(counts[code])) {
			lines = append(lines, causeLine{string(channel), code, cause, counts[code][cause]})
		}
	}
	return lines
}

func (o *operator) showCampaign(w http.ResponseWriter, r *http.Request) {
	c, err := o.c.Store.CampaignByName(r.Context(), r.PathValue("name"))
	if err != nil {
		o.pageFailed(w, r, noRun, err)
		return
	}
	line := campaignLine{Campaign: c}
	if err := o.addRun(r.Context(), &line, o.c.Store.Report); err != nil {
		o.pageFailed(w, r, noRun, err)
		return
	}
	f := o.frame(r, c.Name)
	f.Refresh = refreshFor(r, line)
	o.pages.write(w, http.StatusOK, "campaign", struct {
		frame
		campaignLine
		Causes, Machines []causeLine
	}{f, line, causeLines(line.Channels), machineLines(line.Channels)})
}

// act does what a button says and goes back to the campaign.
func (o *operator) act(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	do := map[string]func() (dispatcher.Run, error){
		"pause":  func() (dispatcher.Run, error) { return o.c.Store.Pause(r.Context(), name, pausedByHand) },
		"resume": func() (dispatcher.Run, error) { return o.c.Store.Resume(r.Context(), name) },
		"cancel": func() (dispatcher.Run, error) { return o.c.Store.Cancel(r.Context(), name) },
	}[r.PathValue("action")]
	if do == nil {
		o.pageFailed(w, r, "such button", o.c.NotFound)
		return
	}
	run, err := do()
	if err != nil {
		o.pageFailed(w, r, noRun, err)
		return
	}
	o.audit(r.Context(), "campaign."+r.PathValue("action"), name, fmt.Sprintf("run %d", run.ID))
	http.Redirect(w, r, "/ops/campaigns/"+url.PathEscape(name), http.StatusSeeOther)
}

// actOnHold releases a channel and goes back to the page that showed its hold.
func (o *operator) actOnHold(w http.ResponseWriter, r *http.Request) {
	channel := r.PathValue("channel")
	if err := o.c.Store.ReleaseChannel(r.Context(), audience.Channel(channel)); err != nil {
		o.pageFailed(w, r, "hold of this channel", err)
		return
	}
	o.audit(r.Context(), "hold.release", channel, "")
	http.Redirect(w, r, "/ops", http.StatusSeeOther)
}
