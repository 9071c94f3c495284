package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/schollz/progressbar/v3"

	"tenu/internal/person"
	"tenu/internal/purchase"
	"tenu/internal/store"
	"tenu/internal/telemetry"
	"tenu/internal/yamlfile"
)

// personCmd groups what somebody may ask of those who hold their number.
type personCmd struct {
	Export personExportCmd `cmd:"" help:"Write everything that is held about a number, as JSON."`
	Erase  personEraseCmd  `cmd:"" help:"Erase a number wherever it is held. Figures, ledger and log stay whole; there is no way back."`
	Token  personTokenCmd  `cmd:"" help:"Print what stands for a number in the logs."`
	Erased personErasedCmd `cmd:"" help:"List what was erased, when, by whom and why."`
}

// personBase is what every person command needs.
type personBase struct {
	Config string `short:"c" default:"tenu.yaml" type:"path" help:"The configuration file."`
}

// personNumber is whom a command is about.
type personNumber struct {
	personBase
	Number string `arg:"" placeholder:"NUMBER" help:"The number, or file:PATH to leave none in the shell's history (file:/dev/stdin)."`
}

// open opens the store of a configuration, and reads the number, for as long as use lasts.
func (c *personNumber) open(ctx context.Context, a *app, use func(*store.Store, *person.Forms) error) error {
	text := c.Number
	if path, ok := strings.CutPrefix(text, "file:"); ok {
		data, err := yamlfile.Read(path)
		if err != nil {
			return usage(fmt.Errorf("read the number: %w", err))
		}
		text = strings.TrimSpace(string(data))
	}
	return withStore(ctx, a, c.Config, func(cfg *config, s *store.Store) error {
		p := &parts{}
		if err := cfg.numbers(p); err != nil {
			return usage(err)
		}
		number, _, err := p.directory.Parse(text)
		if err != nil {
			return usage(err)
		}
		return use(s, person.NewForms(number, p.directory.Plan.CallingCode()))
	})
}

type personExportCmd struct {
	personNumber
	Out string `placeholder:"FILE" help:"Write it into a file that only its owner can read, not to the standard output."`
}

// Run writes the export. Purchases are named by their references too.
func (c *personExportCmd) Run(ctx context.Context, a *app) error {
	return c.open(ctx, a, func(s *store.Store, forms *person.Forms) error {
		keys, err := keyring(ctx, a, s)
		if err != nil {
			return err
		}
		x, err := s.ExportOf(ctx, forms, a.clock.Now())
		if err != nil {
			return err
		}
		for _, section := range x.Sections {
			for _, row := range section.Rows {
				column := "purchase"
				if section.Kind == "purchase" {
					column = "id"
				}
				if id, ok := row[column].(int64); ok && id != 0 {
					row["reference"] = keys.Reference(purchase.ID(id)).String()
				}
			}
		}
		if c.Out == "" {
			return a.json(x)
		}
		data, err := json.MarshalIndent(x, "", "  ")
		if err != nil {
			return fmt.Errorf("write the export: %w", err)
		}
		if err := os.WriteFile(c.Out, append(data, '\n'), 0o600); err != nil {
			return fmt.Errorf("write the export: %w", err)
		}
		return nil
	})
}

type personEraseCmd struct {
	personNumber
	Reason string `required:"" help:"Why, for the record: the number itself is taken out of it."`
	By     string `required:"" help:"Who does it, for the record."`
	DryRun bool   `help:"Only say what is held, and what hinders."`
	// NoCompact leaves what SQLite overwrote with zeros, and what it left before, in its file.
	NoCompact bool `help:"Do not write a SQLite file anew: sales wait for that."`
	JSON      bool `name:"json" help:"Print JSON."`
}

// erased is a person.Erasure for machines.
type erased struct {
	ID      int64         `json:"id"`
	At      string        `json:"at"`
	DoneAt  string        `json:"done_at,omitempty"`
	Cause   string        `json:"cause"`
	By      string        `json:"by"`
	Reason  string        `json:"reason"`
	Instead string        `json:"instead,omitempty"`
	Counts  person.Counts `json:"counts"`
}

func erasedOf(e *person.Erasure) erased {
	x := erased{ID: e.ID, At: e.At.String(), Cause: e.Cause.String(), By: e.By, Reason: e.Reason, Counts: e.Counts}
	if e.DoneAt != 0 {
		x.DoneAt = e.DoneAt.String()
	}
	if e.Instead != 0 {
		x.Instead = e.Instead.String()
	}
	return x
}

