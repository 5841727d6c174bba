package main

import (
	"fmt"

	"utskick/api"
)

type keysCommand struct {
	Create keyCreate `cmd:"" help:"Create a key; it is printed once."`
	List   keyList   `cmd:"" help:"List keys."`
	Revoke keyRevoke `cmd:"" help:"Make a key useless from now on."`
}

type keyCreate struct {
	Name  string `required:"" help:"Unique name, such as the system that will use it."`
	Scope string `required:"" enum:"admin,marketing,read,service,app,officer" help:"admin, marketing, read, service: people, their wishes and their cases, app: reports of devices alone, or officer: the data protection officer."`
}

func (c keyCreate) Run(sh *shell) error {
	return sh.with(func(a *app) error {
		key, hash := api.NewKey()
		stored, err := a.store.CreateKey(sh.ctx, c.Name, c.Scope, hash)
		if err != nil {
			return err
		}
		if err := a.store.Audit(sh.ctx, "command line", "keys create", stored.Name, stored.Scope); err != nil {
			return err
		}
		return sh.print(map[string]any{"id": stored.ID, "name": stored.Name, "scope": stored.Scope, "key": key},
			"%s\nThis is the only time it is shown. Use it as: Authorization: Bearer KEY", key)
	})
}

type keyList struct{}

func (keyList) Run(sh *shell) error {
	return sh.with(func(a *app) error {
		keys, err := a.store.Keys(sh.ctx)
		if err != nil || sh.json {
			return firstError(err, func() error { return sh.print(keys, "") })
		}
		for _, k := range keys {
			state := "in use"
			if !k.Revoked.IsZero() {
				state = "revoked " + k.Revoked.Format("2006-01-02")
			}
			if _, err := fmt.Fprintf(sh.stdout, "%-30s %-10s %s\n", k.Name, k.Scope, state); err != nil {
				return err
			}
		}
		return nil
	})
}

type keyRevoke struct {
	Name string `arg:"" help:"Name of the key."`
}

func (c keyRevoke) Run(sh *shell) error {
	return sh.with(func(a *app) error {
		if err := a.store.RevokeKey(sh.ctx, c.Name); err != nil {
			return err
		}
		if err := a.store.Audit(sh.ctx, "command line", "keys revoke", c.Name, ""); err != nil {
			return err
		}
		return sh.print(map[string]string{"revoked": c.Name}, "Key %q is revoked.", c.Name)
	})
}

func firstError(err error, then func() error) error {
	if err != nil {
		return err
	}
	return then()
}
