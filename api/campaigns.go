package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"utskick/audience"
	"utskick/dispatcher"
)

const campaignsTag = "Campaigns"

type campaignPath struct {
	Name string `path:"name" doc:"Name of the campaign"`
}

// campaignFields is what a new campaign is made from.
type campaignFields struct {
	Name     string         `json:"name" minLength:"1" maxLength:"200" doc:"Unique name"`
	Sender   string         `json:"sender" minLength:"1" doc:"Name of a saved sender"`
	Topic    string         `json:"topic" pattern:"^[a-z0-9][a-z0-9-]{0,39}$" doc:"What the message is about, such as newsletter or offer; people can object to a topic"`
	Family   string         `json:"family,omitempty" pattern:"^[a-z0-9][a-z0-9_-]{0,62}$" doc:"Product family that it is about: soft opt-in for another one is no ground for it"`
	Targeted bool           `json:"targeted,omitempty" doc:"What it says, or to whom, is chosen by what is known of people: whoever objects to profiling is left out"`
	Channels []channelField `json:"channels" minItems:"1" maxItems:"3"`
}

type channelField struct {
	Channel  audience.Channel `json:"channel" enum:"email,sms,push"`
	Template string           `json:"template" minLength:"1" doc:"Name of a saved template; its newest version at launch is sent"`
}

// campaignView is a campaign with its newest run.
type campaignView struct {
	dispatcher.Campaign
	Run *dispatcher.Run `json:"run,omitempty" doc:"Absent until the campaign is launched"`
}

func (o *operator) registerCampaigns() {
	huma.Register(o.api, operation(http.MethodGet, "/v1/campaigns", "list-campaigns", campaignsTag, "List campaigns", "The newest first."), o.listCampaigns)
	create := operation(http.MethodPost, "/v1/campaigns", "create-campaign", campaignsTag, "Create a campaign", "Nothing is sent before it is launched.")
	create.DefaultStatus = http.StatusCreated
	huma.Register(o.api, create, o.createCampaign)
	huma.Register(o.api, operation(http.MethodGet, "/v1/campaigns/{name}", "get-campaign", campaignsTag, "Show a campaign and its run", ""), o.getCampaign)
	huma.Register(o.api, operation(http.MethodPost, "/v1/campaigns/{name}/launch", "launch-campaign", campaignsTag, "Launch a campaign",
		"Makes its run, with the newest version of each template. A campaign is launched once; one whose run was cancelled may be launched again."), o.launchCampaign)
	huma.Register(o.api, operation(http.MethodPost, "/v1/campaigns/{name}/pause", "pause-campaign", campaignsTag, "Pause a run",
		"Calls that were begun end within seconds, and no new one begins."), o.pauseCampaign)
	huma.Register(o.api, operation(http.MethodPost, "/v1/campaigns/{name}/edit", "edit-campaign", campaignsTag, "Change what a paused run says, or until when",
		"Also of a run that has not begun. Who is in its audience never changes; what was sent stays as it was."), o.editCampaign)
	huma.Register(o.api, operation(http.MethodPost, "/v1/campaigns/{name}/resume", "resume-campaign", campaignsTag, "Let a paused run go on", ""), o.resumeCampaign)
	huma.Register(o.api, operation(http.MethodPost, "/v1/campaigns/{name}/cancel", "cancel-campaign", campaignsTag, "Cancel a run",
		"Whoever has no outcome yet is skipped. What was sent cannot be called back."), o.cancelCampaign)
	huma.Register(o.api, operation(http.MethodPost, "/v1/campaigns/{name}/resend", "resend-in-doubt", campaignsTag, "Send again to those in doubt",
		"Whoever did get the message gets it twice. A run that has ended goes on for them. They are counted as resent."), o.resend)
	huma.Register(o.api, operation(http.MethodPost, "/v1/campaigns/{name}/write-off", "write-off-in-doubt", campaignsTag, "Give up on those in doubt",
		"They have failed, written_off."), o.writeOff)
	huma.Register(o.api, operation(http.MethodGet, "/v1/campaigns/{name}/report", "campaign-report", campaignsTag, "Show what became of everybody in the audience",
		"At every moment audience = duplicates + sent + suppressed + failed + in_doubt + skipped + pending."), o.campaignReport)
}

