package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/schollz/progressbar/v3"

	"tenu/internal/purchase"
	"tenu/internal/seal"
	"tenu/internal/store"
)

// sealingConfig is for whom what people wrote is sealed, and what opens it. Without it nothing is sealed.
type sealingConfig struct {
	Recipients   []string `yaml:"recipients"`
	IdentityFile string   `yaml:"identity_file"`
}

// checkSealing checks the recipients, and that what is needed together is there together.
func (c *config) checkSealing() error {
	s := &c.Store.Sealing
	for i, r := range s.Recipients {
		if err := seal.CheckRecipient(r); err != nil {
			return c.file.Errorf(fmt.Sprintf("store.sealing.recipients[%d]", i), "%w", err)
		}
	}
	switch {
	case len(s.Recipients) > 0 && s.IdentityFile == "":
		return c.file.Errorf("store.sealing", "identity_file is needed: without it nothing that is sealed could be read")
	case len(s.Recipients) == 0 && s.IdentityFile != "":
		return c.file.Errorf("store.sealing", "recipients are needed: without them nothing could be sealed")
	}
	return nil
}

// identityLimit bounds the bytes of a file of identities.
const identityLimit = 64 << 10

// sealing reads the identities. It is nil where nothing is sealed.
func (c *config) sealing(a *app) (*store.Sealing, error) {
	s := &c.Store.Sealing
	if s.IdentityFile == "" {
		return nil, nil //nolint:nilnil // no sealing is no error
	}
	identities, err := ownFile(c.path(s.IdentityFile))
	if err != nil {
		return nil, c.file.Errorf("store.sealing.identity_file", "%w", err)
	}
	keeper, err := seal.NewKeeper(s.Recipients, identities)
	if err != nil {
		return nil, c.file.Errorf("store.sealing", "%w", err)
	}
	return &store.Sealing{Keeper: keeper, Now: a.clock.Now}, nil
}

// ownFile reads a secret that stands in a file for its owner alone.
func ownFile(path string) (text string, err error) {
	file, err := os.Open(path) //nolint:gosec // named by the configuration
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	about, err := file.Stat()
	switch {
	case err != nil:
		return "", err
	case !about.Mode().IsRegular():
		return "", fmt.Errorf("%s is no file", path)
	case about.Mode().Perm()&0o077 != 0:
		return "", fmt.Errorf("%s has mode %04o, and others may read it: give it 0600", path, about.Mode().Perm())
	}
	data, err := io.ReadAll(io.LimitReader(file, identityLimit+1))
	if err == nil && len(data) > identityLimit {
		err = fmt.Errorf("%s is longer than %d bytes", path, identityLimit)
	}
	return string(data), err
}

// sealCmd groups what concerns the sealing of what people wrote.
type sealCmd struct {
	Rows   sealRowsCmd   `cmd:"" default:"withargs" help:"Seal what was written before sealing began."`
	Rotate sealRotateCmd `cmd:"" help:"Make a new data key, and give the old ones to the recipients of now alone."`
	Check  sealCheckCmd  `cmd:"" help:"Open every sealed value, and name those that cannot be read."`
	Key    sealKeyCmd    `cmd:"" help:"Make an identity, and print its recipient."`
}

// sealBase is what every command needs that goes through the rows.
type sealBase struct {
	Config string `short:"c" default:"tenu.yaml" type:"path" help:"The configuration file."`
	JSON   bool   `name:"json" help:"Print JSON."`
}

// through goes through the rows, under a bar for people.
func (c *sealBase) through(ctx context.Context, a *app, s *store.Store, w store.SealWork) (store.SealedRows, error) {
	if terminal(a.err) {
		bar := progressbar.NewOptions(-1, progressbar.OptionSetWriter(a.err), progressbar.OptionClearOnFinish(), progressbar.OptionSetWidth(30))
		w.Progress = func(table string, done, total int) {
			bar.Describe(table)
			bar.ChangeMax(total)
			_ = bar.Set(done) // a terminal that is gone stops nothing
		}
		defer func() { _ = bar.Finish() }()
	}
	return s.SealRows(ctx, w)
}

// tell prints what was found and done. What cannot be read is an error, after all of it was told.
func (c *sealBase) tell(a *app, r *store.SealedRows, key int64) error {
	if c.JSON {
		if err := a.json(struct {
			Key int64 `json:"key,omitempty"`
			*store.SealedRows
		}{key, r}); err != nil {
			return err
		}
	} else {
		for _, place := range r.Places {
			a.printf("%s %s\n", a.paint().bad("cannot be read:"), place)
		}
	}
	if r.Lost > 0 {
		return fmt.Errorf("%d sealed values cannot be read", r.Lost)
	}
	return nil
}

