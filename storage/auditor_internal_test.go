package storage

import (
	"bytes"
	"testing"

	"utskick/audience"
)

// TestPlantedBreaches plants one violation after the other in a ledger that is
// right, and wants each to be found by its name alone.
func TestPlantedBreaches(t *testing.T) {
	const right = `
		insert into campaigns (id, name, sender, topic, channels, created_at) values (1, 'c', 's', 'offer', '[]', 0);
		insert into runs (id, campaign, state, due_at, send_by, channels, created_at) values (1, 1, 'finished', 0, 0, '[]', 0);
		insert into groups (id, run, channel, slice, sender, template, language, due_at) values (1, 1, 'email', 0, 's', 1, 'sv', 0), (2, 1, 'email', 0, 's', 1, 'en', 0);
		insert into members (grp, k, contact, code, cause) values (1, x'01', 1, null, null), (1, x'02', 2, 2, 'objected'), (1, x'03', 3, 4, 'server'),
			(2, x'04', 4, 1, null), (2, x'05', 5, 3, 'refused'), (2, x'06', 6, 5, 'cancelled');
		insert into batches (id, grp, run, channel, n, k_lo, k_hi, last_k, settled, state, sent, suppressed, in_doubt, moved)
			values (1, 1, 1, 'email', 4, x'01', x'03', x'03', 4, 2, 1, 1, 1, 1);
		insert into batches (id, grp, run, channel, n, k_lo, k_hi, last_k, settled, state, sent, failed, skipped)
			values (2, 2, 1, 'email', 3, x'04', x'06', x'06', 3, 2, 1, 1, 1);`
	for _, c := range []struct{ plant, finds string }{
		{"", ""},
		{"update members set code = 3 where k = x'01'", "unreconciled_batches"},
		{"update members set code = null where k = x'02'", "unreconciled_batches"},
		{"delete from members where k = x'04'", "unreconciled_batches"},
		{"insert into members (grp, k, contact) values (2, x'0405', 7)", "unreconciled_batches"},
		{"insert into members (grp, k, contact) values (2, x'09', 7)", "members_in_no_batch"},
		{"update batches set k_lo = x'01' where id = 2; update members set k = x'01' where k = x'04'", "duplicates"},
		{"update runs set state = 'finished'; update batches set state = 0 where id = 1", "ended_runs_with_open_batches"},
		{"insert into calls (batch, fence, k_to, t0, claim_ver, suppression_ver) values (1, 1, x'03', 0, 7, 6)", "checked_before_claim"},
		{"insert into calls (batch, fence, k_to, t0, claim_ver, late_starts) values (1, 1, x'03', 0, 0, 2)", "late_starts"},
	} {
		keyer, err := audience.NewKeyer(bytes.Repeat([]byte("k"), 32))
		if err != nil {
			t.Fatal(err)
		}
		config := Config{DataDir: t.TempDir(), Keyer: keyer}
		if err := Migrate(t.Context(), config); err != nil {
			t.Fatal(err)
		}
		s, err := Open(t.Context(), config)
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{right, c.plant} {
			if _, err := s.write.ExecContext(t.Context(), text); err != nil {
				t.Fatalf("%s: %v", c.plant, err)
			}
		}
		all, err := s.Breaches(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range all {
			if (b.Count != 0) != (b.Name == c.finds) {
				t.Errorf("%q: %s counts %d", c.plant, b.Name, b.Count)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
