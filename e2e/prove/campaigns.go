package main

import (
	"encoding/json"
	"fmt"
	"time"

	"utskick/dispatcher"
	"utskick/e2e/witness"
)

// launch makes a campaign and launches it. Its messages say which it is: the
// witness does not know the product's ids. It is tried again while a fault is
// in the way.
func (s *stage) launch() (name string, err error) {
	name = fmt.Sprintf("prov-%d", len(s.launched)+1)
	args := []string{"campaigns", "create", name, "--sender", "exempelbolaget", "--topic", "offer"}
	for _, ch := range channelNames {
		if err := s.retry(func() error { return s.feed(name+"-"+ch+".json", s.template(name, ch), "templates", "save") }); err != nil {
			return name, err
		}
		args = append(args, "--"+ch, name+"-"+ch)
	}
	if err := s.retry(func() error { _, err := s.cli(args...); return err }); err != nil {
		return name, err
	}
	s.begun[name] = witness.Now()
	if err := s.retry(func() error { _, err := s.cli("campaigns", "launch", name); return err }); err != nil {
		return name, err
	}
	s.launched = append(s.launched, name)
	return name, nil
}

// retry does something that may fail while a fault lasts. It gives up after a
// while.
func (s *stage) retry(f func() error) error {
	var last error
	err := s.eventually("a command works", func() bool { last = f(); return last == nil || !s.row.away })
	if last != nil {
		return last
	}
	return err
}

// wares is how many links to wares a mail has in a row that tracks.
const wares = 5

func (s *stage) template(name, channel string) string {
	content := map[string]string{}
	switch channel {
	case "email":
		links := ""
		for i := range wares {
			if s.row.tracks {
				links += fmt.Sprintf(`<p><a href="https://www.exempelbolaget.test/vara/%d">Vara %d</a></p>`, i, i)
			}
		}
		content["subject"] = name
		content["html"] = `<html><body><p>Hej {{ contact.first_name }}</p>` + links + `<p><a href="{{ unsubscribe_url }}">Avsluta</a></p></body></html>`
	case "sms":
		content["text"] = name + ": hej {{ contact.first_name }}"
	case "push":
		content["subject"], content["text"], content["link"] = name, "Hej {{ contact.first_name }}", "https://www.exempelbolaget.test/host"
	}
	text, err := json.Marshal(map[string]any{"name": name + "-" + channel, "channel": channel, "default_language": "sv",
		"languages": map[string]any{"sv": content}})
	if err != nil {
		panic(err) // texts alone
	}
	return string(text)
}

func (s *stage) launchAndWait() error {
	name, err := s.launch()
	if err != nil {
		return err
	}
	return s.ended(name)
}

// ended waits until a campaign's run has ended.
func (s *stage) ended(name string) error {
	deadline := time.Now().Add(limit)
	for {
		r, err := s.report(name)
		if err == nil && r.State.Ended() {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s: %s did not end within %s: %s", s.row.promise(), name, limit, stateOf(r, err))
		}
		select {
		case <-s.ctx.Done():
			return s.ctx.Err()
		case <-time.After(400 * time.Millisecond):
		}
	}
}

func stateOf(r dispatcher.Report, err error) string {
	if err != nil {
		return err.Error()
	}
	text := fmt.Sprintf("%s %s", r.State, r.Reason)
	for _, c := range r.Channels {
		text += fmt.Sprintf(", %s: %d pending", c.Channel, c.Pending)
	}
	return text
}

func (s *stage) waitForAll() error {
	for _, name := range s.launched {
		if err := s.ended(name); err != nil {
			return err
		}
	}
	return nil
}

// launchUntil launches one campaign after the other until something has
// happened.
func (s *stage) launchUntil(what string, happened func() bool) error {
	const most = 8
	for range most {
		if _, err := s.launch(); err != nil {
			return err
		}
		for begun := time.Now(); time.Since(begun) < 8*time.Second; time.Sleep(50 * time.Millisecond) {
			if happened() {
				return nil
			}
		}
	}
	return s.eventually(what, happened)
}