func (o *operator) listCampaigns(ctx context.Context, _ *struct{}) (*struct{ Body []dispatcher.Campaign }, error) {
	campaigns, err := o.c.Store.Campaigns(ctx)
	if err != nil {
		return nil, o.failed("campaign", err)
	}
	if campaigns == nil {
		campaigns = []dispatcher.Campaign{}
	}
	return &struct{ Body []dispatcher.Campaign }{campaigns}, nil
}

func (o *operator) createCampaign(ctx context.Context, in *struct{ Body campaignFields }) (*struct{ Body dispatcher.Campaign }, error) {
	c := dispatcher.Campaign{Name: in.Body.Name, Sender: in.Body.Sender, Topic: in.Body.Topic, Family: in.Body.Family, Targeted: in.Body.Targeted}
	for _, ch := range in.Body.Channels {
		c.Channels = append(c.Channels, dispatcher.CampaignChannel{Channel: ch.Channel, Template: ch.Template})
	}
	violations, err := o.checkCampaign(ctx, c)
	if err != nil {
		return nil, o.failed("campaign", err)
	}
	if len(violations) > 0 {
		return nil, invalid(violations...)
	}
	if c, err = o.c.Store.CreateCampaign(ctx, c); err != nil {
		return nil, o.failed("campaign", err)
	}
	o.audit(ctx, "campaign.create", c.Name, "")
	return &struct{ Body dispatcher.Campaign }{c}, nil
}

// checkCampaign looks at what a campaign refers to. Its error is the store's.
func (o *operator) checkCampaign(ctx context.Context, c dispatcher.Campaign) (violations []Violation, err error) {
	_, err = o.c.Store.SenderByName(ctx, c.Sender)
	if errors.Is(err, o.c.NotFound) {
		violations = append(violations, Violation{Field: "body.sender", Rule: "there is no such sender; save it first"})
	} else if err != nil {
		return nil, err
	}
	seen := map[audience.Channel]bool{}
	for i, ch := range c.Channels {
		at := fmt.Sprintf("body.channels[%d]", i)
		if seen[ch.Channel] {
			violations = append(violations, Violation{Field: at + ".channel", Rule: "is named twice"})
		}
		seen[ch.Channel] = true
		t, err := o.c.Store.TemplateByName(ctx, ch.Template)
		switch {
		case errors.Is(err, o.c.NotFound):
			violations = append(violations, Violation{Field: at + ".template", Rule: "there is no such template; save it first"})
		case err != nil:
			return nil, err
		case t.Channel != ch.Channel:
			violations = append(violations, Violation{Field: at + ".template", Rule: "is a template for " + string(t.Channel)})
		}
	}
	return violations, nil
}

func (o *operator) getCampaign(ctx context.Context, in *campaignPath) (*struct{ Body campaignView }, error) {
	c, err := o.c.Store.CampaignByName(ctx, in.Name)
	if err != nil {
		return nil, o.failed("campaign with this name", err)
	}
	view := campaignView{Campaign: c}
	run, err := o.c.Store.LatestRun(ctx, in.Name)
	switch {
	case err == nil:
		view.Run = &run
	case !errors.Is(err, o.c.NotFound):
		return nil, o.failed("campaign", err)
	}
	return &struct{ Body campaignView }{view}, nil
}

type launchFields struct {
	Due    time.Time `json:"due_at,omitzero" doc:"When to begin; absent: now"`
	SendBy time.Time `json:"send_by,omitzero" doc:"When to begin no send any more; absent: 24 hours after due_at"`
}

type runAnswer struct{ Body dispatcher.Run }

func (o *operator) launchCampaign(ctx context.Context, in *struct {
	Name string        `path:"name" doc:"Name of the campaign"`
	Body *launchFields `required:"false"`
}) (*runAnswer, error) {
	var launch dispatcher.Launch
	if in.Body != nil {
		launch = dispatcher.Launch{Due: in.Body.Due, SendBy: in.Body.SendBy}
	}
	if err := o.canSend(ctx, in.Name); err != nil {
		return nil, err
	}
	run, err := o.c.Store.LaunchRun(ctx, in.Name, launch)
	return o.changed(ctx, "launch", in.Name, run, err)
}

// canSend refuses a campaign over a channel that nothing is configured for.
func (o *operator) canSend(ctx context.Context, campaign string) error {
	c, err := o.c.Store.CampaignByName(ctx, campaign)
	if err != nil {
		return o.failed("campaign with this name", err)
	}
	for _, ch := range c.Channels {
		if o.c.Channels != nil && !slices.Contains(o.c.Channels, ch.Channel) {
			return newProblem(http.StatusConflict, fmt.Sprintf("the campaign goes over %s, and UTSKICK_%s names no provider for it",
				ch.Channel, strings.ToUpper(string(ch.Channel))))
		}
	}
	return nil
}

