package replies

import (
	"regexp"
	"strings"

	"utskick/audience"
	"utskick/channels/mailback"
	"utskick/suppression"
)

// reply reads what a person wrote. A clear objection holds for the address that it
// came from, and for the one that the message was sent to which it quotes. What is
// not clear, or says more, waits for customer service. START is not clear: whoever
// wrote it, a sender's address is easily forged, and it would give up a protection.
// What may be a machine's is read for a clear objection alone: nobody wants to read
// the rest, and an objection that is thrown away harms the person.
func (t *taking) reply() mailback.Rule {
	address, err := audience.NormalizeEmail(t.m.From)
	if err != nil {
		return mailback.ErrFrom
	}
	from := suppression.Reply{At: t.at, Channel: audience.Email, Key: t.im.Keyer.Key(audience.KindEmail, address), To: t.m.To}
	objects, rest := readOwn(t.m.Subject, t.m.Own)
	if t.m.Kind == mailback.Bulk && !objects {
		t.counts.Automatic++
		return ""
	}
	if objects {
		t.counts.Objections++
		stop := from
		stop.ID, stop.Meaning = t.id, suppression.SaysStop
		t.mail.Replies = append(t.mail.Replies, stop)
		if k := t.token.Key; !k.IsZero() && k != from.Key {
			stop.Key = k
			t.mail.Wishes = append(t.mail.Wishes, stop.Wish())
		}
	}
	if !objects || len(strings.Fields(rest)) > mostFarewell {
		t.counts.Queued++
		from.ID, from.Meaning, from.Address = t.id+"-rest", suppression.Unclear, address
		from.Text = strings.TrimSpace(t.m.Subject + "\n\n" + strings.Join(t.m.Own, "\n"))
		t.mail.Replies = append(t.mail.Replies, from)
	}
	return ""
}

// mostFarewell is how many words may follow a clear objection and still be no more
// than a name and what stands below it.
const mostFarewell = 12

// answered begins a subject that is ours, and not the writer's.
var answered = regexp.MustCompile(`(?i)^\s*(?:re|sv|aw|antw|fwd?|vb|vs)\s*(?:\[[0-9]+\])?\s*:`)

// readOwn reports whether a person clearly objects: in the subject, if it is the
// person's own, or in the lines up to where a sentence may end. It returns the
// lines that follow.
func readOwn(subject string, lines []string) (objects bool, rest string) {
	read := ""
	for i, line := range lines {
		if line == "" {
			continue
		}
		read += line + "\n"
		if len(strings.Fields(read)) > mostRead {
			break
		}
		if ends(lines[i:]) && suppression.ReadMeaning(read) == suppression.SaysStop {
			return true, strings.Join(lines[i+1:], "\n")
		}
	}
	if !answered.MatchString(subject) && suppression.ReadMeaning(subject) == suppression.SaysStop {
		return true, strings.Join(lines, "\n")
	}
	return false, ""
}

const (
	mostRead = 16 // words; an objection with more is not clear
	folded   = 60 // characters, from which on a line may have been folded
)

// ends reports whether a sentence may end with the first of the lines: the next
// one is empty, or it is closed, or it is too short to have been folded. A space
// at its end says that it goes on (RFC 3676, 4).
func ends(lines []string) bool {
	line := lines[0]
	if len(lines) == 1 || lines[1] == "" || strings.HasSuffix(line, ".") || strings.HasSuffix(line, "!") {
		return true
	}
	return !strings.HasSuffix(line, " ") && len(line) < folded
}
