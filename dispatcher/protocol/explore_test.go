package protocol

import (
	"fmt"
	"slices"
	"strings"
)

// found is what an exploration came upon.
type found struct {
	states, steps, ends int
	outcomes            [skipped + 1]int // of all people in all ends
	broken              promise
	trace               []step // the shortest way there
}

func (f found) String() string {
	text := fmt.Sprintf("%d states, %d steps, %d ends", f.states, f.steps, f.ends)
	if f.broken == kept {
		return text
	}
	lines := []string{text + "; broken:"}
	for i, s := range f.trace {
		lines = append(lines, fmt.Sprintf("%3d. %s", i+1, s))
	}
	return strings.Join(lines, "\n")
}

// explorer goes through every state that can be reached, nearest first.
type explorer struct {
	model   *model
	ids     map[key]uint32
	parents []uint32 // by id
	edges   edges
	judge   func(step) promise // which promise a step breaks that is asked for
}

// explore stops at the first breach that judge asks for. Without one, it goes
// through all states, and then asks for those from which no end can be reached
// by steps that are not faults.
func (m *model) explore(judge func(step) promise) found {
	x := &explorer{model: m, ids: map[key]uint32{}, judge: judge}
	f := found{}
	start := m.start()
	x.ids[start.canonical(m)] = 0
	x.parents = append(x.parents, 0)
	front := []state{start}
	for id := uint32(0); len(front) > 0; {
		var reached []state
		for i := range front {
			last, steps := x.expand(&front[i], id, &reached)
			f.steps += steps
			if last.breaks == kept && steps == 0 {
				f.ends++
				x.edges.ends = append(x.edges.ends, id)
				for p := range m.members {
					f.outcomes[front[i].outcome(p)]++
				}
				if why := m.end(&front[i]); why != "" {
					last = step{who: passage, what: "changes nothing any more", person: -1, breaks: p3, why: why}
				}
			}
			if broken := judge(last); broken != kept {
				f.broken, f.trace, f.states = broken, append(x.wayTo(id), last), len(x.ids)
				return f
			}
			id++
		}
		front = reached
	}
	f.states = len(x.ids)
	if id, ok := x.edges.withoutEnd(); ok && judge(step{breaks: ends}) != kept {
		f.broken = ends
		never := step{who: passage, what: "may run for ever", person: -1, breaks: ends, why: "no end can be reached from here"}
		f.trace = append(x.wayTo(id), never)
	}
	return f
}

// expand adds what follows a state. It returns how many steps lead elsewhere,
// and the first that breaks what is asked for.
func (x *explorer) expand(s *state, id uint32, reached *[]state) (broken step, n int) {
	x.edges.begin()
	x.model.next(s, func(st step, t state) {
		if st.breaks != kept && broken.breaks == kept && x.judge(st) != kept {
			broken = st
		}
		k := t.canonical(x.model)
		to, known := x.ids[k]
		if !known {
			to = uint32(len(x.ids))
			x.ids[k] = to
			x.parents = append(x.parents, id)
			*reached = append(*reached, t)
		}
		if to == id {
			return
		}
		n++
		if !st.fault {
			x.edges.add(to)
		}
	})
	return broken, n
}

// wayTo goes the way to a state again. The forms that it meets are not
// canonical, so that worker A stays worker A.
func (x *explorer) wayTo(id uint32) []step {
	var ids []uint32
	for ; id != 0; id = x.parents[id] {
		ids = append(ids, id)
	}
	slices.Reverse(ids)
	var way []step
	s := x.model.start()
	for _, id := range ids {
		var then *state
		x.model.next(&s, func(st step, t state) {
			form := t
			if to, known := x.ids[form.canonical(x.model)]; then == nil && known && to == id {
				copied := t
				then = &copied
				way = append(way, st)
			}
		})
		s = *then
	}
	return way
}

// edges holds the steps that are not faults, by the state that they leave.
type edges struct {
	from []int // by state, where its steps begin in to
	to   []uint32
	ends []uint32 // states without any step
}

func (e *edges) begin()        { e.from = append(e.from, len(e.to)) }
func (e *edges) add(to uint32) { e.to = append(e.to, to) }

// withoutEnd returns the first state from which no end can be reached.
func (e *edges) withoutEnd() (uint32, bool) {
	can := make([]bool, len(e.from))
	for _, id := range e.ends {
		can[id] = true
	}
	for changed := true; changed; {
		changed = false
		for id, to := len(e.from)-1, e.to; id >= 0; id-- {
			steps := to[e.from[id]:]
			to = to[:e.from[id]]
			if !can[id] && slices.ContainsFunc(steps, func(t uint32) bool { return can[t] }) {
				can[id], changed = true, true
			}
		}
	}
	id := slices.Index(can, false)
	return uint32(max(id, 0)), id >= 0
}
