package main

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"utskick/templates"
)

// bareHTTP sends bodies that it makes by appending.
type bareHTTP struct {
	url        *url.URL
	header     http.Header
	status     int // of a good answer
	recipients int // of a call
	// body appends the body of a call to the recipients of the sample from first
	// on, whose holes are filled in the sheet.
	body   func(dst []byte, sheet *templates.Sheet, first int) []byte
	sample *sample
}

func (b bareHTTP) perCall() int { return b.recipients }

func (b bareHTTP) connect() (func(row, next int) error, error) {
	client := &http.Transport{MaxIdleConnsPerHost: 1, DisableCompression: true}
	var body []byte
	sheet := new(templates.Sheet)
	return func(first, _ int) error {
		if err := b.sample.render(sheet, first, b.recipients); err != nil {
			return err
		}
		body = b.body(body[:0], sheet, first)
		response, err := client.RoundTrip(&http.Request{Method: http.MethodPost, URL: b.url, Host: b.url.Host, Header: b.header,
			Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1})
		if err != nil {
			return err
		}
		defer response.Body.Close()
		if response.StatusCode != b.status {
			return fmt.Errorf("the sink answered %d", response.StatusCode)
		}
		_, err = io.Copy(io.Discard, response.Body)
		return err
	}, nil
}

func headers(authorization, contentType string) http.Header {
	return http.Header{"Authorization": {authorization}, "Content-Type": {contentType}, "User-Agent": {"utskick"}}
}

// bareSendGrid sends calls of 1000, whose shared part is encoded once.
func bareSendGrid(job bareJob) (bareSender, error) {
	const mark, calls = "bareMark", 1000 // as long as the product's
	s := job.sample
	endpoint, err := url.Parse(job.Sink.Address + "/v3/mail/send")
	if err != nil {
		return nil, err
	}
	root, err := sendGridRoot(s.skeleton, mark)
	if err != nil {
		return nil, err
	}
	var tags []substitution
	for hole := range s.skeleton.Columns() {
		if inMessage(s.skeleton, hole) {
			tags = append(tags, substitution{hole, fmt.Appendf(nil, `,"%s":`, tag(mark, hole))})
		}
	}
	tags[0].name[0] = '{'
	unsubscribe := encodePart(s.skeleton.Headers[0].Value, escapeJSON[[]byte])
	identity := fmt.Appendf(nil, `}],"custom_args":{"g":"%d","k":"`, sampleGroup)
	body := func(dst []byte, sheet *templates.Sheet, first int) []byte {
		dst = append(dst, root...)
		for row := range calls {
			if row > 0 {
				dst = append(dst, ',')
			}
			dst = appendJSON(append(dst, `{"to":[{"email":`...), s.addresses[first+row])
			dst = hex.AppendEncode(append(dst, identity...), s.recipients[first+row].Key[:])
			dst = unsubscribe.append(append(dst, `"},"headers":{"List-Unsubscribe":"`...), sheet, row)
			dst = append(dst, `"},"substitutions":`...)
			for _, t := range tags {
				dst = appendJSON(append(dst, t.name...), sheet.At(row, t.hole))
			}
			dst = append(dst, "}}"...)
		}
		return append(dst, "]}"...)
	}
	return bareHTTP{url: endpoint, header: headers("Bearer SG.benchmark", "application/json"), status: http.StatusAccepted, recipients: calls, body: body, sample: s}, nil
}

// substitution is a tag as a key of JSON, with what stands before and after it.
type substitution struct {
	hole int
	name []byte
}

