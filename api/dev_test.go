package api

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/hibiken/asynq"
	"github.com/hibiken/asynqmon"

	"utskick/audience"
	"utskick/dispatcher"
	"utskick/tracking"
)

func TestDev(t *testing.T) {
	if os.Getenv("DEV") == "" {
		return
	}
	mr := miniredis.RunT(t)
	qh := asynqmon.New(asynqmon.Options{RootPath: "/ops/queues", RedisConnOpt: asynq.RedisClientOpt{Addr: mr.Addr()}, ReadOnly: true})
	asynq.NewClient(asynq.RedisClientOpt{Addr: mr.Addr()}).Enqueue(asynq.NewTask("x", nil), asynq.Queue("email"))
	s := newSite(t, func(c *Config) { c.Queues = qh })
	s.store.campaigns = []dispatcher.Campaign{{ID: 1, Name: "Höstens erbjudanden", Sender: "exempel", Topic: "offer"}, {ID: 2, Name: "Nästa", Sender: "exempel", Topic: "offer"}}
	s.store.runs["Höstens erbjudanden"] = dispatcher.Run{ID: 1, State: dispatcher.Sending, Due: begin, SendBy: begin.Add(time.Hour)}
	s.store.reports["Höstens erbjudanden"] = dispatcher.Report{Channels: []dispatcher.ChannelReport{{Channel: audience.Email, Audience: 100, Duplicates: 2, Sent: 80, Suppressed: 10, Skipped: 5, Pending: 3,
		Causes: map[string]map[string]int64{"suppressed": {"unsubscribed": 7, "objected": 3}, "skipped": {"no_address": 5}}, Opened: 4}}}
	s.store.groups[1] = audience.Email
	s.store.links[1] = "https://example.com/"
	key := s.keyer.Key(audience.KindEmail, "a@example.com")
	dir := s.server.operator.outbox.dir
	os.MkdirAll(filepath.Join(dir, "email"), 0o700)
	os.MkdirAll(filepath.Join(dir, "sms"), 0o700)
	u := "https://utskick.example.com/u/" + s.signer.Sign(tracking.Token{Purpose: tracking.Unsubscribe, Group: 1, Key: key})
	px := "https://utskick.example.com/o/" + s.signer.Sign(tracking.Token{Purpose: tracking.Open, Group: 1, Key: key}) + ".gif"
	cl := "https://utskick.example.com/c/" + s.signer.Sign(tracking.Token{Purpose: tracking.Click, Group: 1, Key: key, Link: 1})
	os.WriteFile(filepath.Join(dir, "email", "1.eml"), []byte("From: Exempelbolaget <a@exempelbolaget.test>\r\nTo: a@example.com\r\nSubject: =?utf-8?q?H=C3=B6st?=\r\nList-Unsubscribe: <"+u+">\r\nMIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary=xx\r\n\r\n--xx\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nHej! Läs mer: "+cl+"\r\nAvsluta: "+u+"\r\n--xx\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<!doctype html><html><head><style>p{color:green}</style></head><body><p style=\"font-size:30px\">Hej</p><a href=\""+cl+"\">Läs mer</a> <a href=\""+u+"\">Avsluta</a><img src=\""+px+"\"></body></html>\r\n--xx--\r\n"), 0o600)
	os.WriteFile(filepath.Join(dir, "sms", "2.json"), []byte(`{"to":"+46701740605","channel":"sms","group":12345678901,"key":"ab","text":"Hej, avsluta: `+u+`","at":"2026-01-01T00:00:00Z"}`), 0o600)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	os.WriteFile("/tmp/apiw/url", []byte(s.server.NewLoginLink()+"\n"+u+"\n"+s.admin), 0o600)
	s.now = time.Now()
	s.server.Serve(ctx, "127.0.0.1:18080", "127.0.0.1:18081", nil)
	t.Log(s.log.String())
}