// sealCompact is for commands that leave something behind in SQLite's files: what was plain, or a data key as a retired identity opens it.
type sealCompact struct {
	NoCompact bool `help:"Do not write a SQLite file anew: sales wait for that. What was before may still be in it, or in its write-ahead log."`
}

// compact writes the database anew.
func (c *sealCompact) compact(ctx context.Context, s *store.Store) error {
	if c.NoCompact {
		return nil
	}
	return s.Compact(ctx)
}

type sealRowsCmd struct {
	sealBase
	sealCompact
}

// Run seals what is plain. It may be stopped, and goes on when it is called again.
func (c *sealRowsCmd) Run(ctx context.Context, a *app) error {
	return withStore(ctx, a, c.Config, func(_ *config, s *store.Store) error {
		r, err := c.through(ctx, a, s, store.SealWork{})
		if err != nil {
			return err
		}
		if !c.JSON {
			a.printf("%d values were sealed.\n", r.Sealed)
		}
		return errors.Join(c.tell(a, &r, 0), c.compact(ctx, s))
	})
}

type sealRotateCmd struct {
	sealBase
	sealCompact
	Reseal bool `help:"Seal everything again by the new key, in batches. If it is stopped, tenu seal rotate --resume goes on."`
	Resume bool `help:"Make no new key: only go on to seal everything again by the newest."`
}

// Run rotates, and seals again where that is asked for.
func (c *sealRotateCmd) Run(ctx context.Context, a *app) error {
	return withStore(ctx, a, c.Config, func(cfg *config, s *store.Store) error {
		var key int64
		var r store.SealedRows
		var err error
		if !c.Resume {
			if key, err = s.RotateKeys(ctx); err != nil {
				return err
			}
			if !c.JSON {
				a.printf("Data key %d seals from now on. The older ones open to the recipients of now alone.\n", key)
			}
		}
		if c.Reseal || c.Resume {
			if err := c.settle(ctx, a, cfg, s); err != nil {
				return err
			}
			if r, err = c.through(ctx, a, s, store.SealWork{Again: true}); err != nil {
				return err
			}
			if !c.JSON {
				a.printf("%d values were sealed again.\n", r.Sealed)
			}
		}
		return errors.Join(c.tell(a, &r, key), c.compact(ctx, s))
	})
}

// settle waits until no node seals by an older key any more: each takes the newest up when it renews its lease, and who
// does not renew it is out.
func (c *sealRotateCmd) settle(ctx context.Context, a *app, cfg *config, s *store.Store) error {
	leases, err := s.Leases(ctx)
	if err != nil || !slices.ContainsFunc(leases, func(l purchase.Lease) bool { return !l.Fenced }) {
		return err
	}
	wait := orElse(cfg.Store.Lease.Duration, purchase.DefaultLeaseTTL)
	if !c.JSON {
		a.printf("Nodes that run take it up within %s.\n", wait)
	}
	select {
	case <-a.clock.After(wait):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

type sealCheckCmd struct{ sealBase }

// Run opens everything, and changes nothing.
func (c *sealCheckCmd) Run(ctx context.Context, a *app) error {
	return withStore(ctx, a, c.Config, func(_ *config, s *store.Store) error {
		r, err := c.through(ctx, a, s, store.SealWork{Check: true})
		if err != nil {
			return err
		}
		if !c.JSON {
			a.printf("%d sealed values were opened, %d of them by an older data key, %d are plain, %d cannot be read.\n", r.Opened, r.Older, r.Plain, r.Lost)
		}
		return c.tell(a, &r, 0)
	})
}

type sealKeyCmd struct {
	Out string `required:"" placeholder:"FILE" help:"Where the identity is written, for its owner alone. It must not exist."`
}

// Run makes an identity. It is shown nowhere.
func (c *sealKeyCmd) Run(a *app) error {
	text, recipient, err := seal.NewIdentity()
	if err != nil {
		return err
	}
	file, err := os.OpenFile(c.Out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return usage(fmt.Errorf("write the identity: %w", err))
	}
	_, err = file.WriteString(text)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return fmt.Errorf("write the identity: %w", err)
	}
	a.printf("%s\n", recipient)
	return nil
}
