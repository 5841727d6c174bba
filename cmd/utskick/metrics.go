package main

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"utskick/dispatcher"
)

// metrics is what /metrics shows: the process, and the last audit.
func metrics(auditor *dispatcher.Auditor, held func() float64) *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "utskick_sending_held",
		Help: "1 while all sending is held, because the database was restored or failed over."}, held))
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), audits{auditor})
	return r
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
