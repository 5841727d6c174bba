package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"utskick/audience"
	"utskick/dispatcher"
	"utskick/e2e/witness"
	"utskick/internal/failpoint"
)

// hooksKey is the key that the witness signs with as SendGrid.
type hooksKey struct {
	private []byte // PKCS 8
	public  string // as SendGrid shows it
}

func newHooksKey() (k hooksKey, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return k, err
	}
	public, errPublic := x509.MarshalPKIXPublicKey(&key.PublicKey)
	k.public = base64.StdEncoding.EncodeToString(public)
	k.private, err = x509.MarshalPKCS8PrivateKey(key)
	return k, errors.Join(err, errPublic)
}

// tells lets the witness tell by webhook, copies times and shuffled, what becomes
// of the messages that it takes, and of the part early of its calls before they
// are answered.
func (s *stage) tells(copies int, early float64) error {
	_, err := s.hooks(s.telling(copies, early))
	return err
}

func (s *stage) telling(copies int, early float64) witness.Telling {
	return witness.Telling{To: s.public, Key: s.hooksKey.private, Token: s.env["TWILIO_AUTH_TOKEN"], Copies: copies, Early: early}
}

// hooks tells the witness how to tell, if anything is given, and returns what it
// has told.
func (s *stage) hooks(how ...witness.Telling) (told witness.Told, err error) {
	method, body := http.MethodGet, []byte(nil)
	if len(how) > 0 {
		method = http.MethodPost
		if body, err = json.Marshal(how[0]); err != nil {
			return told, err
		}
	}
	req, err := http.NewRequestWithContext(s.ctx, method, s.witness.Control+"/hooks", bytes.NewReader(body))
	if err != nil {
		return told, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return told, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return told, fmt.Errorf("the witness does not take what it is to tell: %s", res.Status)
	}
	return told, json.NewDecoder(res.Body).Decode(&told)
}

// allTold waits until every webhook is acknowledged.
func (s *stage) allTold() error {
	return s.eventually("every webhook is acknowledged", func() bool {
		told, err := s.hooks()
		return err == nil && told.Waiting == 0 && told.Acknowledged > 0
	})
}

// webhooks are the rows in which the vendors tell what became of messages.
func webhooks() []row {
	doubtful := []witness.Rule{
		{Vendor: "sendgrid", Status: 504, Every: 2, Taken: true},
		{Vendor: "twilio", Fault: witness.Reset, Every: 9, Taken: true},
	}
	return []row{
		{name: "webhooks", fault: "webhooks before the outcome, repeated and shuffled", ends: "P5", short: []string{sqlite}, apply: func(s *stage) error {
			return s.resolvedByHooks(doubtful...)
		}},
		{name: "webhooks-swept", fault: "the same, and two workers killed between send and settlement", ends: "P5", doubt: []string{workerLost},
			arms: func(engine string) map[string][]string {
				victim := "work-1"
				if engine == sqlite {
					victim = "serve"
				}
				return map[string][]string{victim: {arm(failpoint.Sent, 1), arm(failpoint.Sent, 2)}}
			},
			apply: func(s *stage) error { return s.resolvedByHooks() }},
	}
}

// resolvedByHooks launches a campaign, of which the vendors of mail and SMS say
// what they took.
func (s *stage) resolvedByHooks(list ...witness.Rule) error {
	if err := errors.Join(s.tells(3, 0.5), s.told(list...)); err != nil {
		return err
	}
	name, err := s.launch()
	if err != nil {
		return err
	}
	if err := s.ended(name); err != nil {
		return err
	}
	s.over = time.Now()
	if err := errors.Join(s.told(), s.allTold()); err != nil {
		return err
	}
	r, err := s.report(name)
	if err != nil {
		return err
	}
	if len(list) > 0 && r.Channels[0].Resolved+r.Channels[1].Resolved == 0 {
		return errors.New("nobody was in doubt: the row shows nothing")
	}
	return s.judgeHooks(r)
}

// judgeHooks holds the report against what was acknowledged to the witness: each
// delivery counts once, however often it was told, and proves the send.
func (s *stage) judgeHooks(r dispatcher.Report) error {
	delivered := map[string]map[string]bool{}
	early := 0
	err := readLines(witness.HooksLog(s.file("witness.ndjson")), func(l witness.Hooked) {
		if !l.Acknowledged() {
			return
		}
		for _, e := range l.Events {
			if e.Campaign != r.Campaign || e.Type != "delivered" {
				continue
			}
			if delivered[e.Channel] == nil {
				delivered[e.Channel] = map[string]bool{}
			}
			delivered[e.Channel][e.ID] = true
			if l.Early {
				early++
			}
		}
	})
	if err != nil {
		return err
	}
	if early == 0 {
		return errors.New("no webhook came before the answer to its call: the row shows nothing")
	}
	for _, c := range r.Channels {
		want := int64(len(delivered[string(c.Channel)]))
		if c.Delivered != want {
			err = errors.Join(err, fmt.Errorf("P5 is broken: %s: %d delivered are reported, %d were acknowledged", c.Channel, c.Delivered, want))
		}
		if c.Sent != want && c.Channel != audience.Push {
			err = errors.Join(err, fmt.Errorf("P5 is broken: %s: %d sent are reported, and webhooks prove %d", c.Channel, c.Sent, want))
		}
	}
	return err
}
