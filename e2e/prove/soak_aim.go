package main

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"

	"utskick/audience"
	"utskick/e2e/witness"
)

// aim chooses who unsubscribes next: of four people one whom the vendor is just
// being told of, one who comes soon in the order in which batches are sent, and
// two at random. It knows that order because it knows the pepper; what it knows
// is not evidence.
type aim struct {
	keyer *audience.Keyer
	crowd *crowd

	mu     sync.Mutex
	order  []int32      // persons by the key of their e-mail address
	place  []int32      // of each person in it
	at     int          // where the last call was in it
	links  [3][]string  // the newest of each person
	chosen [3]bits      // who has been chosen
	just   [512]address // who was in the last calls
	count  int          // of all who ever were
	turn   int
	left   int // how many have been chosen by e-mail
}

type address struct{ ch, person int }

func newAim(c *crowd, secretFile string) (*aim, error) {
	content, err := os.ReadFile(secretFile)
	if err != nil {
		return nil, err
	}
	var secret struct {
		Pepper []byte `json:"pepper"`
	}
	if err := json.Unmarshal(content, &secret); err != nil {
		return nil, err
	}
	a := &aim{crowd: c}
	if a.keyer, err = audience.NewKeyer(secret.Pepper); err == nil {
		a.sort()
	}
	return a, err
}

// sort puts everybody in order, newcomers too.
func (a *aim) sort() {
	n := a.crowd.census().size
	keys := make([]audience.Key, n)
	order, place := make([]int32, n), make([]int32, n)
	for i := range keys {
		keys[i] = a.keyer.Key(audience.KindEmail, addressOf(0, i))
		order[i] = int32(i)
	}
	slices.SortFunc(order, func(x, y int32) int { return slices.Compare(keys[x][:], keys[y][:]) })
	for at, i := range order {
		place[i] = int32(at)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.order, a.place = order, place
}

// call learns from a call whom it was to, and with which links.
func (a *aim) call(c call) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, m := range c.Messages {
		ch := channelOf(m.Channel)
		person, known := a.crowd.find(ch, canonical(m.Channel, m.To))
		if !known || person >= len(a.place) || m.Link == "" {
			continue
		}
		for len(a.links[ch]) <= person {
			a.links[ch] = append(a.links[ch], make([]string, 1024)...)
		}
		a.links[ch][person] = m.Link
		a.just[a.count%len(a.just)] = address{ch, person}
		a.count++
		if ch == 0 {
			a.at = int(a.place[person])
		}
	}
}

// soon is how many follow in the order until a batch has gone by.
const soon = 1000

// choose returns somebody's newest message, each of whom once.
func (a *aim) choose() (m witness.Message, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.turn++
	for range 100 {
		who, ok := a.candidate()
		if ok && who.person < len(a.links[who.ch]) && a.links[who.ch][who.person] != "" && a.chosen[who.ch].add(who.person) {
			if who.ch == 0 {
				a.left++
			}
			return witness.Message{Channel: channelNames[who.ch], To: addressOf(who.ch, who.person), Link: a.links[who.ch][who.person]}, true
		}
	}
	return m, false
}

func (a *aim) candidate() (address, bool) {
	switch {
	case a.count == 0:
		return address{}, false
	case a.turn%4 == 0:
		return a.just[rand.N(min(a.count, len(a.just)))], true
	case a.turn%4 == 1:
		return address{0, int(a.order[(a.at+1+rand.N(soon))%len(a.order)])}, true
	}
	ch := 0
	if rand.N(10) == 0 {
		ch = 2 // push; an SMS has no link
	}
	return address{ch, rand.N(len(a.order))}, true
}

// gone returns how many have unsubscribed from e-mail.
func (a *aim) gone() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.left
}

// newAsker makes a client that asks when it is told to.
func newAsker(log *witness.Log, public string) *client {
	return &client{log: log, public: public, stop: func() {},
		http: &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}}
}

// object lets so many people a second unsubscribe until ctx ends. Those who have
// no answer then go on asking for a while.
func (s *soak) object(ctx context.Context) {
	patient, cancel := context.WithCancel(s.ctx)
	defer cancel()
	tick := time.NewTicker(time.Second / time.Duration(s.objections))
	defer tick.Stop()
	var asking sync.WaitGroup
	for ctx.Err() == nil {
		<-tick.C
		if m, ok := s.aim.choose(); ok {
			asking.Go(func() { s.client.persist(patient, m) })
		}
	}
	late := time.AfterFunc(time.Minute, cancel)
	defer late.Stop()
	asking.Wait()
}
