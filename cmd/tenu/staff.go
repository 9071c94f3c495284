package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"tenu/internal/auth"
	"tenu/internal/purchase"
	"tenu/internal/store"
)

// staffCmd groups what is done to the accounts of staff.
type staffCmd struct {
	Add      staffAddCmd      `cmd:"" help:"Make an account, with a password that is shown once."`
	List     staffListCmd     `cmd:"" help:"List the accounts."`
	Show     staffShowCmd     `cmd:"" help:"Show an account, its sign-ins, and what was done to it."`
	Role     staffRoleCmd     `cmd:"" help:"Give an account another role."`
	Disable  staffDisableCmd  `cmd:"" help:"Disable an account; its sessions end at once."`
	Enable   staffEnableCmd   `cmd:"" help:"Enable an account again."`
	Reset    staffResetCmd    `cmd:"" help:"Give an account a new password, without authenticator and passkeys."`
	Revoke   staffRevokeCmd   `cmd:"" help:"End all sessions of an account at once."`
	Numbers  staffNumbersCmd  `cmd:"" help:"Say which numbers are a person's own or related: they act on none of them."`
	Subject  staffSubjectCmd  `cmd:"" help:"Say who a person is for the OpenID provider."`
	Sessions staffSessionsCmd `cmd:"" help:"List the sessions of an account."`
}

// staffBase is what every staff command needs.
type staffBase struct {
	Config string `short:"c" default:"tenu.yaml" type:"path" help:"The configuration file."`
}

// staffYes is of the commands that change an account.
type staffYes struct {
	staffBase
	Login string `arg:"" help:"The login."`
	Yes   bool   `help:"Do it; without it, only say what would be done."`
}

// by is who the log says did it.
const byCommand = "command"

// desk opens the store of a configuration for as long as use lasts.
func (c *staffBase) desk(ctx context.Context, a *app, use func(*config, *auth.StaffDesk) error) error {
	return withStore(ctx, a, c.Config, func(cfg *config, s *store.Store) error {
		secret, err := secret(ctx, a, s)
		if err != nil {
			return err
		}
		desk, err := cfg.staffDesk(a, s, secret, waysIn{})
		if err != nil {
			return err
		}
		return use(cfg, desk)
	})
}

