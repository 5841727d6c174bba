package outbox

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// list is sent.ndjson: the attempts that are not files. It is made when the
// first one comes.
type list struct {
	path string

	mu   sync.Mutex
	file *os.File
}

// line is one attempt in the list.
type line struct {
	At    time.Time `json:"at"`
	Group int64     `json:"group"`
	Key   string    `json:"key"`
}

func (l *list) name() string { return filepath.Base(l.path) }

// append adds one line, in one write, so that the lines of several processes do
// not mix.
func (l *list) append(entry line) error {
	entry.At = entry.At.UTC()
	text, err := json.Marshal(entry)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		if l.file, err = os.OpenFile(l.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600); err != nil {
			return err
		}
	}
	n, err := l.file.Write(append(text, '\n'))
	if err != nil && n > 0 {
		l.cut(int64(n))
	}
	return err
}

// cut takes a part of a line off the end again, which a full disk left there.
func (l *list) cut(n int64) {
	if info, err := l.file.Stat(); err == nil {
		_ = l.file.Truncate(info.Size() - n) // if this fails too, half a line stays, and no line more
	}
}

// count returns the number of lines.
func (l *list) count() (int64, error) {
	f, err := os.Open(l.path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer f.Close()
	var n int64
	buf := make([]byte, 64<<10)
	for {
		read, err := f.Read(buf)
		n += int64(bytes.Count(buf[:read], []byte{'\n'}))
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}

func (l *list) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return nil
	}
	err := l.file.Close()
	l.file = nil
	return err
}
