package api

import (
	"context"
	"net/http"
	"slices"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"utskick/rights"
)

// Officers is what the data protection officer is shown.
type Officers interface {
	// Facts returns what the database knows for the compliance report.
	Facts(ctx context.Context) (rights.Facts, error)
	// AuditLog returns up to limit rows with an id below before, the newest first;
	// 0 begins with the newest.
	AuditLog(ctx context.Context, before int64, limit int) ([]rights.Audited, error)
}

const complianceTag = "Compliance"

func (o *operator) registerCompliance() {
	huma.Register(o.api, operation(http.MethodGet, "/v1/compliance", "read-compliance", complianceTag, "Read the compliance report",
		"Each figure says in plain words what it is. What nobody has measured is null, and not 0."), o.getCompliance)
	huma.Register(o.api, operation(http.MethodGet, "/v1/audit", "read-audit-log", complianceTag, "Read the audit log", "The newest first; no addresses are in it."), o.getAudit)
	o.routes.HandleFunc("GET /ops/compliance", o.showCompliance)
	o.routes.HandleFunc("GET /ops/audit", o.showAudit)
}

func (o *operator) compliance(ctx context.Context) (rights.Compliance, rights.Facts, error) {
	facts, err := o.c.Store.Facts(ctx)
	if err != nil {
		return rights.Compliance{}, facts, err
	}
	spooled := int64(o.c.Intake.Standing().Kept)
	return rights.Report(facts, rights.Process{WebhooksRefused: o.webhooksRefused(), Spooled: &spooled}, o.c.Now()), facts, nil
}

// refusedWebhooks are the outcomes of webhooks that were not taken for what they
// are, and not for a failure of ours.
var refusedWebhooks = []string{"forged", "unreadable", "too_large"}

// webhooksRefused reads the counter that the process has.
func (o *operator) webhooksRefused() *int64 {
	if o.c.Metrics == nil {
		return nil
	}
	families, err := o.c.Metrics.Gather()
	if err != nil {
		return nil
	}
	var n int64
	for _, f := range families {
		if f.GetName() != hookMetric {
			continue
		}
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetName() == "outcome" && slices.Contains(refusedWebhooks, l.GetValue()) {
					n += int64(m.GetCounter().GetValue())
				}
			}
		}
	}
	return &n
}

func (o *operator) getCompliance(ctx context.Context, _ *struct{}) (*struct{ Body rights.Compliance }, error) {
	report, _, err := o.compliance(ctx)
	if err != nil {
		return nil, o.failed("report", err)
	}
	return &struct{ Body rights.Compliance }{report}, nil
}

func (o *operator) showCompliance(w http.ResponseWriter, r *http.Request) {
	report, facts, err := o.compliance(r.Context())
	if err != nil {
		o.pageFailed(w, r, "report", err)
		return
	}
	o.pages.write(w, http.StatusOK, "compliance", struct {
		frame
		rights.Compliance
		Forgotten []rights.Forgotten
	}{o.frame(r, "Compliance"), report, facts.Forgotten})
}

// auditAnswer is a page of the audit log.
type auditAnswer struct {
	Rows []rights.Audited `json:"rows"`
}

func (o *operator) getAudit(ctx context.Context, in *struct {
	Before int64 `query:"before" minimum:"0" doc:"Id of the last row of the page before"`
	Limit  int   `query:"limit" default:"100" minimum:"1" maximum:"1000"`
}) (*struct{ Body auditAnswer }, error) {
	found, err := o.c.Store.AuditLog(ctx, in.Before, in.Limit)
	if err != nil {
		return nil, o.failed("audit log", err)
	}
	if found == nil {
		found = []rights.Audited{}
	}
	return &struct{ Body auditAnswer }{auditAnswer{found}}, nil
}

const auditPage = 100

func (o *operator) showAudit(w http.ResponseWriter, r *http.Request) {
	before, _ := strconv.ParseInt(r.URL.Query().Get("before"), 10, 64) // anything else is the first page
	found, err := o.c.Store.AuditLog(r.Context(), max(before, 0), auditPage)
	if err != nil {
		o.pageFailed(w, r, "audit log", err)
		return
	}
	page := struct {
		frame
		Rows  []rights.Audited
		Older int64
	}{frame: o.frame(r, "Audit log"), Rows: found}
	if len(found) == auditPage {
		page.Older = found[len(found)-1].ID
	}
	o.pages.write(w, http.StatusOK, "audit", page)
}
