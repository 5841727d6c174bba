package main

import "time"

// cutOffs cut serve off from a database that the workers reach: what is on its
// way is held up, and arrives when the way is mended.
func cutOffs() []row {
	return []row{{
		name: "serve-cut-off", fault: "serve cut off from Postgres for 15 s, objections meanwhile", engines: []string{postgres}, ownWay: true,
		// Slow enough that it falls into the middle.
		env: map[string]string{"UTSKICK_EMAIL_RATE": "60", "UTSKICK_SMS_RATE": "60", "UTSKICK_PUSH_RATE": "60"},
		apply: func(s *stage) error {
			if _, err := s.launch(); err != nil {
				return err
			}
			time.Sleep(2 * time.Second)
			s.way.Cut()
			time.Sleep(15 * time.Second)
			s.way.Mend()
			s.faults++
			s.over = time.Now()
			return nil
		},
	}}
}
