package tracking

import (
	"slices"
	"strings"
	"sync"

	"github.com/x-way/crawlerdetect"
)

// Machine says why an open or a click is taken for a machine's. Empty: for a
// person's.
type Machine string

// The reasons. The first six are seen in the request itself, the others in what
// else was asked for, as [Judge] says.
const (
	ImageProxy   Machine = "image_proxy"   // a mail service fetches pictures in its readers' stead
	ApplePrivacy Machine = "apple_privacy" // Apple's Mail Privacy Protection fetches all pictures, read or not
	Prefetch     Machine = "prefetch"      // fetched ahead, in case somebody will look
	Head         Machine = "head"          // asked for the header alone
	Scanner      Machine = "scanner"       // a program that says so, or says nothing
	ProviderSays Machine = "provider"      // the provider that counted it says so
	Honeypot     Machine = "honeypot"      // follows what no person sees
	Burst        Machine = "burst"         // several links of a message at once
	TooSoon      Machine = "too_soon"      // before a person could have read the message
)

// Machines lists all reasons, in the order in which docs/states.md describes them.
var Machines = []Machine{ImageProxy, ApplePrivacy, Prefetch, Head, Scanner, ProviderSays, Honeypot, Burst, TooSoon}

// Agent is the coarse class of what made a request: all that is kept of its user
// agent.
type Agent string

// The classes.
const (
	Phone       Agent = "phone"
	Tablet      Agent = "tablet"
	Computer    Agent = "computer"
	MailService Agent = "mail_service" // a proxy of a mail service
	Program     Agent = "program"      // nobody is in front of it
	Unknown     Agent = "unknown"
)

// Fetch is what a request says of who makes it.
type Fetch struct {
	UserAgent string
	Open      bool // of a picture; else of a link
	Head      bool
	// Purposes are the values of the headers Purpose, Sec-Purpose, X-Purpose and
	// X-Moz, by which browsers tell that nobody asked for it yet.
	Purposes []string
}

// Classify judges a request by itself.
func Classify(v Fetch) (Machine, Agent) {
	agent := agentOf(v.UserAgent)
	switch {
	case agent == MailService:
		return ImageProxy, agent
	case v.Open && strings.TrimSpace(v.UserAgent) == appleProxy:
		return ApplePrivacy, MailService
	case slices.ContainsFunc(v.Purposes, isAhead):
		return Prefetch, agent
	case v.Head:
		return Head, agent
	case agent == Program || agent == Unknown && saysNothing(v.UserAgent):
		return Scanner, agent
	}
	return "", agent
}

// isAhead reads Purpose and X-Moz (prefetch), Sec-Purpose (prefetch, and
// prefetch;prerender, https://wicg.github.io/nav-speculation/prefetch.html) and
// X-Purpose (preview, Safari's Top Sites).
func isAhead(purpose string) bool {
	purpose = strings.ToLower(purpose)
	return strings.Contains(purpose, "prefetch") || strings.Contains(purpose, "prerender") || strings.Contains(purpose, "preview")
}

// appleProxy is all that Apple's proxy says of itself, and its readers' programs
// say more.
const appleProxy = "Mozilla/5.0"

// imageProxies are parts of the user agents of proxies that fetch pictures for
// the readers of a mail service, in lower case.
var imageProxies = []string{"googleimageproxy", "yahoomailproxy", "mailruimageproxy", "yandeximageresizer"}

// scanners are the mail scanners that name themselves, in lower case. Most look
// like a browser: those are found by what they do.
var scanners = []string{"barracuda", "mimecast", "proofpoint", "messagelabs", "ironport", "trendmicro", "fireeye", "forcepoint",
	"sophos", "virustotal", "safelinks", "skypeuripreview"}

// readers are programs with a person in front of them that the list of crawlers
// takes for robots, in lower case.
var readers = []string{"microsoft outlook", "outlook-ios", "outlook-android", "outlook-express", "thunderbird"}

func saysNothing(agent string) bool {
	agent = strings.TrimSpace(agent)
	return agent == "" || agent == appleProxy
}

// longestAgent is how much of a user agent is looked at: whoever asks chooses it.
const longestAgent = 512

// agentOf returns the class of a user agent, from memory where it was seen before:
// the list of crawlers takes a good part of a millisecond.
func agentOf(userAgent string) Agent {
	if len(userAgent) > longestAgent {
		userAgent = userAgent[:longestAgent]
	}
	if a, known := agents.get(userAgent); known {
		return a
	}
	a := classOf(userAgent)
	agents.put(userAgent, a)
	return a
}

func classOf(userAgent string) Agent {
	lower := strings.ToLower(userAgent)
	has := func(word string) bool { return strings.Contains(lower, word) }
	switch {
	case slices.ContainsFunc(imageProxies, has):
		return MailService
	case slices.ContainsFunc(scanners, has):
		return Program
	case !slices.ContainsFunc(readers, has) && crawlerdetect.IsCrawler(userAgent):
		return Program
	case has("ipad") || has("tablet") || has("android") && !has("mobile") && !has("outlook"):
		return Tablet
	case slices.ContainsFunc(phones, has):
		return Phone
	case slices.ContainsFunc(computers, has):
		return Computer
	}
	return Unknown
}

// What the user agents of phones have, and of those that are left then computers.
var (
	phones    = []string{"iphone", "mobile", "android", "outlook-ios"}
	computers = []string{"windows", "macintosh", "x11", "linux", "cros", "darwin", "outlook", "ms-office"}
)

// agentMemory remembers classes of user agents. There are some thousands of them
// about; when it is full, it begins anew.
type agentMemory struct {
	mu    sync.RWMutex
	known map[string]Agent
}

const mostAgents = 10_000

var agents agentMemory

func (m *agentMemory) get(userAgent string) (Agent, bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	a, known := m.known[userAgent]
	return a, known
}

func (m *agentMemory) put(userAgent string, a Agent) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.known == nil || len(m.known) >= mostAgents {
		m.known = map[string]Agent{}
	}
	m.known[strings.Clone(userAgent)] = a
}
