package storage

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	// journalFile is the newest part of the journal. Older ones have the instant
	// after it at which they were full, in milliseconds.
	journalFile = "journal.ndjson"
	// partSize is how large a part grows, in bytes: about 300,000 lines.
	partSize = 64 << 20
)

// journal is the list of all that a database must not forget when it is
// restored, in a file outside it that is only ever added to. Several processes
// may share it: each write is made under a lock of the file.
//
// A nil journal is one that writes nothing.
type journal struct {
	path string
	size int64 // of a part

	mu   sync.Mutex
	file *os.File // nil until the first write
}

// openJournal returns the journal of a data directory. No file is made before
// there is something to write.
func openJournal(dir string) *journal {
	if dir == "" {
		return nil
	}
	return &journal{path: filepath.Join(dir, journalFile), size: partSize}
}

// append returns when the lines are on the disk. Each ends with a line break. On
// an error some of them may be; a line that was cut short is ended by the next
// write, and skipped by readers.
func (j *journal) append(lines []byte) (err error) {
	if j == nil || len(lines) == 0 {
		return nil
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	defer func() {
		if err != nil {
			err = fmt.Errorf("write to the journal in the data directory: %w", err)
		}
	}()
	end, err := j.lock()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, syscall.Flock(int(j.file.Fd()), syscall.LOCK_UN)) }()
	torn, err := endsTorn(j.file, end)
	if err != nil {
		return err
	}
	if torn {
		lines = append([]byte{'\n'}, lines...)
	}
	if _, err := j.file.Write(lines); err != nil {
		return err
	}
	return j.file.Sync()
}

// lock opens the newest part if it is not open, locks it, and begins another one
// if it is full. It returns how long the part is.
func (j *journal) lock() (int64, error) {
	for {
		if err := j.open(); err != nil {
			return 0, err
		}
		if err := syscall.Flock(int(j.file.Fd()), syscall.LOCK_EX); err != nil {
			return 0, err
		}
		ours, err := j.file.Stat()
		if err != nil {
			return 0, err
		}
		newest, err := os.Stat(j.path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return 0, err
		}
		current := err == nil && os.SameFile(ours, newest)
		if current && ours.Size() < j.size {
			return ours.Size(), nil
		}
		if current {
			err = j.putAside()
		} else {
			err = nil // another process has begun a new part
		}
		if err := errors.Join(err, j.file.Close()); err != nil {
			return 0, err
		}
		j.file = nil
	}
}

// putAside gives the newest part, which is locked, a name of its own.
func (j *journal) putAside() error {
	for at := time.Now().UnixMilli(); ; at++ {
		name := fmt.Sprintf("%s.%d", j.path, at)
		if _, err := os.Stat(name); errors.Is(err, fs.ErrNotExist) {
			return os.Rename(j.path, name)
		} else if err != nil {
			return err
		}
	}
}

func (j *journal) open() (err error) {
	if j.file != nil {
		return nil
	}
	if j.file, err = os.OpenFile(j.path, os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600); err != nil {
		return err
	}
	// The name is durable before anything is said to be in the file.
	folder, err := os.Open(filepath.Dir(j.path))
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// endsTorn reports whether the last line was cut short.
func endsTorn(f io.ReaderAt, end int64) (bool, error) {
	if end == 0 {
		return false, nil
	}
	var last [1]byte
	_, err := f.ReadAt(last[:], end-1)
	return last[0] != '\n', err
}

func (j *journal) close() error {
	if j == nil {
		return nil
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.file == nil {
		return nil
	}
	err := j.file.Close()
	j.file = nil
	return err
}

// parts lists the files of the journal, the oldest first.
func (j *journal) parts() ([]string, error) {
	if j == nil {
		return nil, nil
	}
	// The names sort by age as long as their instants have as many digits: until
	// the year 2286.
	parts, err := filepath.Glob(strings.NewReplacer("*", `\*`, "?", `\?`, "[", `\[`).Replace(j.path) + ".*")
	if _, missing := os.Stat(j.path); missing == nil {
		parts = append(parts, j.path)
	}
	return parts, err
}

// tailSize is where the end of a part begins that lastVersion reads.
const tailSize = 1 << 20

// lastVersion returns the highest version near the end of the newest part: the
// last that a process of this directory can have acknowledged.
func (j *journal) lastVersion() (last int64, err error) {
	parts, err := j.parts()
	if err != nil || len(parts) == 0 {
		return 0, err
	}
	f, err := os.Open(parts[len(parts)-1])
	if err != nil {
		return 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	if _, err := f.Seek(max(0, info.Size()-tailSize), io.SeekStart); err != nil {
		return 0, err
	}
	// The first line is damaged if it was cut through the middle, and skipped.
	_, err = readJournal(f, func(l journalLine) error {
		last = max(last, l.Version)
		return nil
	})
	return last, err
}
