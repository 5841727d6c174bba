package storage

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"utskick/suppression"
)

// Spool keeps on the disk what the database cannot take. It is a folder of
// parts: files that are only ever added to, and removed whole once the database
// has all of them. A process never adds to a part of an earlier one.
type Spool struct {
	dir    string
	log    *slog.Logger
	create func(name string) (spoolFile, error)
	group  *committer[[]byte, int64]

	mu   sync.Mutex
	part int64 // the newest
	file spoolFile
	size int64 // of what is whole in file
}

// spoolFile is what a part is written to.
type spoolFile interface {
	Write(b []byte) (int, error)
	Sync() error
	Truncate(size int64) error
	Close() error
}

// mostKept is how many records are made durable together.
const mostKept = 1000

// OpenSpool opens the spool of a data directory.
func OpenSpool(dataDir string, log *slog.Logger) (*Spool, error) {
	s := &Spool{dir: filepath.Join(dataDir, "spool"), log: log}
	s.create = func(name string) (spoolFile, error) {
		return os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL|os.O_APPEND, 0o600)
	}
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the spool in the data directory: %w", err)
	}
	if err := syncFolder(dataDir); err != nil {
		return nil, fmt.Errorf("make the spool in the data directory: %w", err)
	}
	parts, err := s.parts()
	if err != nil {
		return nil, err
	}
	if len(parts) > 0 {
		s.part = parts[len(parts)-1]
	}
	s.group = newCommitter(mostKept, s.write)
	return s, nil
}

// Close waits for what is being written.
func (s *Spool) Close() error {
	s.group.close()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.endPart()
}

// Keep implements [suppression.Spool]. Records that come at about the same time
// are made durable together.
func (s *Spool) Keep(k suppression.Kept) (int64, error) {
	line, err := appendKept(nil, k)
	if err != nil {
		return 0, err
	}
	return s.group.do(line)
}

func (s *Spool) write(lines [][]byte) ([]int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file == nil {
		if err := s.beginPart(); err != nil {
			return nil, fmt.Errorf("begin a part of the spool: %w", err)
		}
	}
	var all []byte
	in := make([]int64, len(lines))
	for i, line := range lines {
		all, in[i] = append(all, line...), s.part
	}
	_, err := s.file.Write(all)
	if err == nil {
		err = s.file.Sync()
	}
	if err != nil {
		// What a failed write leaves behind is unknown, and was not acknowledged.
		// The next one begins another part.
		return nil, errors.Join(fmt.Errorf("write to the spool: %w", err), s.file.Truncate(s.size), s.endPart())
	}
	s.size += int64(len(all))
	return in, nil
}

func (s *Spool) beginPart() error {
	s.part++
	file, err := s.create(s.name(s.part))
	if err != nil {
		return err
	}
	s.file, s.size = file, 0
	return syncFolder(s.dir)
}

func (s *Spool) endPart() error {
	if s.file == nil {
		return nil
	}
	err := s.file.Close()
	s.file = nil
	return err
}

const partSuffix = ".ndjson"

func (s *Spool) name(part int64) string {
	return filepath.Join(s.dir, fmt.Sprintf("%010d%s", part, partSuffix))
}

// parts lists the parts, the oldest first.
func (s *Spool) parts() ([]int64, error) {
	entries, err := os.ReadDir(s.dir) // sorted by name
	if err != nil {
		return nil, fmt.Errorf("read the spool: %w", err)
	}
	var parts []int64
	for _, e := range entries {
		if text, ours := strings.CutSuffix(e.Name(), partSuffix); ours {
			if n, err := strconv.ParseInt(text, 10, 64); err == nil {
				parts = append(parts, n)
			}
		}
	}
	return parts, nil
}

// Drain implements [suppression.Spool].
func (s *Spool) Drain(take func([]suppression.Kept) error, taken func(int64)) error {
	s.mu.Lock()
	err := s.endPart()
	parts, failed := s.parts()
	s.mu.Unlock()
	if err := errors.Join(err, failed); err != nil {
		return err
	}
	for _, n := range parts {
		if err := s.drainPart(n, take); err != nil {
			return err
		}
		taken(n)
	}
	return nil
}

func (s *Spool) drainPart(n int64, take func([]suppression.Kept) error) error {
	file, err := os.Open(s.name(n))
	if err != nil {
		return fmt.Errorf("read the spool: %w", err)
	}
	var piece []suppression.Kept
	damaged, err := readSpool(file, func(k suppression.Kept) error {
		piece = append(piece, k)
		if len(piece) < suppression.ImportSize {
			return nil
		}
		err := take(piece)
		piece = piece[:0]
		return err
	})
	if err == nil && len(piece) > 0 {
		err = take(piece)
	}
	if err := errors.Join(err, file.Close()); err != nil {
		return err
	}
	return s.remove(n, damaged)
}

// remove forgets a part. One that is damaged in the middle is put aside: it may
// have held what was acknowledged.
func (s *Spool) remove(n int64, damaged int) error {
	var err error
	if damaged > 0 {
		s.log.Error("a part of the spool is damaged; the rest of it was taken, and the file is put aside", "part", n, "lines", damaged)
		err = os.Rename(s.name(n), s.name(n)+".damaged")
	} else {
		err = os.Remove(s.name(n))
	}
	if err := errors.Join(err, syncFolder(s.dir)); err != nil {
		return fmt.Errorf("forget a part of the spool: %w", err)
	}
	return nil
}

// syncFolder makes the names in a folder durable.
func syncFolder(name string) error {
	folder, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
