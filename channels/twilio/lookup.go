package twilio

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"utskick/channels"
)

// The list of messages (https://www.twilio.com/docs/messaging/api/message-resource,
// read multiple messages) is asked for one number. It has up to 1000 messages a
// page; a hundred are more than a number gets in some days.
const (
	pageSize = 100
	mostPage = 1 << 20 // bytes
	// mostPages bounds what is read for one inquiry: a number with more messages
	// than that is not one of a customer.
	mostPages = 10
	// waits is how long a message may stand in Twilio's queue at most, its validity
	// period (36,000 s). The list can be narrowed by when a message was sent, and
	// not by when it was taken.
	waits = 10 * time.Hour
)

// message is what is read of a message in the list.
type message struct {
	SID       string `json:"sid"`
	To        string `json:"to"`
	From      string `json:"from"`
	Service   string `json:"messaging_service_sid"`
	Direction string `json:"direction"`
	Status    string `json:"status"`
	Created   string `json:"date_created"`
	Updated   string `json:"date_updated"`
	Error     any    `json:"error_code"` // a number, or null
}

// page is a page of the list. Next is null on the last one.
type page struct {
	Messages *[]message `json:"messages"`
	Next     string     `json:"next_page_uri"`
}

// Look returns the messages that Twilio has taken from our sender for a number.
// An error of its own is [channels.ErrUnreadable], which is about this number
// alone, or a [channels.Unanswered].
func (p *Provider) Look(ctx context.Context, q channels.Inquiry) (seen []channels.Sighting, err error) {
	field, sender := p.sender(q.Service, q.Sender)
	if sender == "" {
		return nil, nil // nothing was sent by nobody
	}
	for at, pages := p.listOf(q), 0; at != nil; pages++ {
		if pages == mostPages {
			return nil, channels.ErrUnreadable
		}
		answer, err := p.single.Read(ctx, at, p.reading, mostPage)
		if err != nil {
			return nil, err
		}
		if answer.Status != http.StatusOK {
			return nil, p.refusal(answer)
		}
		read, next, err := readPage(answer.Body, q, field, sender)
		if err != nil {
			return nil, err
		}
		seen = append(seen, read...)
		if at, err = p.next(next); err != nil {
			return nil, err
		}
	}
	return seen, nil
}

// listOf is the address of the first page. Days are UTC; that of the upper bound
// may or may not be included, so it is one day later.
func (p *Provider) listOf(q channels.Inquiry) *url.URL {
	at := *p.list
	at.RawQuery = url.Values{
		"To":        {q.Address()},
		"DateSent>": {q.From.UTC().Format(time.DateOnly)},
		"DateSent<": {q.Until.Add(waits).UTC().AddDate(0, 0, 1).Format(time.DateOnly)},
		"PageSize":  {strconv.Itoa(pageSize)},
	}.Encode()
	return &at
}

// next is the address of another page: by the answer a path with a query. It may
// lead to the same list alone, as our credentials go there.
func (p *Provider) next(path string) (*url.URL, error) {
	if path == "" {
		return nil, nil
	}
	told, err := url.Parse(path)
	if err != nil || told.Scheme != "" || told.Host != "" || told.User != nil || !strings.HasSuffix(p.list.Path, told.Path) || !strings.HasPrefix(told.Path, "/2010-04-01/") {
		return nil, channels.ErrUnreadable
	}
	at := *p.list
	at.RawQuery = told.RawQuery
	return &at, nil
}

// refusal says what an answer without a list means for us. Only a 400 is about the
// number that was asked for.
func (p *Provider) refusal(a channels.Answer) error {
	if a.Status == http.StatusBadRequest {
		return channels.ErrUnreadable
	}
	return &channels.Unanswered{Reason: cmp.Or(a.ByStatus().Reason, "refused"), Pause: a.RetryAfter(p.config.Now())}
}

// readPage finds what is asked for in a page, and where the next one is.
func readPage(body []byte, q channels.Inquiry, field, sender string) (seen []channels.Sighting, next string, err error) {
	var list page
	if json.Unmarshal(body, &list) != nil || list.Messages == nil {
		return nil, "", channels.ErrUnreadable
	}
	for _, m := range *list.Messages {
		if m.To != q.Address() || m.Direction != "outbound-api" || !m.comesFrom(field, sender) {
			continue
		}
		s, err := m.sighting()
		if err != nil {
			return nil, "", err
		}
		if !s.Created.Before(q.From.Truncate(time.Second)) && !s.Created.After(q.Until) {
			seen = append(seen, s)
		}
	}
	return seen, list.Next, nil
}

// comesFrom compares what we said when we sent. Of a message by a service, From is
// one of the service's numbers, or not known yet.
func (m message) comesFrom(field, sender string) bool {
	if field == fieldService {
		return m.Service == sender
	}
	return m.Service == "" && m.From == sender
}

// sighting reads one of our messages. What cannot be read must not be overlooked:
// another message would be taken for it.
func (m message) sighting() (s channels.Sighting, err error) {
	status := strings.ToLower(m.Status)
	created, err := time.Parse(time.RFC1123Z, m.Created)
	if err != nil || !channels.Plausible(created.Unix()) || !channels.IsID(m.SID) || !channels.IsID(status) {
		return s, channels.ErrUnreadable
	}
	// A callback of the same state comes on the same day, nearly always.
	at, err := time.Parse(time.RFC1123Z, m.Updated)
	if err != nil || at.Before(created) || !channels.Plausible(at.Unix()) {
		at = created
	}
	code, _ := m.Error.(float64)
	return channels.Sighting{ID: m.SID, Created: created.UTC(), Type: typeOf(status), At: at.UTC(), Dedupe: dedupe(m.SID, status),
		Effect: effectOf(typeOf(status), int64(code))}, nil
}
