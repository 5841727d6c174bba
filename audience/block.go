package audience

import (
	"bytes"
	"encoding/binary"
	"hash/maphash"
	"slices"
)

// block is what has been read and not saved.
type block struct {
	rows     []Row
	at       map[string]int // row of an external id
	problems []Problem
	counts   Report // what the store will say is not in it
}

func newBlock() *block { return &block{at: make(map[string]int)} }

// reject counts a row that will not be saved.
func (b *block) reject(problems ...Problem) {
	b.counts.Rows++
	b.counts.Rejected++
	for _, p := range problems {
		p.Rejected = true
		b.problems = append(b.problems, p)
	}
}

// keep takes a row in, one for each external id: a store may write a contact
// once in a statement.
func (b *block) keep(row Row, warnings []Problem) {
	b.counts.Rows++
	b.counts.Warnings += len(warnings)
	b.problems = append(b.problems, warnings...)
	id := row.Contact.ExternalID
	if i, ok := b.at[id]; ok {
		b.rows[i].merge(row)
		b.counts.Merged++
		return
	}
	b.at[id] = len(b.rows)
	b.rows = append(b.rows, row)
}

// arrange puts the rows into the order of their addresses' keys. Those who share
// an address keep theirs.
func (b *block) arrange(keyer *Keyer) {
	keys := make(map[string]Key, len(b.rows))
	for _, r := range b.rows {
		kind, address := KindEmail, r.Contact.Email
		if address == "" {
			kind, address = KindContact, r.Contact.ExternalID
		}
		keys[r.Contact.ExternalID] = keyer.Key(kind, address)
	}
	slices.SortStableFunc(b.rows, func(x, y Row) int {
		kx, ky := keys[x.Contact.ExternalID], keys[y.Contact.ExternalID]
		return bytes.Compare(kx[:], ky[:])
	})
}

// repeats finds external ids that a file has twice. It keeps hashes of 64 bits:
// ten million ids take 170 MB, and the chance that two of those have the same
// hash, so that one row is listed wrongly, is one in 300,000.
type repeats struct {
	seed maphash.Seed
	seen map[idHash]struct{}
}

// idHash is bytes, because a map keyed by uint64 would pad every key to 16.
type idHash [8]byte

func newRepeats() repeats {
	return repeats{maphash.MakeSeed(), make(map[idHash]struct{})}
}

// add reports whether id was added before.
func (r repeats) add(id string) bool {
	var h idHash
	binary.NativeEndian.PutUint64(h[:], maphash.String(r.seed, id))
	_, again := r.seen[h]
	r.seen[h] = struct{}{}
	return again
}
