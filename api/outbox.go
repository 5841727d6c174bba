package api

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"utskick/audience"
)

// outbox shows what was captured instead of sent. Its folder has one of email,
// sms and push for each channel.
type outbox struct {
	dir       string
	publicURL string
	local     atomic.Pointer[string] // where the public site is on this machine; nil: not known
}

// capturedName is what the files of an outbox may be called. There is no way
// out of the folder in it.
var capturedName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,200}\.(eml|json)$`)

const (
	capturedPage = 50      // messages on a page
	maxCaptured  = 8 << 20 // bytes that are read of a file
)

func (o *operator) registerOutbox() {
	if o.c.OutboxDir == "" {
		return
	}
	o.outbox = &outbox{dir: o.c.OutboxDir, publicURL: o.c.PublicURL}
	o.routes.HandleFunc("GET /outbox/{$}", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/outbox/email/", http.StatusSeeOther)
	})
	o.routes.HandleFunc("GET /outbox/{channel}/{$}", o.listOutbox)
	o.routes.HandleFunc("GET /outbox/{channel}/{file}", o.showCaptured)
}

// captured is a line of the list.
type captured struct {
	File string
	At   time.Time
	To   string
	Head string // subject, title or the beginning of the text
}

type outboxPage struct {
	frame
	Channel          audience.Channel
	Channels         []audience.Channel
	Messages         []captured
	Total            int
	Newer, Older     int  // numbers of the pages beside this one; 0: there is none
	OnlySamplesExist bool // a log beside the samples lists everything
}

func (o *operator) listOutbox(w http.ResponseWriter, r *http.Request) {
	channel := audience.Channel(r.PathValue("channel"))
	page, err := strconv.Atoi(cmp.Or(r.URL.Query().Get("page"), "1"))
	if !channel.Dispatched() || err != nil || page < 1 || page > 1_000_000 {
		o.pageFailed(w, r, "such page", o.c.NotFound)
		return
	}
	p := outboxPage{frame: o.frame(r, "Outbox"), Channel: channel, Channels: audience.Channels}
	all, err := o.outbox.files(channel)
	if err != nil {
		o.pageFailed(w, r, "outbox", err)
		return
	}
	p.Total = len(all)
	p.OnlySamplesExist = o.outbox.hasLog(channel)
	from, to := min((page-1)*capturedPage, len(all)), min(page*capturedPage, len(all))
	for _, f := range all[from:to] {
		p.Messages = append(p.Messages, o.outbox.line(channel, f))
	}
	p.Newer = page - 1
	if to < len(all) {
		p.Older = page + 1
	}
	o.pages.write(w, http.StatusOK, "outbox", p)
}

// files lists the messages of a channel, the newest first.
func (b *outbox) files(channel audience.Channel) ([]captured, error) {
	entries, err := os.ReadDir(filepath.Join(b.dir, string(channel)))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // nothing was captured yet
	}
	if err != nil {
		return nil, fmt.Errorf("read the outbox: %w", err)
	}
	files := make([]captured, 0, len(entries))
	for _, e := range entries {
		if !capturedName.MatchString(e.Name()) {
			continue
		}
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() {
			files = append(files, captured{File: e.Name(), At: info.ModTime()})
		}
	}
	slices.SortFunc(files, func(a, b captured) int { return cmp.Or(b.At.Compare(a.At), strings.Compare(b.File, a.File)) })
	return files, nil
}

func (b *outbox) hasLog(channel audience.Channel) bool {
	for _, name := range []string{filepath.Join(b.dir, "sent.ndjson"), filepath.Join(b.dir, string(channel), "sent.ndjson")} {
		if _, err := os.Stat(name); err == nil {
			return true
		}
	}
	return false
}

// read returns a captured message. It opens nothing outside of the folder,
// whatever the name and whatever links lie in the folder.
func (b *outbox) read(channel audience.Channel, file string) ([]byte, error) {
	if !channel.Dispatched() || !capturedName.MatchString(file) {
		return nil, fs.ErrNotExist
	}
	root, err := os.OpenRoot(filepath.Join(b.dir, string(channel)))
	if err != nil {
		return nil, err
	}
	defer root.Close()
	f, err := root.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxCaptured))
}

// line fills in what a list shows of a message. One that cannot be read keeps
// its place.
func (b *outbox) line(channel audience.Channel, c captured) captured {
	raw, err := b.read(channel, c.File)
	if err != nil {
		c.Head = "(this message cannot be read)"
		return c
	}
	m := readCaptured(c.File, raw)
	c.To, c.Head = m.To, shortened(cmp.Or(m.Subject, m.Text), 80)
	return c
}

func shortened(s string, most int) string {
	s = strings.Join(strings.Fields(s), " ")
	if letters := []rune(s); len(letters) > most {
		return string(letters[:most]) + "…"
	}
	return s
}

type capturedPageData struct {
	frame
	Channel audience.Channel
	File    string
	capturedMessage
	TextParts []textPart
	Fields    []linkedField
	Frame     string // the HTML part, for the frame
	Unsub     string // where its List-Unsubscribe leads
}

func (o *operator) showCaptured(w http.ResponseWriter, r *http.Request) {
	channel, file := audience.Channel(r.PathValue("channel")), r.PathValue("file")
	raw, err := o.outbox.read(channel, file)
	if err != nil {
		o.pageFailed(w, r, "captured message with this name", o.c.NotFound)
		return
	}
	m := readCaptured(file, raw)
	p := capturedPageData{frame: o.frame(r, cmp.Or(m.Subject, "Message")), Channel: channel, File: file, capturedMessage: m}
	p.TextParts = linked(o.outbox.localised(m.Text))
	for _, h := range m.Headers {
		p.Fields = append(p.Fields, linkedField{h.Name, linked(o.outbox.localised(h.Value))})
	}
	if m.HTML != "" {
		p.Frame = inNewTab(o.outbox.localised(m.HTML))
	}
	if uri := m.unsubscribe(); uri != "" {
		p.Unsub = o.outbox.localised(uri)
	}
	// Mail is styled in its own place, and a hash would switch that off. The
	// frame inherits this policy; it runs no scripts.
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; img-src data: "+o.outbox.localSite()+
		"; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	o.pages.write(w, http.StatusOK, "captured", p)
}

// localised leads the links of a message to the public site on this machine:
// the address in the message need not exist.
func (b *outbox) localised(text string) string {
	local := b.localSite()
	if local == "" || b.publicURL == "" {
		return text
	}
	return strings.ReplaceAll(text, b.publicURL+"/", local+"/")
}

func (b *outbox) localSite() string {
	if local := b.local.Load(); local != nil {
		return *local
	}
	return ""
}

var headTag = regexp.MustCompile(`(?i)<head[^>]*>`)

// inNewTab lets the links of a message open beside the page instead of within
// its frame.
func inNewTab(html string) string {
	const base = `<base target="_blank">`
	if at := headTag.FindStringIndex(html); at != nil {
		return html[:at[1]] + base + html[at[1]:]
	}
	return base + html
}

// linkedField is a header or a field of a message, with its web addresses.
type linkedField struct {
	Name  string
	Parts []textPart
}

// textPart is a piece of a text, with where it leads if it is a web address.
type textPart struct{ Text, Href string }

var webAddress = regexp.MustCompile(`https?://[^\s<>"']+[^\s<>"'.,;:!?)]`)

func linked(text string) (parts []textPart) {
	rest := 0
	for _, at := range webAddress.FindAllStringIndex(text, -1) {
		parts = append(parts, textPart{Text: text[rest:at[0]]}, textPart{text[at[0]:at[1]], text[at[0]:at[1]]})
		rest = at[1]
	}
	return append(parts, textPart{Text: text[rest:]})
}
