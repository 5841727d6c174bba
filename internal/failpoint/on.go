//go:build failpoints

package failpoint

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// Variable says what happens where.
const Variable = "UTSKICK_FAILPOINTS"

// ErrInjected is what a point returns that shall return an error.
var ErrInjected = errors.New("an injected failure")

// action is what happens at a point.
type action struct {
	verb    string
	delay   time.Duration
	hit     int64 // 0: every time
	onwards bool
	hits    atomic.Int64
}

var actions = mustParse(os.Getenv(Variable))

func mustParse(text string) map[Name]*action {
	parsed, err := parse(text)
	if err != nil {
		panic(Variable + ": " + err.Error())
	}
	return parsed
}

func parse(text string) (map[Name]*action, error) {
	all := map[Name]*action{}
	for _, item := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' }) {
		name, what, found := strings.Cut(item, "=")
		if !found || !slices.Contains(All, Name(name)) {
			return nil, fmt.Errorf("%q names no point", item)
		}
		a, err := parseAction(what)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", item, err)
		}
		if (Name(name) == Clock) != (a.verb == "shift") {
			return nil, fmt.Errorf("%q: the clock can be shifted, and nothing else can", item)
		}
		all[Name(name)] = a
	}
	return all, nil
}

func parseAction(text string) (*action, error) {
	verb, at, counted := strings.Cut(text, "@")
	verb, delay, _ := strings.Cut(verb, ":")
	a := &action{verb: verb}
	var err error
	if counted {
		at, a.onwards = strings.CutSuffix(at, "+")
		if a.hit, err = strconv.ParseInt(at, 10, 64); err != nil || a.hit < 1 {
			return nil, errors.New("@ needs a number from 1")
		}
	}
	switch verb {
	case "kill", "stop", "error":
	case "delay":
		if a.delay, err = time.ParseDuration(delay); err != nil {
			return nil, err
		}
	case "shift":
		if a.delay, err = time.ParseDuration(delay); err != nil || counted {
			return nil, errors.New("shift needs a time, and no number")
		}
	default:
		return nil, errors.New("it needs kill, stop, error, delay:TIME or shift:TIME")
	}
	return a, nil
}

// Now is the wall clock, as far off as it was shifted.
func Now() time.Time {
	a := actions[Clock]
	if a == nil {
		return time.Now()
	}
	if a.hits.Add(1) == 1 {
		fmt.Fprintf(os.Stderr, "failpoint %s: %s by %s\n", Clock, a.verb, a.delay)
	}
	return time.Now().Add(a.delay)
}

// Hit says that the process is at a point.
func Hit(n Name) { _ = Err(n) }

// Err says that the process is at a point, and returns the error of what it
// does there, if it is to fail.
func Err(n Name) error {
	a := actions[n]
	if a == nil {
		return nil
	}
	count := a.hits.Add(1)
	if a.hit != 0 && count != a.hit && (!a.onwards || count < a.hit) {
		return nil
	}
	fmt.Fprintf(os.Stderr, "failpoint %s: %s\n", n, a.verb)
	switch a.verb {
	case "kill":
		return signal(syscall.SIGKILL)
	case "stop":
		return signal(syscall.SIGSTOP)
	case "delay":
		time.Sleep(a.delay)
		return nil
	}
	return ErrInjected
}

// signal stops here until the signal has had its effect: a process goes on for
// a moment after it has signalled itself.
func signal(s syscall.Signal) error {
	if err := syscall.Kill(os.Getpid(), s); err != nil {
		return err
	}
	time.Sleep(50 * time.Millisecond)
	return nil
}