// sendGridRoot is a call up to the bracket of its personalizations.
func sendGridRoot(s *templates.Skeleton, mark string) ([]byte, error) {
	text := func(p templates.Part) string {
		var b []byte
		for _, segment := range p {
			b = append(b, segment.Literal...)
			if segment.Hole >= 0 {
				b = append(b, tag(mark, segment.Hole)...)
			}
		}
		return string(b)
	}
	off := map[string]bool{"enable": false}
	shared := map[string]any{
		"from":     map[string]string{"email": s.Sender.FromEmail, "name": s.Sender.FromName},
		"reply_to": map[string]string{"email": s.Sender.ReplyTo},
		"subject":  text(s.Subject),
		"content": []map[string]string{
			{"type": "text/plain", "value": text(s.Text)},
			{"type": "text/html", "value": text(s.HTML)},
		},
		"headers":           map[string]string{s.Headers[1].Name: text(s.Headers[1].Value), s.Headers[2].Name: text(s.Headers[2].Value)},
		"categories":        []string{"g" + strconv.Itoa(sampleGroup)},
		"tracking_settings": map[string]any{"click_tracking": map[string]bool{"enable": false, "enable_text": false}, "open_tracking": off, "subscription_tracking": off, "ganalytics": off},
	}
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(shared); err != nil {
		return nil, err
	}
	return append(bytes.TrimSuffix(b.Bytes(), []byte("}\n")), `,"personalizations":[`...), nil
}

func tag(mark string, hole int) string { return fmt.Sprintf("-%s.%d-", mark, hole) }

// inMessage says whether a hole is in what SendGrid substitutes.
func inMessage(s *templates.Skeleton, hole int) bool {
	return slices.ContainsFunc(slices.Concat(s.Subject, s.Text, s.HTML), func(p templates.Segment) bool { return p.Hole == hole })
}

// bareTwilio sends a form a message.
func bareTwilio(job bareJob) (bareSender, error) {
	s := job.sample
	endpoint, err := url.Parse(job.Sink.Address + "/2010-04-01/Accounts/" + account + "/Messages.json")
	if err != nil {
		return nil, err
	}
	from := append(escapeForm([]byte("From="), s.skeleton.Sender.SMSSender), "&Body="...)
	text := encodePart(s.skeleton.Text, escapeForm[[]byte])
	body := func(dst []byte, sheet *templates.Sheet, first int) []byte {
		dst = text.append(append(dst, from...), sheet, 0)
		return escapeForm(append(dst, "&To="...), s.addresses[first])
	}
	header := headers("Basic "+base64.StdEncoding.EncodeToString([]byte(account+":benchmark")), "application/x-www-form-urlencoded")
	header.Set("Accept", "application/json")
	return bareHTTP{url: endpoint, header: header, status: http.StatusCreated, recipients: 1, body: body, sample: s}, nil
}

// bareFCM sends a JSON body a device.
func bareFCM(job bareJob) (bareSender, error) {
	s := job.sample
	endpoint, err := url.Parse(job.Sink.Address + "/v1/projects/exempelbolaget-test/messages:send")
	if err != nil {
		return nil, err
	}
	id := "g" + strconv.Itoa(sampleGroup)
	expiry := strconv.FormatInt(time.Now().Add(24*time.Hour).Unix(), 10)
	platforms := fmt.Sprintf(`"},"android":{"collapse_key":"%[1]s","priority":"normal","ttl":"86400s"},`+
		`"apns":{"headers":{"apns-collapse-id":"%[1]s","apns-expiration":"%[2]s","apns-priority":"5"}},`+
		`"webpush":{"headers":{"TTL":"86400","Topic":"%[1]s","Urgency":"normal"}},"token":`, id, expiry)
	message := fcmMessage(s.skeleton)
	body := func(dst []byte, sheet *templates.Sheet, first int) []byte {
		dst = append(message.append(dst, sheet, 0), platforms...)
		return append(appendJSON(dst, s.addresses[first]), "}}"...)
	}
	return bareHTTP{url: endpoint, header: headers("Bearer ya29.BENCHMARKBENCHMARKBENCHMAR", "application/json"), status: http.StatusOK, recipients: 1, body: body, sample: s}, nil
}

// fcmMessage is a body up to the last quote of its data.
func fcmMessage(s *templates.Skeleton) encodedPart {
	all := encodedPart{encode: escapeJSON[[]byte]}
	add := func(before string, value templates.Part) {
		all.literals = append(all.literals, templates.Segment{Literal: before, Hole: -1})
		all.literals = append(all.literals, encodePart(value, all.encode).literals...)
	}
	add(`{"message":{"notification":{"title":"`, s.Subject)
	add(`","body":"`, s.Text)
	before := `"},"data":{`
	for _, field := range s.Data {
		add(before+string(appendJSON(nil, field.Name))+`:"`, field.Value)
		before = `",`
	}
	return all
}
