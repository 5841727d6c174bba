package main

import (
	"errors"
	"time"
)

// powerCuts are those of the machine with the embedded database.
func powerCuts() []row {
	return []row{{
		name: "power-cut", fault: "power cut: restarted on files cut back to the last fsync, then with a part of the rest", engines: []string{sqlite},
		doubt: []string{workerLost}, ends: "P5", every: 200 * time.Millisecond,
		env:   map[string]string{"UTSKICK_EMAIL_RATE": "60", "UTSKICK_SMS_RATE": "60", "UTSKICK_PUSH_RATE": "60"},
		apply: powerCut,
	}}
}

// powerCut cuts the power in mid-run, while people object: once nothing stays
// that was not synced, once chance keeps a part of it. A cut that met nothing
// unsynced is made again.
func powerCut(s *stage) error {
	s.end()
	if err := s.watchDisk(); err != nil {
		return errors.Join(err, s.startAll(nil))
	}
	if err := s.startAll(nil); err != nil {
		return err
	}
	const most = 5
	for _, stays := range []func(*change) bool{onlySynced, partly} {
		if _, err := s.launch(); err != nil {
			return err
		}
		if err := s.more(100, 10); err != nil {
			return err
		}
		for tries := 0; ; tries++ {
			if tries == most {
				return errors.New("the row proves nothing: whatever was written was synced")
			}
			if err := s.cutAndBack(stays); err != nil {
				return err
			}
			if s.disk.met > 0 {
				break
			}
		}
	}
	s.notes = append(s.notes, s.disk.notes...)
	return nil
}

// cutAndBack cuts the power, and sees that the run goes on by itself.
func (s *stage) cutAndBack(stays func(*change) bool) error {
	if err := s.cutPower(stays); err != nil {
		return err
	}
	s.over = time.Now()
	if err := s.listens(); err != nil {
		return err
	}
	if s.held() {
		return errors.New("P5 is broken: a power cut is taken for a restored database")
	}
	return s.more(20, 5)
}
