package storage

import (
	"encoding/hex"
	"strings"

	"utskick/audience"
	"utskick/dispatcher"
)

// The ids that a provider gives to the messages of a call lie together in the
// call's row, a line "key id" each: written on each member, they would cost more
// than all the rest of a settlement.

func packMessageIDs(messages []dispatcher.Message) string {
	var b []byte
	for _, m := range messages {
		if m.ProviderID == "" {
			continue
		}
		b = hex.AppendEncode(b, m.Key[:])
		b = append(b, ' ')
		for _, c := range []byte(m.ProviderID) {
			if c != '\n' { // what ends a line; no id has it
				b = append(b, c)
			}
		}
		b = append(b, '\n')
	}
	return string(b)
}

// messageID finds the id of one message; empty: it has none of its own.
func messageID(packed string, k audience.Key) string {
	own := hex.EncodeToString(k[:]) + " "
	for line := range strings.Lines(packed) {
		if id, found := strings.CutPrefix(line, own); found {
			return strings.TrimSuffix(id, "\n")
		}
	}
	return ""
}

// keyOfMessageID finds whose message has an id.
func keyOfMessageID(packed, id string) (k audience.Key, found bool) {
	for line := range strings.Lines(packed) {
		key, own, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		if own == id {
			k, err := audience.ParseKey(key)
			return k, err == nil
		}
	}
	return k, false
}
