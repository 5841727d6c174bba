package e2e

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"utskick/dispatcher"
)

// attempts reads every attempt of the e-mail outbox, files and list alike, and
// returns how often each key was attempted.
func (w *world) attempts(t *testing.T) map[string]int {
	t.Helper()
	all := map[string]int{}
	for _, m := range w.outbox("email") {
		all[m.To]++
	}
	f, err := os.Open(filepath.Join(w.dir, "outbox", "email", "sent.ndjson"))
	if os.IsNotExist(err) {
		return all
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		var line struct {
			Key  string `json:"key"`
			File string `json:"file"`
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			t.Fatal(err)
		}
		if line.File == "" {
			all[line.Key]++
		}
	}
	return all
}

// TestKilled kills the demo in mid-campaign, twice, and starts it again on the
// same data. Its in-process Redis is empty each time.
func TestKilled(t *testing.T) {
	w := newWorld(t, map[string]string{"UTSKICK_EMAIL_RATE": "4000"})
	for i, after := range []int{500, 3000} {
		p := w.start("demo", "--exit", "--json", "--contacts", "9000")
		until(t, "mails are sent", func() bool {
			files, err := os.ReadDir(filepath.Join(w.dir, "outbox", "email"))
			return err == nil && len(files) > after
		})
		p.kill()
		if r := w.report(demoCampaign); r.State.Ended() {
			t.Fatalf("kill %d came too late to be in the middle", i+1)
		}
	}
	var r dispatcher.Report
	decode(t, w.must("demo", "--exit", "--json", "--contacts", "9000"), &r)
	if err := r.Reconcile(); err != nil || r.State != dispatcher.Finished {
		t.Fatalf("%s: %v", r.State, err)
	}
	attempts := w.attempts(t)
	for _, n := range attempts {
		if n > 1 {
			t.Errorf("an address was attempted %d times", n)
		}
	}
	mail := r.Channels[0]
	if mail.Pending != 0 || int64(len(attempts)) < mail.Sent || int64(len(attempts)) > mail.Sent+mail.InDoubt {
		t.Errorf("%d attempts; %+v", len(attempts), mail)
	}
	t.Logf("sent %d, in doubt %d, attempts %d", mail.Sent, mail.InDoubt, len(attempts))
}
