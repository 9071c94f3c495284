package main

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"tenu/internal/reconcile"
	"tenu/internal/store"
)

// reconcileKeyCmd makes the key that closes are signed with.
type reconcileKeyCmd struct {
	Name string `arg:"" help:"The installation's name, as in tenu.example: what stands beside each signature."`
	File string `required:"" type:"path" help:"Where the private key is written, readable by its owner alone. It must not be there yet."`
}

// Run makes the key, and prints the public one.
func (c *reconcileKeyCmd) Run(a *app) error {
	private, public, err := note.GenerateKey(a.random, c.Name)
	if err != nil {
		return usage(err)
	}
	file, err := os.OpenFile(c.File, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.WriteString(file, private+"\n")
	if err := errors.Join(err, file.Close()); err != nil {
		return err
	}
	a.printf("The private key is in %s; say so in the configuration:\n\n  reconcile:\n    sign: file:%s\n\n", c.File, c.File)
	a.printf("The public key, for whoever checks what is signed:\n\n  %s\n", public)
	return nil
}

// verifierOf is the public key of a private one, as package note writes both.
func verifierOf(private string) (string, error) {
	parts := strings.SplitN(private, "+", 5) // PRIVATE+KEY+name+hash+key
	if len(parts) != 5 {
		return "", errors.New("not a private key")
	}
	key, err := base64.StdEncoding.DecodeString(parts[4])
	if err != nil || len(key) != 1+ed25519.SeedSize {
		return "", errors.New("not a private key")
	}
	public, _ := ed25519.NewKeyFromSeed(key[1:]).Public().(ed25519.PublicKey)
	return note.NewEd25519VerifierKey(parts[2], public)
}

// reconcileCloseCmd closes a day.
type reconcileCloseCmd struct {
	reconcileBase
	Day  string `arg:"" help:"The day, as in 2026-07-09."`
	JSON bool   `name:"json" help:"Print the signed record."`
}

// Run closes the day.
func (c *reconcileCloseCmd) Run(ctx context.Context, a *app) error {
	return c.open(ctx, a, func(r *reconciliation, _ *store.Store) error {
		if r.sign == nil {
			return usage(r.cfg.file.Errorf("reconcile.sign", "a key is needed to close a day (tenu reconcile key makes one)"))
		}
		if _, _, err := r.Confirm(ctx); err != nil {
			return err
		}
		record, err := r.CloseDay(ctx, c.Day, r.zone, r.sign)
		unchanged := errors.Is(err, reconcile.ErrUnchanged)
		if err != nil && !unchanged {
			return err
		}
		if c.JSON {
			a.printf("%s", record.Note)
			return nil
		}
		doc, err := reconcile.Verified(record.Note, r.verify)
		if err != nil {
			return err
		}
		switch {
		case unchanged:
			a.printf("%s is closed by record %d, and nothing has changed since.\n", c.Day, record.Seq)
		case record.Corrects != 0:
			a.printf("%s is closed by record %d, which corrects record %d.\n", c.Day, record.Seq, record.Corrects)
		default:
			a.printf("%s is closed by record %d.\n", c.Day, record.Seq)
		}
		a.closed(&doc)
		return nil
	})
}

// closed prints what a close tells.
func (a *app) closed(doc *reconcile.Document) {
	for i := range doc.Figures.Partners {
		p := &doc.Figures.Partners[i]
		state := a.paint().good("whole")
		if !p.Whole {
			state = a.paint().busy("not whole")
		}
		a.printf("  %s: %d statements, %s, %d movements open\n", p.Partner, len(p.Statements), state, p.Open)
		for _, s := range p.There {
			a.printf("    there: %s %d lines, %d %s\n", s.Kind, s.Lines, s.Amount, s.Currency)
		}
		for _, s := range p.Here {
			a.printf("    here:  %s %d, %d %s\n", s.Kind, s.Lines, s.Amount, s.Currency)
		}
		for _, b := range p.Breaks {
			a.printf("    %s (%s): %d, %d %s\n", b.Cause, b.Status, b.Breaks, b.Amount, b.Currency)
		}
		for _, x := range p.Positions {
			a.printf("    position: %s %d %s by its statements, %d by our record; difference %d\n", owes(x.There), abs(x.There), x.Currency, x.Here, x.Difference)
		}
	}
	for i := range doc.Figures.Settlements {
		a.printf("  settlement: ")
		a.printSettlement(&doc.Figures.Settlements[i])
	}
	for _, l := range doc.Figures.Losses {
		a.printf("  %s bears %d %s (%s)\n", l.Party, l.Amount, l.Currency, l.Partner)
	}
	a.printf("  open breaks: %d\n", len(doc.Figures.Open)+doc.Figures.OpenMore)
}

func owes(v int64) string {
	if v < 0 {
		return "we owe"
	}
	return "owes us"
}

func abs(v int64) int64 { return max(v, -v) }

// reconcileClosesCmd lists closes and checks them.
type reconcileClosesCmd struct {
	reconcileBase
}

// Run checks each signature and the chain.
func (c *reconcileClosesCmd) Run(ctx context.Context, a *app) error {
	return c.open(ctx, a, func(r *reconciliation, s *store.Store) error {
		if r.verify == nil {
			return usage(r.cfg.file.Errorf("reconcile.sign", "the key is needed to check what it signed"))
		}
		all, err := s.Closes(ctx, "")
		if err != nil {
			return err
		}
		for i := range all {
			text := ""
			if all[i].Corrects != 0 {
				text = fmt.Sprintf(", corrects %d", all[i].Corrects)
			}
			a.printf("%d  %s  signed %s%s\n", all[i].Seq, all[i].Day, all[i].At, text)
		}
		n, err := r.VerifyCloses(ctx, r.verify)
		if err != nil {
			return err
		}
		a.printf("%s: %d records, each signature and the chain hold.\n", a.paint().good("sound"), n)
		return nil
	})
}

// reconcileSettledCmd lists settlements.
type reconcileSettledCmd struct {
	reconcileBase
	JSON bool `name:"json" help:"Print JSON."`
}

// Run lists the last days.
func (c *reconcileSettledCmd) Run(ctx context.Context, a *app) error {
	return c.open(ctx, a, func(r *reconciliation, _ *store.Store) error {
		all, err := r.Settlements(ctx, a.clock.Now())
		if err != nil {
			return err
		}
		if c.JSON {
			return a.json(all)
		}
		for i := range all {
			a.printSettlement(&all[i])
		}
		if len(all) == 0 {
			a.printf("No day of a partner that is settled on an account was stated.\n")
		}
		return nil
	})
}

func (a *app) printSettlement(s *reconcile.DaySettlement) {
	state := string(s.State)
	switch s.State {
	case reconcile.Unsettled:
		state = a.paint().bad(state)
	case reconcile.Settled:
		state = a.paint().good(state)
	case reconcile.Awaited, reconcile.Unstated, reconcile.NothingOwed:
	}
	a.printf("%s  %s on %s: %s %d %s (%d less %d of fees), %d came  %s\n", s.Day, s.Partner, s.Account, owes(s.Due), abs(s.Due), s.Currency, s.Position, s.Fees, s.Got, state)
}
