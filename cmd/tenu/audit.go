package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/schollz/progressbar/v3"

	"tenu/internal/evidence"
	"tenu/internal/evidence/audit"
	"tenu/internal/yamlfile"
)

// auditCmd recomputes the log and every figure.
type auditCmd struct {
	logBase
	LogAt      string   `name:"log" placeholder:"DIR|URL" help:"The log as it is published; the database's own when absent."`
	Alone      bool     `help:"Audit the log without a database, as a stranger does; --log and --key are needed."`
	Key        string   `placeholder:"KEY" help:"The log's key, or file:PATH; the installation's own when absent."`
	Witness    []string `placeholder:"KEY" help:"The key of a witness that must have cosigned; once for each."`
	Checkpoint []string `type:"path" placeholder:"FILE" help:"A checkpoint that was seen before: the log must begin with its tree; once for each."`
	JSON       bool     `name:"json" help:"Print JSON."`
}

// Run audits. What is wrong is printed, and makes it fail.
func (c *auditCmd) Run(ctx context.Context, a *app) (err error) {
	cfg := audit.Config{Now: a.clock.Now()}
	if c.Alone && (c.LogAt == "" || c.Key == "") {
		return usage(errors.New("--alone needs --log and --key"))
	}
	if !c.Alone {
		o, err := c.open(ctx, a)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, o.Close()) }()
		cfg.Database = o
		if c.Key == "" {
			c.Key = o.signer.VerifierKey()
		}
	}
	if c.Key, err = readKey(c.Key); err != nil {
		return usage(err)
	}
	if cfg.Policy, err = (&trustFlags{Key: c.Key, Witness: c.Witness}).policy(); err != nil {
		return err
	}
	if c.LogAt != "" {
		cfg.Source = evidence.Open(c.LogAt, logClient())
	}
	for _, path := range c.Checkpoint {
		data, err := yamlfile.Read(path)
		if err != nil {
			return fmt.Errorf("read a checkpoint: %w", err)
		}
		cfg.Earlier = append(cfg.Earlier, data)
	}
	var finish func()
	cfg.Progress, finish = c.progress(a)
	report, err := audit.Run(ctx, cfg)
	finish()
	if err != nil {
		return err
	}
	return c.tell(a, report)
}

func (c *auditCmd) tell(a *app, r *audit.Report) error {
	if c.JSON {
		if err := a.json(r); err != nil {
			return err
		}
	} else {
		a.printf("%s: %d leaves, and %d that wait\n", r.Origin, r.Size, r.Waiting)
		for _, w := range r.Witnesses {
			a.printf("seen by %s\n", w)
		}
		a.printf("%s", &r.Figures)
		for _, f := range r.Findings {
			a.printf("%s\n", a.paint().bad(f.String()))
		}
		if r.Dropped > 0 {
			a.printf("and %d more\n", r.Dropped)
		}
	}
	if n := len(r.Findings) + r.Dropped; n > 0 {
		return fmt.Errorf("%d findings, the first: %s", n, r.Findings[0])
	}
	if !c.JSON {
		a.printf("%s\n", a.paint().good("sound"))
	}
	return nil
}

// progress shows a bar to people, on the stream that is not the result's.
func (c *auditCmd) progress(a *app) (report func(done, total int64), finish func()) {
	if !terminal(a.err) {
		return nil, func() {}
	}
	bar := progressbar.NewOptions64(-1, progressbar.OptionSetWriter(a.err), progressbar.OptionClearOnFinish(),
		progressbar.OptionSetWidth(30), progressbar.OptionSetDescription("leaves"), progressbar.OptionShowCount(), progressbar.OptionThrottle(100_000_000))
	return func(done, total int64) {
		bar.ChangeMax64(total)
		_ = bar.Set64(done) // a terminal that is gone stops nothing
	}, func() { _ = bar.Finish() }
}
