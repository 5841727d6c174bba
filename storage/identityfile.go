package storage

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"

	"utskick/suppression"
)

// ErrInUse says that another process serves with this data directory.
var ErrInUse = errors.New("another process serves with this data directory: give each its own (UTSKICK_DATA_DIR)")

// Identity is who an instance is: a name in its data directory, made at its
// first start. As long as it is open, nobody else has it.
type Identity struct {
	suppression.Holder
	file *os.File
}

var validIdentity = regexp.MustCompile(`^serve-[0-9a-f]{8}$`)

// OpenIdentity reads or makes the identity of a data directory. about says what
// the process is and where.
func OpenIdentity(dataDir, about string) (*Identity, error) {
	file, err := os.OpenFile(filepath.Join(dataDir, "instance"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the identity in the data directory: %w", err)
	}
	i := &Identity{file: file, Holder: suppression.Holder{About: about}}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = ErrInUse
		}
		return nil, errors.Join(err, file.Close())
	}
	if err := i.read(dataDir); err != nil {
		return nil, errors.Join(fmt.Errorf("the identity in the data directory: %w", err), file.Close())
	}
	var session [8]byte
	rand.Read(session[:])                                               // never fails (crypto/rand, Go 1.24)
	i.Session = int64(binary.BigEndian.Uint64(session[:]) &^ (1 << 63)) // not negative
	return i, nil
}

func (i *Identity) read(dataDir string) error {
	content, err := os.ReadFile(i.file.Name())
	if err != nil {
		return err
	}
	i.Name = strings.TrimSpace(string(content))
	if validIdentity.MatchString(i.Name) {
		return nil
	}
	if i.Name != "" {
		return fmt.Errorf("the file %s has no name in it: put back what was there (utskick instances list shows the names), or remove it if the spool beside it is empty", i.file.Name())
	}
	var b [4]byte
	rand.Read(b[:])
	i.Name = "serve-" + hex.EncodeToString(b[:])
	if _, err := i.file.WriteAt([]byte(i.Name+"\n"), 0); err != nil {
		return err
	}
	return errors.Join(i.file.Sync(), syncFolder(dataDir))
}

// Close lets go of the identity.
func (i *Identity) Close() error { return i.file.Close() }
