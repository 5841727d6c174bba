package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
)

// tail reads a log of JSON lines as it grows, each line once.
type tail[Line any] struct {
	path string
	each func(Line)

	mu   sync.Mutex
	file *os.File
	in   *bufio.Reader
	part []byte // of a line that is being written
}

// read reads all lines that are whole by now. It is safe for concurrent use.
func (t *tail[Line]) read() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.file == nil {
		f, err := os.Open(t.path)
		if err != nil {
			return err
		}
		t.file, t.in = f, bufio.NewReaderSize(f, 1<<20)
	}
	for {
		part, err := t.in.ReadBytes('\n')
		t.part = append(t.part, part...)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		var l Line
		if err := json.Unmarshal(t.part, &l); err != nil {
			return fmt.Errorf("%s: %w", t.path, err)
		}
		t.part = t.part[:0]
		t.each(l)
	}
}
