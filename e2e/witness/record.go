// Package witness stands in for the vendors in a process of its own, and writes
// down what reached it. Whoever judges the product reads its log, and need not
// believe the product a word.
package witness

import (
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// The events of a call.
const (
	Started = "started" // the first byte of the body has arrived
	Ended   = "ended"   // the call is over for the vendor
	Refused = "refused" // of an envelope of SMTP: there was no call
)

// Line is a line of the log.
type Line struct {
	Call   int64  `json:"call"` // the same in both lines of a call; 0 of [Refused]
	At     int64  `json:"at"`   // by [Now]
	Event  string `json:"event"`
	Vendor string `json:"vendor"`

	// Of Ended alone, and of Refused the last two.
	Whole    bool      `json:"whole,omitempty"`  // the body arrived to its end
	Taken    bool      `json:"taken,omitempty"`  // the vendor will deliver it, whatever it answered
	Answer   string    `json:"answer,omitempty"` // status, or how it was left without one
	Messages []Message `json:"messages,omitempty"`
}

// Message is what the call asks to be sent to one recipient.
type Message struct {
	Channel  string `json:"channel"`
	To       string `json:"to"`
	Campaign string `json:"campaign"`       // as the message itself says
	Link     string `json:"link,omitempty"` // to unsubscribe

	// By what the product knows it again, and where it wants to hear of it.
	group, key, id, callback string
	from, service            string
	pixel                    string   // the path by which an open is told
	clicks                   []string // those of links
}

// Now is CLOCK_MONOTONIC in nanoseconds, which all processes of a machine share.
func Now() int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		panic(err) // every system of today has it
	}
	return ts.Nano()
}

// Since returns how long ago an instant of [Now] was.
func Since(at int64) time.Duration { return time.Duration(Now() - at) }

// Log is a file of lines of JSON that is only ever added to.
type Log struct {
	mu   sync.Mutex
	file *os.File
}

// Create makes a new log. One that is there already is an error.
func Create(path string) (*Log, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	return &Log{file: f}, nil
}

// Append adds a line.
func (l *Log) Append(line any) error {
	text, err := json.Marshal(line)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, err := l.file.Write(append(text, '\n')); err != nil {
		return fmt.Errorf("the log cannot be written: %w", err)
	}
	return nil
}

// Close closes the file.
func (l *Log) Close() error { return l.file.Close() }