// Run erases. While something of the number is open it fails, and says what; where nothing is
// held there is nothing to do, and that is well.
func (c *personEraseCmd) Run(ctx context.Context, a *app) error {
	if strings.TrimSpace(c.Reason) == "" || strings.TrimSpace(c.By) == "" || len(c.Reason) > 1000 || len(c.By) > 100 {
		return usage(errors.New("--reason (1 to 1000 bytes) and --by (1 to 100) are needed"))
	}
	return c.open(ctx, a, func(s *store.Store, forms *person.Forms) error {
		if c.DryRun {
			return c.preview(ctx, a, s, forms)
		}
		instead, err := person.Draw(a.random)
		if err != nil {
			return err
		}
		progress, finish := c.progress(a)
		e, err := s.Erase(ctx, store.Wanted{Forms: forms, Instead: instead, Now: a.clock.Now, By: c.By, Reason: c.Reason, Progress: progress})
		finish()
		nothing := errors.Is(err, person.ErrNothing)
		if err != nil && !nothing {
			return err
		}
		switch {
		case c.JSON && nothing:
			err = a.json(struct{}{})
		case c.JSON:
			err = a.json(erasedOf(&e))
		case nothing:
			a.printf("Nothing of the number is held.\n")
		default:
			a.printf("%s: %d purchases, %d cases, %d rows. %d commitments of the log cannot be opened any more. Erasure %d.\n", a.paint().good("erased"),
				e.Counts.Purchases, e.Counts.Cases, e.Counts.Rows, e.Counts.Commitments, e.ID)
		}
		if nothing {
			err = nil
		}
		if c.NoCompact {
			return err
		}
		return errors.Join(err, s.Compact(ctx))
	})
}

// preview says what is held, and whether it could be erased now.
func (c *personEraseCmd) preview(ctx context.Context, a *app, s *store.Store, forms *person.Forms) error {
	now := a.clock.Now()
	x, err := s.ExportOf(ctx, forms, now)
	if err != nil {
		return err
	}
	open, err := s.Unsettled(ctx, forms, now)
	if err != nil {
		return err
	}
	held := map[string]int{}
	for _, section := range x.Sections {
		held[section.Kind] = len(section.Rows)
	}
	if c.JSON {
		return a.json(struct {
			Held map[string]int `json:"held"`
			Open []person.Open  `json:"open"`
		}{held, open})
	}
	for _, section := range x.Sections {
		a.printf("%-25s %7d\n", section.Kind, len(section.Rows))
	}
	for _, o := range open {
		a.printf("%s\n", a.paint().bad(o.String()))
	}
	return nil
}

// progress shows a bar to people, on the stream that is not the result's.
func (c *personEraseCmd) progress(a *app) (report func(done, total int), finish func()) {
	if !terminal(a.err) {
		return nil, func() {}
	}
	bar := progressbar.NewOptions(-1, progressbar.OptionSetWriter(a.err), progressbar.OptionClearOnFinish(), progressbar.OptionSetWidth(30),
		progressbar.OptionSetDescription("tables"))
	return func(done, total int) {
		bar.ChangeMax(total)
		_ = bar.Set(done) // a terminal that is gone stops nothing
	}, func() { _ = bar.Finish() }
}

type personTokenCmd struct{ personNumber }

// Run prints the token.
func (c *personTokenCmd) Run(ctx context.Context, a *app) error {
	return c.open(ctx, a, func(s *store.Store, forms *person.Forms) error {
		secret, err := secret(ctx, a, s)
		if err == nil {
			a.printf("%s\n", telemetry.Token(secret, forms.Number))
		}
		return err
	})
}

type personErasedCmd struct {
	personBase
	Limit int  `default:"100" help:"How many, the newest first."`
	JSON  bool `name:"json" help:"Print JSON."`
}

// Run lists erasures.
func (c *personErasedCmd) Run(ctx context.Context, a *app) error {
	return withStore(ctx, a, c.Config, func(_ *config, s *store.Store) error {
		all, err := s.Erasures(ctx, c.Limit)
		if err != nil {
			return err
		}
		list := make([]erased, len(all))
		for i := range all {
			list[i] = erasedOf(&all[i])
			if !c.JSON {
				x := &list[i]
				a.printf("%d %s %s by %s: %s (%d purchases)\n", x.ID, x.At, x.Cause, x.By, orElse(x.Reason, "-"), x.Counts.Purchases)
			}
		}
		if c.JSON {
			return a.json(list)
		}
		return nil
	})
}
