package api

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"html/template"
	"log/slog"
	"net/http"
	"net/url"

	"utskick/templates"
)

//go:embed pages
var pageFiles embed.FS

// pages renders the pages of both sites.
type pages struct {
	templates *template.Template
	log       *slog.Logger
	// styleSource is what a Content-Security-Policy allows: the style sheet of
	// the pages, by its hash, and no other style.
	styleSource string
}

func loadPages(log *slog.Logger) *pages {
	t := template.Must(template.New("").Funcs(template.FuncMap{"path": url.PathEscape, "titled": titled, "in": inWords, "served": servedBy, "says": func(by string) string { return byWords[by] }}).ParseFS(pageFiles, "pages/*.html"))
	return &pages{templates: t, log: log, styleSource: hashOfStyle(t)}
}

// titledFields is a table of fields with its caption.
type titledFields struct {
	Title  string
	Fields []docsField
}

func titled(title string, fields []docsField) titledFields { return titledFields{title, fields} }

// worded is a choice with the words of its page.
type worded struct {
	Words  words
	Choice choiceView
}

func inWords(w words, c choiceView) worded { return worded{w, c} }

// served is whom customers turn to, with the words of the page.
type served struct {
	Words words
	*templates.Sender
}

func servedBy(w words, s *templates.Sender) served { return served{w, s} }

// hashOfStyle hashes what stands between <style> and </style> on every page.
func hashOfStyle(t *template.Template) string {
	var style bytes.Buffer
	if err := t.ExecuteTemplate(&style, "style", nil); err != nil {
		panic(err) // the templates are a part of the program
	}
	css := bytes.TrimSuffix(bytes.TrimPrefix(style.Bytes(), []byte("<style>")), []byte("</style>"))
	sum := sha256.Sum256(css)
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// write renders a page as a whole before it answers with any of it.
func (p *pages) write(w http.ResponseWriter, status int, name string, data any) {
	var page bytes.Buffer
	if err := p.templates.ExecuteTemplate(&page, name, data); err != nil {
		p.log.Error("a page could not be made", "page", name, "error", err)
		http.Error(w, "This page could not be made.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = page.WriteTo(w) // the client went away
}
