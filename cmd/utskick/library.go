package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"utskick/storage"
	"utskick/templates"
)

type sendersCommand struct {
	Save senderSave `cmd:"" help:"Save a sender from a JSON file."`
}

type senderSave struct {
	File string `arg:"" help:"JSON file with the sender; - is the standard input."`
}

func (c senderSave) Run(sh *shell) error {
	var sender templates.Sender
	if err := readJSON(c.File, &sender); err != nil {
		return err
	}
	return sh.with(func(a *app) error {
		if err := saveSender(sh.ctx, a.store, sender); err != nil {
			return err
		}
		return sh.print(sender, "Sender %q is saved.", sender.Name)
	})
}

func saveSender(ctx context.Context, store *storage.Store, sender templates.Sender) error {
	if err := templates.CheckSender(sender); err != nil {
		return err
	}
	return store.SaveSender(ctx, sender)
}

// readJSON reads a file into v and refuses names that v does not know: a
// mistyped field would silently be left out.
func readJSON(name string, v any) error {
	file, _, err := openInput(name)
	if err != nil {
		return err
	}
	defer file.Close()
	return decodeJSON(file, v, name)
}

func decodeJSON(r io.Reader, v any, name string) error {
	d := json.NewDecoder(r)
	d.DisallowUnknownFields()
	err := d.Decode(v)
	var syntax *json.SyntaxError
	var wrong *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		return fmt.Errorf("%s: at byte %d it is not JSON", name, syntax.Offset)
	case errors.As(err, &wrong):
		return fmt.Errorf("%s: at byte %d, field %s needs a %s", name, wrong.Offset, wrong.Field, wrong.Type)
	case err != nil:
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

type templatesCommand struct {
	Save    templateSave    `cmd:"" help:"Save a template from a JSON file, as a new version."`
	Preview templatePreview `cmd:"" help:"Show a template filled in for a sample contact."`
}

type templateSave struct {
	File string `arg:"" help:"JSON file with the template; - is the standard input."`
}

func (c templateSave) Run(sh *shell) error {
	var t templates.Template
	if err := readJSON(c.File, &t); err != nil {
		return err
	}
	return sh.with(func(a *app) error {
		saved, err := saveTemplate(sh.ctx, a.store, t)
		if err != nil {
			return err
		}
		return sh.print(map[string]any{"name": saved.Name, "version": saved.Version, "id": saved.ID},
			"Template %q is saved as version %d.", saved.Name, saved.Version)
	})
}

// saveTemplate checks a template and saves it with the targets of its links.
func saveTemplate(ctx context.Context, store *storage.Store, t templates.Template) (templates.Template, error) {
	attributes, err := store.Attributes(ctx)
	if err != nil {
		return t, err
	}
	if err := templates.Check(t, attributes); err != nil {
		return t, err
	}
	var targets []string
	for language := range t.Contents {
		found, err := templates.Targets(t, language)
		if err != nil {
			return t, err
		}
		targets = append(targets, found...)
	}
	slices.Sort(targets)
	return store.SaveTemplate(ctx, t, slices.Compact(targets))
}

type templatePreview struct {
	File     string `arg:"" help:"JSON file with the template."`
	Sender   string `required:"" help:"JSON file with the sender." type:"existingfile"`
	Language string `help:"Language; the template's default if it is not given."`
	Contact  string `help:"JSON file with first_name, last_name, locale and attributes of a sample contact."`
}

func (c templatePreview) Run(sh *shell) error {
	var t templates.Template
	var sender templates.Sender
	if err := errors.Join(readJSON(c.File, &t), readJSON(c.Sender, &sender)); err != nil {
		return err
	}
	sample := templates.Sample{FirstName: "Åsa", LastName: "Exempel", Locale: "sv-SE"}
	if c.Contact != "" {
		if err := readJSON(c.Contact, &sample); err != nil {
			return err
		}
	}
	if c.Language == "" {
		c.Language = t.Default
	}
	shown, err := templates.Preview(t, sender, c.Language, sample)
	if err != nil {
		return err
	}
	if sh.json {
		return sh.print(shown, "")
	}
	_, err = fmt.Fprintf(os.Stdout, "Subject: %s\n\n%s\n\n%s\n", shown.Subject, shown.HTML, shown.Text)
	return err
}