type pauseFields struct {
	Reason string `json:"reason,omitempty" maxLength:"200" doc:"Shown with the run"`
}

func (o *operator) pauseCampaign(ctx context.Context, in *struct {
	Name string       `path:"name" doc:"Name of the campaign"`
	Body *pauseFields `required:"false"`
}) (*runAnswer, error) {
	reason := pausedByHand
	if in.Body != nil && in.Body.Reason != "" {
		reason = in.Body.Reason
	}
	run, err := o.c.Store.Pause(ctx, in.Name, reason)
	return o.changed(ctx, "pause", in.Name, run, err)
}

// noRun is what there is none of when a campaign is not known, or not launched.
const noRun = "campaign with this name, or no run of it"

const pausedByHand = "paused by an operator"

type editFields struct {
	Channels []channelField `json:"channels,omitempty" maxItems:"3" doc:"Templates to go on with; a channel that is not named keeps its version"`
	Due      time.Time      `json:"due_at,omitzero" doc:"When to begin; only of a run that has not begun"`
	SendBy   time.Time      `json:"send_by,omitzero" doc:"When to begin no send any more"`
}

func (o *operator) editCampaign(ctx context.Context, in *struct {
	Name string `path:"name" doc:"Name of the campaign"`
	Body editFields
}) (*runAnswer, error) {
	edit := dispatcher.Edit{Due: in.Body.Due, SendBy: in.Body.SendBy}
	for _, ch := range in.Body.Channels {
		edit.Channels = append(edit.Channels, dispatcher.CampaignChannel{Channel: ch.Channel, Template: ch.Template})
	}
	if edit.IsZero() {
		return nil, invalid(Violation{Field: "body", Rule: dispatcher.ErrNoEdit.Error()})
	}
	run, err := o.c.Store.EditRun(ctx, in.Name, edit)
	return o.changed(ctx, "edit", in.Name, run, err)
}

func (o *operator) resumeCampaign(ctx context.Context, in *campaignPath) (*runAnswer, error) {
	run, err := o.c.Store.Resume(ctx, in.Name)
	return o.changed(ctx, "resume", in.Name, run, err)
}

func (o *operator) cancelCampaign(ctx context.Context, in *campaignPath) (*runAnswer, error) {
	run, err := o.c.Store.Cancel(ctx, in.Name)
	return o.changed(ctx, "cancel", in.Name, run, err)
}

type resolvedAnswer struct{ Body dispatcher.Resolved }

func (o *operator) resend(ctx context.Context, in *campaignPath) (*resolvedAnswer, error) {
	run, n, err := o.c.Store.Resend(ctx, in.Name)
	return o.resolved(ctx, "resend", in.Name, run, n, err)
}

func (o *operator) writeOff(ctx context.Context, in *campaignPath) (*resolvedAnswer, error) {
	run, n, err := o.c.Store.WriteOff(ctx, in.Name)
	return o.resolved(ctx, "write-off", in.Name, run, n, err)
}

// resolved answers for a decision on those in doubt, and records it.
func (o *operator) resolved(ctx context.Context, action, campaign string, run dispatcher.Run, n int64, err error) (*resolvedAnswer, error) {
	if err != nil {
		return nil, o.failed(noRun, err)
	}
	o.audit(ctx, "campaign."+action, campaign, fmt.Sprintf("run %d: %d", run.ID, n))
	return &resolvedAnswer{dispatcher.Resolved{Run: run, Members: n}}, nil
}

// changed answers for a change of a run, and records it.
func (o *operator) changed(ctx context.Context, action, campaign string, run dispatcher.Run, err error) (*runAnswer, error) {
	if err != nil {
		return nil, o.failed(noRun, err)
	}
	o.audit(ctx, "campaign."+action, campaign, fmt.Sprintf("run %d", run.ID))
	return &runAnswer{run}, nil
}

func (o *operator) campaignReport(ctx context.Context, in *campaignPath) (*struct{ Body dispatcher.Report }, error) {
	report, err := o.c.Store.Report(ctx, in.Name)
	if err != nil {
		return nil, o.failed(noRun, err)
	}
	return &struct{ Body dispatcher.Report }{report}, nil
}
