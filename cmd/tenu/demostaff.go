package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"tenu/internal/auth"
)

// demoStaff are who works at the console of the demonstration, all with one password.
var demoStaff = []auth.Staff{
	{Login: "awa", Name: "Awa Ouédraogo", Role: auth.Agent, Language: "fr"},
	{Login: "moussa", Name: "Moussa Sawadogo", Role: auth.Agent, Language: "fr"},
	{Login: "fatou", Name: "Fatou Traoré", Role: auth.Supervisor, Language: "fr"},
	{Login: "issa", Name: "Issa Kaboré", Role: auth.Administrator, Language: "fr"},
	{Login: "ines", Name: "Inès Zongo", Role: auth.Regulator, Language: "fr"},
	{Login: "grace", Name: "Grace Mensah", Role: auth.Auditor, Language: "en"},
}

// hire makes the accounts that are not there, and returns their password.
func (d *demo) hire(ctx context.Context) (string, error) {
	password, err := keptSecret(filepath.Join(d.Dir, "console-password"), func() (string, error) {
		text, err := randomHex(d.app.random)
		if err != nil {
			return "", err
		}
		return text[:16], nil
	})
	if err != nil {
		return "", err
	}
	for _, s := range demoStaff {
		added, given, err := d.node.staff.Add(ctx, "demo", s)
		if errors.Is(err, auth.ErrStaffTaken) {
			continue
		}
		if err == nil {
			err = d.node.staff.ChangePassword(ctx, added.ID, given, string(password), auth.Visitor{})
		}
		if err != nil {
			return "", fmt.Errorf("make the account of %s: %w", s.Login, err)
		}
	}
	return string(password), nil
}
