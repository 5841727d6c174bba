package main

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"utskick/dispatcher"
	"utskick/suppression"
)

// metrics is what /metrics shows: the process, and the last audit.
func metrics(auditor *dispatcher.Auditor, held func() float64, standing func() suppression.Standing, hooks prometheus.Collector) *prometheus.Registry {
	r := prometheus.NewRegistry()
	for _, g := range []struct {
		name, help string
		of         func(suppression.Standing) float64
	}{
		{"utskick_spool_records", "What this process has acknowledged, or is about to, and the database has not got.",
			func(s suppression.Standing) float64 { return float64(s.Kept) }},
		{"utskick_lease_held", "1 while this process holds its lease. At 0 for more than some seconds, nothing is sent by anybody.",
			func(s suppression.Standing) float64 { return oneIf(s.Joined && !s.Away) }},
	} {
		r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: g.name, Help: g.help}, func() float64 { return g.of(standing()) }))
	}
	r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "utskick_sending_held",
		Help: "1 while all sending is held, because the database was restored or failed over."}, held))
	r.MustRegister(hooks)
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), audits{auditor})
	return r
}

func oneIf(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

// audits shows the last audit as metrics. Until one has ended there are none: no
// figure is not the figure 0.
type audits struct{ *dispatcher.Auditor }

var (
	breaches = prometheus.NewDesc("utskick_breaches",
		"What breaks a promise, recomputed from the whole ledger. Anything but 0 is an alarm.", []string{"promise", "name"}, nil)
	audited   = prometheus.NewDesc("utskick_audit_timestamp_seconds", "When the breaches were last recomputed.", nil, nil)
	auditTook = prometheus.NewDesc("utskick_audit_duration_seconds", "How long that took.", nil, nil)
)

// Describe is for [prometheus.Collector].
func (a audits) Describe(to chan<- *prometheus.Desc) {
	to <- breaches
	to <- audited
	to <- auditTook
}

// Collect is for [prometheus.Collector].
func (a audits) Collect(to chan<- prometheus.Metric) {
	last := a.Last()
	if last.At.IsZero() {
		return
	}
	for _, b := range last.Breaches {
		to <- prometheus.MustNewConstMetric(breaches, prometheus.GaugeValue, float64(b.Count), b.Promise, b.Name)
	}
	to <- prometheus.MustNewConstMetric(audited, prometheus.GaugeValue, float64(last.At.UnixMilli())/1000)
	to <- prometheus.MustNewConstMetric(auditTook, prometheus.GaugeValue, last.Took.Seconds())
}
