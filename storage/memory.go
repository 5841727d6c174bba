package storage

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// memoryFile is where the processes of a data directory remember what they have
// seen of the database, outside of it.
const memoryFile = "database.json"

// state is how far a database has come, as it says or as it is remembered. The
// zero value is what a process knows that has seen none.
type state struct {
	Identity string `json:"identity"`
	Version  int64  `json:"version"`  // of the suppressions
	Counter  int64  `json:"counter"`  // raised every second
	Releases int64  `json:"releases"` // grows with every release
}

// doubt returns why the database that says now cannot be the one that is known,
// or nothing.
func (known state) doubt(now state) string {
	if known.Identity != "" {
		if why := changedPart(known.Identity, now.Identity); why != "" {
			return why
		}
	}
	switch {
	case now.Releases < known.Releases:
		return "it has forgotten a release"
	case now.Version < known.Version:
		return fmt.Sprintf("its suppressions went back: version %d, where %d was acknowledged or seen", now.Version, known.Version)
	case now.Counter < known.Counter:
		return fmt.Sprintf("it went back by about %d s", known.Counter-now.Counter)
	}
	return ""
}

// readMemory returns the zero state when there is no file.
func readMemory(dir string) (known state, err error) {
	content, err := os.ReadFile(filepath.Join(dir, memoryFile))
	if errors.Is(err, fs.ErrNotExist) {
		return known, nil
	}
	if err == nil {
		err = json.Unmarshal(content, &known)
	}
	if err != nil {
		return known, fmt.Errorf("what this process remembers of the database cannot be read; if the database is the right one, remove the file: %w", err)
	}
	return known, nil
}

// writeMemory writes what is known, or what another process of the directory
// knows if that is more. It returns when it is on the disk.
func writeMemory(dir string, known state) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("remember the state of the database: %w", err)
		}
	}()
	folder, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer folder.Close()
	if err := syscall.Flock(int(folder.Fd()), syscall.LOCK_EX); err != nil {
		return err
	}
	other, err := readMemory(dir)
	if err != nil || other.Releases > known.Releases {
		return err
	}
	if other.Releases == known.Releases {
		known.Version, known.Counter = max(known.Version, other.Version), max(known.Counter, other.Counter)
	}
	content, err := json.Marshal(known)
	if err != nil {
		return err
	}
	next := filepath.Join(dir, memoryFile+".next")
	f, err := os.OpenFile(next, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(next, filepath.Join(dir, memoryFile)); err != nil {
		return err
	}
	return folder.Sync()
}
