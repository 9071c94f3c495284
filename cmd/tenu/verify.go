package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/schollz/progressbar/v3"

	"tenu/internal/purchase"
	"tenu/internal/store"
)

// verifyCmd checks the invariants on a database, while others may write to it.
type verifyCmd struct {
	storeFlags
	All  bool `help:"List every violation, not only the first."`
	JSON bool `name:"json" help:"Print JSON."`
}

// violation is a store.Violation for machines.
type violation struct {
	Invariant string `json:"invariant"`
	Purchase  string `json:"purchase,omitempty"` // its reference
	Account   string `json:"account,omitempty"`
	Detail    string `json:"detail"`
}

// Run checks. The first violation found is its error, with the invariant and
// the purchase.
func (c *verifyCmd) Run(ctx context.Context, a *app) (err error) {
	dsn, err := c.dsn(a)
	if err != nil {
		return err
	}
	s, err := store.Open(ctx, dsn, store.Options{Blind: true})
	if err != nil {
		return openAdvice(err)
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	keys, err := keyring(ctx, a, s)
	if err != nil {
		return err
	}
	checks := 0
	report, finish := c.progress(a)
	found, err := s.Verify(ctx, store.Verification{Now: a.clock.Now(), First: !c.All,
		Report: func(p store.Progress) { checks = p.Done + 1; report(p) }})
	finish()
	if err != nil {
		return err
	}
	return c.tell(a, keys, checks, found)
}

func (c *verifyCmd) tell(a *app, keys *purchase.Keyring, checks int, found []store.Violation) error {
	list := make([]violation, len(found))
	for i, v := range found {
		list[i] = violation{v.Invariant, "", v.Account, v.Detail}
		if v.Purchase != 0 {
			list[i].Purchase = keys.Reference(v.Purchase).String()
		}
	}
	if c.JSON {
		err := a.json(struct {
			OK         bool        `json:"ok"`
			Checks     int         `json:"checks"`
			Violations []violation `json:"violations"`
		}{len(list) == 0, checks, list})
		if err != nil {
			return err
		}
	}
	if len(list) == 0 {
		if !c.JSON {
			a.printf("%s: %d checks, no violation.\n", a.paint().good("sound"), checks)
		}
		return nil
	}
	if !c.JSON && c.All {
		for _, v := range list {
			a.printf("%s\n", v)
		}
	}
	return fmt.Errorf("violated: %s", list[0])
}

// String is the violation in one line.
func (v violation) String() string {
	text := v.Invariant + ": "
	if v.Purchase != "" {
		text += "purchase " + v.Purchase + ": "
	}
	if v.Account != "" {
		text += "account " + v.Account + ": "
	}
	return text + v.Detail
}

// progress shows a bar to people, on the stream that is not the result's.
func (c *verifyCmd) progress(a *app) (report func(store.Progress), finish func()) {
	if !terminal(a.err) {
		return func(store.Progress) {}, func() {}
	}
	bar := progressbar.NewOptions(-1, progressbar.OptionSetWriter(a.err), progressbar.OptionClearOnFinish(),
		progressbar.OptionSetWidth(30), progressbar.OptionSetPredictTime(false))
	report = func(p store.Progress) {
		bar.ChangeMax(p.Total)
		bar.Describe(p.Invariant)
		_ = bar.Set(p.Done) // a terminal that is gone stops nothing
	}
	return report, func() { _ = bar.Finish() }
}