// withStore opens the store of a configuration file for as long as use lasts.
func withStore(ctx context.Context, a *app, file string, use func(*config, *store.Store) error) (err error) {
	cfg, err := readConfig(file)
	if err != nil {
		return usage(err)
	}
	dsn, err := cfg.dsn(a.env)
	if err != nil {
		return usage(err)
	}
	sealing, err := cfg.sealing(a)
	if err != nil {
		return usage(err)
	}
	s, err := store.Open(ctx, dsn, store.Options{Sealing: sealing})
	if err != nil {
		return openAdvice(err)
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	return use(cfg, s)
}

// accountOf finds an account by its login.
func accountOf(ctx context.Context, d *auth.StaffDesk, login string) (auth.Staff, error) {
	people, err := d.People(ctx)
	if err != nil {
		return auth.Staff{}, err
	}
	i := slices.IndexFunc(people, func(s auth.Staff) bool { return s.Login == strings.ToLower(login) })
	if i < 0 {
		return auth.Staff{}, usage(fmt.Errorf("nobody has the login %q; `tenu staff list` lists them", login))
	}
	return people[i], nil
}

// with does something to an account, or says what it would do.
func (c *staffYes) with(ctx context.Context, a *app, what string, do func(*auth.StaffDesk, auth.Staff) error) error {
	return c.desk(ctx, a, func(_ *config, d *auth.StaffDesk) error {
		s, err := accountOf(ctx, d, c.Login)
		if err != nil {
			return err
		}
		if !c.Yes {
			a.printf("Would %s %s (%s, %s). Repeat with --yes to do it.\n", what, s.Login, s.Name, s.Role)
			return nil
		}
		if err := do(d, s); err != nil {
			return err
		}
		a.printf("Done: %s %s.\n", what, s.Login)
		return nil
	})
}

// staffAddCmd makes an account.
type staffAddCmd struct {
	staffBase
	Login    string `arg:"" help:"The login: a-z, 0-9, dot, hyphen, underscore."`
	Name     string `required:"" help:"The person's name."`
	Role     string `default:"agent" enum:"agent,supervisor,administrator,auditor,regulator" help:"agent, supervisor, administrator, auditor or regulator."`
	Language string `default:"fr" help:"The language of the console."`
}

// Run prints the password, which is shown nowhere else.
func (c *staffAddCmd) Run(ctx context.Context, a *app) error {
	return c.desk(ctx, a, func(_ *config, d *auth.StaffDesk) error {
		s, password, err := d.Add(ctx, byCommand, auth.Staff{Login: c.Login, Name: c.Name, Role: auth.Role(c.Role), Language: c.Language})
		if errors.Is(err, auth.ErrStaffTaken) {
			return usage(fmt.Errorf("the login %q is taken", c.Login))
		}
		if err != nil {
			return err
		}
		a.printf("%s may sign in as %s. The password, for that person alone, is shown only now\nand must be changed at the first sign-in:\n\n  %s\n", s.Name, s.Login, password)
		return nil
	})
}

// staffListCmd lists accounts.
type staffListCmd struct {
	staffBase
	JSON bool `name:"json" help:"Print JSON."`
}

// staffLine is an account as it is printed.
type staffLine struct {
	Login    string   `json:"login"`
	Name     string   `json:"name"`
	Role     string   `json:"role"`
	Disabled bool     `json:"disabled"`
	TOTP     bool     `json:"totp"`
	Subject  string   `json:"subject,omitempty"`
	Numbers  []string `json:"numbers"`
}

func lineOf(s *auth.Staff) staffLine {
	l := staffLine{Login: s.Login, Name: s.Name, Role: string(s.Role), Disabled: s.Disabled, TOTP: s.HasTOTP, Subject: s.Subject, Numbers: []string{}}
	for _, n := range s.Numbers {
		l.Numbers = append(l.Numbers, n.String())
	}
	return l
}

// Run lists them by login.
func (c *staffListCmd) Run(ctx context.Context, a *app) error {
	return c.desk(ctx, a, func(_ *config, d *auth.StaffDesk) error {
		people, err := d.People(ctx)
		if err != nil {
			return err
		}
		lines := make([]staffLine, len(people))
		for i := range people {
			lines[i] = lineOf(&people[i])
		}
		if c.JSON {
			return a.json(lines)
		}
		for _, l := range lines {
			state := ""
			if l.Disabled {
				state = "  disabled"
			}
			a.printf("%-20s %-14s %s%s\n", l.Login, l.Role, l.Name, state)
		}
		return nil
	})
}

// staffShowCmd shows one account.
type staffShowCmd struct {
	staffBase
	Login string `arg:"" help:"The login."`
}

// Run shows it with what was done to it.
func (c *staffShowCmd) Run(ctx context.Context, a *app) error {
	return c.desk(ctx, a, func(_ *config, d *auth.StaffDesk) error {
		s, err := accountOf(ctx, d, c.Login)
		if err != nil {
			return err
		}
		l := lineOf(&s)
		a.printf("%s: %s, %s\n", l.Login, l.Name, l.Role)
		a.printf("  disabled %t, authenticator %t, %d numbers of their own\n", l.Disabled, l.TOTP, len(l.Numbers))
		if l.Subject != "" {
			a.printf("  OpenID %s\n", l.Subject)
		}
		keys, err := d.Passkeys(ctx, s.ID)
		if err != nil {
			return err
		}
		for _, k := range keys {
			a.printf("  passkey %s, since %s\n", k.Name, k.At)
		}
		changes, err := d.Changes(ctx, s.ID, 50)
		for _, x := range changes {
			a.printf("  %s  %s: %s\n", x.At, x.By, x.What)
		}
		return err
	})
}

// staffSessionsCmd lists the sessions of one account.
type staffSessionsCmd struct {
	staffBase
	Login string `arg:"" help:"The login."`
}

// Run lists them, newest first.
func (c *staffSessionsCmd) Run(ctx context.Context, a *app) error {
	return c.desk(ctx, a, func(_ *config, d *auth.StaffDesk) error {
		s, err := accountOf(ctx, d, c.Login)
		if err != nil {
			return err
		}
		sessions, err := d.Sessions(ctx, s.ID)
		for _, x := range sessions {
			a.printf("since %s, seen %s, by %s from %s: %s\n", x.At, x.SeenAt, x.Method, x.Address, x.Browser)
		}
		return err
	})
}

// staffRoleCmd gives another role.
type staffRoleCmd struct {
	staffYes
	Role string `arg:"" enum:"agent,supervisor,administrator,auditor,regulator" help:"agent, supervisor, administrator, auditor or regulator."`
}

// Run changes the role, which holds at the next request.
func (c *staffRoleCmd) Run(ctx context.Context, a *app) error {
	return c.with(ctx, a, "give the role "+c.Role+" to", func(d *auth.StaffDesk, s auth.Staff) error {
		s.Role = auth.Role(c.Role)
		_, err := d.Change(ctx, byCommand, s)
		return err
	})
}

// staffDisableCmd disables an account.
type staffDisableCmd struct {
	staffYes
}

// Run disables it.
func (c *staffDisableCmd) Run(ctx context.Context, a *app) error {
	return c.with(ctx, a, "disable", func(d *auth.StaffDesk, s auth.Staff) error {
		s.Disabled = true
		_, err := d.Change(ctx, byCommand, s)
		return err
	})
}

// staffEnableCmd enables an account.
type staffEnableCmd struct {
	staffYes
}

// Run enables it.
func (c *staffEnableCmd) Run(ctx context.Context, a *app) error {
	return c.with(ctx, a, "enable", func(d *auth.StaffDesk, s auth.Staff) error {
		s.Disabled = false
		_, err := d.Change(ctx, byCommand, s)
		return err
	})
}

// staffResetCmd gives a new password.
type staffResetCmd struct {
	staffYes
}

// Run prints the password, which is shown nowhere else.
func (c *staffResetCmd) Run(ctx context.Context, a *app) error {
	return c.with(ctx, a, "reset the password, the authenticator and the passkeys of", func(d *auth.StaffDesk, s auth.Staff) error {
		password, err := d.Reset(ctx, byCommand, s.ID)
		if err == nil {
			a.printf("The new password, shown only now:\n\n  %s\n\n", password)
		}
		return err
	})
}

// staffRevokeCmd ends sessions.
type staffRevokeCmd struct {
	staffYes
}

// Run ends them.
func (c *staffRevokeCmd) Run(ctx context.Context, a *app) error {
	return c.with(ctx, a, "end all sessions of", func(d *auth.StaffDesk, s auth.Staff) error {
		return d.Revoke(ctx, byCommand, s.ID)
	})
}

// staffNumbersCmd declares numbers.
type staffNumbersCmd struct {
	staffYes
	Numbers []string `arg:"" optional:"" help:"All numbers of the person and of those related, in any form; none removes them."`
}

// Run declares them.
func (c *staffNumbersCmd) Run(ctx context.Context, a *app) error {
	what := fmt.Sprintf("declare %d numbers of", len(c.Numbers))
	return c.desk(ctx, a, func(cfg *config, _ *auth.StaffDesk) error {
		p := &parts{}
		if err := cfg.numbers(p); err != nil {
			return usage(err)
		}
		read := func(text string) (purchase.MSISDN, error) {
			n, _, err := p.directory.Parse(text)
			return n, err //nolint:wrapcheck // the caller says which text
		}
		numbers, err := auth.ReadNumbers(strings.Join(c.Numbers, ","), read)
		if err != nil {
			return usage(err)
		}
		return c.with(ctx, a, what, func(d *auth.StaffDesk, s auth.Staff) error {
			s.Numbers = numbers
			_, err := d.Change(ctx, byCommand, s)
			return err
		})
	})
}

// staffSubjectCmd binds an account to the OpenID provider's.
type staffSubjectCmd struct {
	staffYes
	Subject string `arg:"" optional:"" help:"The issuer and the subject, as in https://id.example|1234; none removes it."`
}

// Run binds it.
func (c *staffSubjectCmd) Run(ctx context.Context, a *app) error {
	return c.with(ctx, a, "bind to the OpenID subject "+c.Subject, func(d *auth.StaffDesk, s auth.Staff) error {
		s.Subject = c.Subject
		_, err := d.Change(ctx, byCommand, s)
		return err
	})
}
