package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"

	"utskick/e2e/witness"
)

// call is what the witness wrote of one call.
type call struct {
	witness.Line       // of its end
	Start        int64 // when its first byte arrived
}

// readCalls reads the witness's log. A call that has not ended is left out: its
// recipients are not known.
func readCalls(path string) ([]call, error) {
	starts := map[int64]int64{}
	var calls []call
	err := readLines(path, func(l witness.Line) {
		switch l.Event {
		case witness.Started:
			starts[l.Call] = l.At
		case witness.Ended:
			calls = append(calls, call{l, starts[l.Call]})
		}
	})
	return calls, err
}

func readWishes(path string) (wishes []wish, err error) {
	err = readLines(path, func(w wish) { wishes = append(wishes, w) })
	return wishes, err
}

// readLines reads all lines that are whole: the last may be being written.
func readLines[Line any](path string, f func(Line)) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	content = content[:bytes.LastIndexByte(content, '\n')+1]
	lines := bufio.NewScanner(bytes.NewReader(content))
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var l Line
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		f(l)
	}
	return lines.Err()
}
