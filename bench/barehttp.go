package main

import (
	"bytes"
	"context"
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
	url    string
	header http.Header
	status int
	// body appends the body for the recipients from a row of the sample on, and
	// returns for how many.
	body func(dst []byte, row int) ([]byte, int)
}

func (b bareHTTP) connect() (func(int) (int, error), error) {
	client := &http.Transport{MaxIdleConnsPerHost: 1}
	var body []byte
	return func(first int) (int, error) {
		var n int
		body, n = b.body(body[:0], first%sampleSize)
		request, err := http.NewRequestWithContext(context.Background(), http.MethodPost, b.url, bytes.NewReader(body))
		if err != nil {
			return n, err
		}
		request.Header = b.header
		response, err := client.RoundTrip(request)
		if err != nil {
			return n, err
		}
		defer response.Body.Close()
		if response.StatusCode != b.status {
			return n, fmt.Errorf("the sink answered %d", response.StatusCode)
		}
		_, err = io.Copy(io.Discard, response.Body)
		return n, err
	}, nil
}

func headers(authorization, contentType string) http.Header {
	return http.Header{"Authorization": {authorization}, "Content-Type": {contentType}, "Accept": {"application/json"}, "User-Agent": {"bare"}}
}

// bareSendGrid sends calls of 1000, whose shared part is encoded once.
func bareSendGrid(job bareJob) (bareSender, error) {
	const mark = "bare0mark"
	s := job.sample
	root, err := sendGridRoot(s.skeleton, mark)
	if err != nil {
		return nil, err
	}
	tags := make([][]byte, s.skeleton.Columns())
	for hole := range tags {
		if inMessage(s.skeleton, hole) {
			tags[hole] = fmt.Appendf(nil, `"%s":`, tag(mark, hole))
		}
	}
	identity := fmt.Appendf(nil, `}],"custom_args":{"g":"%d","k":"`, sampleGroup)
	body := func(dst []byte, row int) ([]byte, int) {
		dst = append(dst, root...)
		for i := range perTurn {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendJSON(append(dst, `{"to":[{"email":`...), s.addresses[row+i])
			dst = hex.AppendEncode(append(dst, identity...), s.keys[row+i][:])
			dst = append(dst, `"},"headers":{"List-Unsubscribe":`...)
			dst = appendJSON(dst, s.skeleton.Headers[0].Value.Append(nil, s.sheet, row+i))
			dst = append(dst, `},"substitutions":{`...)
			comma := false
			for hole, tag := range tags {
				if tag == nil {
					continue
				}
				if comma {
					dst = append(dst, ',')
				}
				comma = true
				dst = appendJSON(append(dst, tag...), s.sheet.At(row+i, hole))
			}
			dst = append(dst, "}}"...)
		}
		return append(dst, "]}"...), perTurn
	}
	return bareHTTP{url: job.Sink.Address + "/v3/mail/send", header: headers("Bearer SG.benchmark", "application/json"), status: http.StatusAccepted, body: body}, nil
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
		"tracking_settings": map[string]any{"click_tracking": off, "open_tracking": off, "subscription_tracking": off, "ganalytics": off},
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

// appendJSON appends a JSON string.
func appendJSON[T string | []byte](dst []byte, s T) []byte {
	dst = append(dst, '"')
	done := 0
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' {
			dst = append(dst, s[done:i]...)
			dst = fmt.Appendf(dst, `\u%04x`, c)
			done = i + 1
		}
	}
	return append(append(dst, s[done:]...), '"')
}

// bareTwilio sends a form a message.
func bareTwilio(job bareJob) (bareSender, error) {
	s := job.sample
	from := "From=" + url.QueryEscape(s.skeleton.Sender.SMSSender) + "&Body="
	body := func(dst []byte, row int) ([]byte, int) {
		dst = append(append(dst, from...), url.QueryEscape(string(s.skeleton.Text.Append(nil, s.sheet, row)))...)
		dst = append(append(dst, "&To="...), url.QueryEscape(s.addresses[row])...)
		return dst, 1
	}
	login := base64.StdEncoding.EncodeToString([]byte(account + ":benchmark"))
	return bareHTTP{url: job.Sink.Address + "/2010-04-01/Accounts/" + account + "/Messages.json",
		header: headers("Basic "+login, "application/x-www-form-urlencoded"), status: http.StatusCreated, body: body}, nil
}

// bareFCM sends a JSON body a device.
func bareFCM(job bareJob) (bareSender, error) {
	s := job.sample
	id := "g" + strconv.Itoa(sampleGroup)
	expiry := strconv.FormatInt(time.Now().Add(24*time.Hour).Unix(), 10)
	platforms := fmt.Appendf(nil, `},"android":{"collapse_key":"%[1]s","priority":"normal","ttl":"86400s"},`+
		`"apns":{"headers":{"apns-collapse-id":"%[1]s","apns-expiration":"%[2]s","apns-priority":"5"}},`+
		`"webpush":{"headers":{"TTL":"86400","Topic":"%[1]s","Urgency":"normal"}},"token":`, id, expiry)
	body := func(dst []byte, row int) ([]byte, int) {
		text := func(p templates.Part) []byte { return p.Append(nil, s.sheet, row) }
		dst = appendJSON(append(dst, `{"message":{"notification":{"title":`...), text(s.skeleton.Subject))
		dst = appendJSON(append(dst, `,"body":`...), text(s.skeleton.Text))
		dst = append(dst, `},"data":{`...)
		for i, field := range s.skeleton.Data {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(appendJSON(dst, field.Name), ':')
			dst = appendJSON(dst, text(field.Value))
		}
		dst = appendJSON(append(dst, platforms...), s.addresses[row])
		return append(dst, "}}"...), 1
	}
	return bareHTTP{url: job.Sink.Address + "/v1/projects/exempelbolaget-test/messages:send",
		header: headers("Bearer ya29.benchmark-benchmark-benchmark", "application/json"), status: http.StatusOK, body: body}, nil
}
