package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"tenu/internal/auth"
	"tenu/internal/partner"
	"tenu/internal/purchase"
	"tenu/internal/reconcile"
	"tenu/internal/reconcile/intake"
	"tenu/internal/store"
)

// reconcileConfig is of partners' statements.
type reconcileConfig struct {
	Dir        string             `yaml:"dir"`
	Sign       string             `yaml:"sign"`
	ByHand     bool               `yaml:"by_hand"`
	Lookback   span               `yaml:"lookback"`
	Window     span               `yaml:"window"`
	Every      span               `yaml:"every"`
	CloseAfter span               `yaml:"close_after"`
	MaxBreaks  int                `yaml:"max_breaks"`
	Statements []statementsConfig `yaml:"statements"`
}

// statementsConfig is how one partner's statements are read and where they come from.
type statementsConfig struct {
	Partner    string            `yaml:"partner"`
	Mapping    string            `yaml:"mapping"`
	Skew       span              `yaml:"skew"`
	NotUndone  bool              `yaml:"not_undone"`
	Settle     span              `yaml:"settle"`
	Settlement *settlementConfig `yaml:"settlement"`
	Sources    []sourceConfig    `yaml:"sources"`
}

// settlementConfig is how a partner's days are settled on an account.
type settlementConfig struct {
	Account    string `yaml:"account"`
	Entries    string `yaml:"entries"`
	Commission int64  `yaml:"commission"`
	Fee        int64  `yaml:"fee"`
	Within     span   `yaml:"within"`
}

// settlement builds it.
func (c *config) settlement(i int) (*reconcile.Settlement, error) {
	raw, path := c.Reconcile.Statements[i].Settlement, fmt.Sprintf("reconcile.statements[%d].settlement", i)
	if raw == nil {
		return nil, nil //nolint:nilnil // there is none
	}
	s := &reconcile.Settlement{Account: raw.Account, Commission: raw.Commission, Fee: raw.Fee, Within: raw.Within.Duration}
	account := slices.IndexFunc(c.Reconcile.Statements, func(o statementsConfig) bool { return o.Partner == raw.Account })
	switch {
	case account < 0 || account == i:
		return nil, c.file.Errorf(path+".account", "no statements of an account %q are configured", raw.Account)
	case raw.Commission < 0 || raw.Commission > 10_000:
		return nil, c.file.Errorf(path+".commission", "hundredths of a per cent, 0 to 10000")
	case raw.Fee < 0:
		return nil, c.file.Errorf(path+".fee", "must not be negative")
	}
	if raw.Entries != "" {
		var err error
		if s.Name, err = regexp.Compile(raw.Entries); err != nil {
			return nil, c.file.Errorf(path+".entries", "%w", err)
		}
	}
	return s, nil
}

// sourceConfig is one place where statements are put. Exactly one of dir, url, sftp and api is given.
type sourceConfig struct {
	Dir           string      `yaml:"dir"`
	Pattern       string      `yaml:"pattern"`
	URL           string      `yaml:"url"`
	Authorization string      `yaml:"authorization"`
	SFTP          *sftpConfig `yaml:"sftp"`
	API           bool        `yaml:"api"`
}

type sftpConfig struct {
	Address  string `yaml:"address"`
	User     string `yaml:"user"`
	Password string `yaml:"password"`
	Key      string `yaml:"key"`
	Host     string `yaml:"host_key"`
	Folder   string `yaml:"folder"`
}

const (
	defaultSkew   = time.Minute
	defaultSettle = 30 * time.Minute
	defaultEvery  = 15 * time.Minute
)

func (c *config) checkReconcile() error {
	names := map[string]bool{}
	for i := range c.Reconcile.Statements {
		s, path := &c.Reconcile.Statements[i], fmt.Sprintf("reconcile.statements[%d]", i)
		switch {
		case s.Partner == "" || len(s.Partner) > 64 || names[s.Partner]:
			return c.file.Errorf(path+".partner", "each needs a partner of its own")
		case s.Mapping == "":
			return c.file.Errorf(path+".mapping", "how the statements are read is needed: one of %s, or a file", strings.Join(reconcile.BuiltIn, ", "))
		}
		names[s.Partner] = true
		m, err := reconcile.LoadMapping(c.mapping(s.Mapping))
		if err != nil {
			return c.file.Errorf(path+".mapping", "%w", err)
		}
		known := slices.ContainsFunc(c.Partners, func(p partnerConfig) bool { return p.Name == s.Partner })
		if !known && m.Format != reconcile.FormatCAMT {
			return c.file.Errorf(path+".partner", "no partner is called %q, and it is no settlement account", s.Partner)
		}
		if _, err := c.settlement(i); err != nil {
			return err
		}
		for j := range s.Sources {
			if err := c.checkSource(fmt.Sprintf("%s.sources[%d]", path, j), &s.Sources[j]); err != nil {
				return err
			}
		}
	}
	if c.Reconcile.MaxBreaks < 0 {
		return c.file.Errorf("reconcile.max_breaks", "must not be negative")
	}
	return nil
}

func (c *config) checkSource(path string, s *sourceConfig) error {
	given := 0
	for _, is := range []bool{s.Dir != "", s.URL != "", s.SFTP != nil, s.API} {
		if is {
			given++
		}
	}
	if given != 1 {
		return c.file.Errorf(path, "exactly one of dir, url, sftp and api is needed")
	}
	if _, err := filepath.Match(s.Pattern, "x"); err != nil {
		return c.file.Errorf(path+".pattern", "%w", err)
	}
	if s.SFTP != nil && s.SFTP.Host == "" {
		return c.file.Errorf(path+".sftp.host_key", "the server's host key is needed, as ssh-keyscan prints it: ssh-ed25519 AAAA...")
	}
	return nil
}

// mapping is where a mapping is: one of tenu's own, or a file relative to the configuration.
func (c *config) mapping(name string) string {
	if slices.Contains(reconcile.BuiltIn, name) {
		return name
	}
	return c.path(name)
}

// reconciliation is what a node and the commands share: the desk, and where statements come from.
type reconciliation struct {
	*reconcile.Desk
	cfg     *config
	sources map[string][]intake.Source
	zone    *time.Location
	sign    note.Signer // nil where no key is configured
	verify  note.Verifiers
}

// reconciliation builds it.
func (c *config) reconciliation(a *app, s *store.Store, p *parts, keys *purchase.Keyring, grants reconcile.Grants) (*reconciliation, error) {
	r := &reconciliation{cfg: c, sources: map[string][]intake.Source{}, zone: p.zone}
	raw := &c.Reconcile
	cfg := reconcile.Config{Grants: grants, Store: s, Keys: keys, Clock: a.clock, Lookback: raw.Lookback.Duration, Window: raw.Window.Duration, MaxBreaks: raw.MaxBreaks,
		Zone: p.zone, Dir: c.path(raw.Dir), ByHand: raw.ByHand, Bounds: map[auth.Role]reconcile.Bounds{},
		Reference: func(id purchase.ID) string { return keys.Reference(id).String() }}
	for role, b := range c.Care.policy().Bounds {
		cfg.Bounds[role] = reconcile.Bounds{Single: b.Single, Unchecked: b.Unchecked, Approve: b.Approve}
	}
	for i := range raw.Statements {
		st, path := &raw.Statements[i], fmt.Sprintf("reconcile.statements[%d]", i)
		m, err := reconcile.LoadMapping(c.mapping(st.Mapping))
		if err != nil {
			return nil, c.file.Errorf(path+".mapping", "%w", err)
		}
		known := reconcile.Known{Mapping: m, Partner: reconcile.Partner{Name: st.Partner, Undone: !st.NotUndone, Skew: orElse(st.Skew.Duration, defaultSkew)}}
		if guard := p.guards[st.Partner]; guard != nil {
			known.Capability = guard.Capability
		}
		if known.Settlement, err = c.settlement(i); err != nil {
			return nil, err
		}
		var own *partnerConfig
		for j := range c.Partners {
			if c.Partners[j].Name == st.Partner {
				own = &c.Partners[j]
				known.RefIsKey = own.UCIP != nil
			}
		}
		cfg.Known = append(cfg.Known, known)
		for j := range st.Sources {
			source, err := c.source(a, fmt.Sprintf("%s.sources[%d]", path, j), &st.Sources[j], own)
			if err != nil {
				return nil, err
			}
			r.sources[st.Partner] = append(r.sources[st.Partner], source)
		}
	}
	var err error
	if r.Desk, err = reconcile.NewDesk(cfg); err != nil {
		return nil, err
	}
	return r, r.signing(a)
}

// signing reads the key that closes are signed with.
func (r *reconciliation) signing(a *app) error {
	text, err := r.cfg.secret(a.env, "reconcile.sign", r.cfg.Reconcile.Sign)
	if err != nil || text == "" {
		return err
	}
	if r.sign, err = note.NewSigner(text); err != nil {
		return r.cfg.file.Errorf("reconcile.sign", "not a key that `tenu reconcile key` makes")
	}
	public, err := verifierOf(text)
	if err != nil {
		return r.cfg.file.Errorf("reconcile.sign", "%w", err)
	}
	verifier, err := note.NewVerifier(public)
	if err != nil {
		return r.cfg.file.Errorf("reconcile.sign", "%w", err)
	}
	r.verify = note.VerifierList(verifier)
	return nil
}

// fetchTimeout bounds how long one statement may take to come.
const fetchTimeout = 30 * time.Minute

// source is a place where statements are put.
func (c *config) source(a *app, path string, s *sourceConfig, own *partnerConfig) (intake.Source, error) {
	header := http.Header{}
	if value, err := c.secret(a.env, path+".authorization", s.Authorization); err != nil {
		return nil, err
	} else if value != "" {
		header.Set("Authorization", value)
	}
	pattern := orElse(s.Pattern, "*")
	switch {
	case s.Dir != "":
		return &intake.Directory{Path: c.path(s.Dir), Pattern: pattern}, nil
	case s.SFTP != nil:
		return c.sftp(a, path+".sftp", s.SFTP, pattern)
	}
	var trust *tls.Config
	client := &http.Client{Transport: partner.Transport(2, 10*time.Second, trust), Timeout: fetchTimeout}
	switch {
	case s.URL != "":
		return &intake.HTTP{Address: s.URL, Header: header, Client: client}, nil
	case own != nil && own.CGRateS != nil:
		return &intake.CGRateS{URL: own.URL, Tenant: orElse(own.CGRateS.Tenant, "cgrates.org"), Header: header, Client: client}, nil
	case own != nil && own.GSMA != nil:
		key, err := c.secret(a.env, path+".api", own.GSMA.APIKey)
		if err != nil {
			return nil, err
		}
		header.Set("X-API-Key", key)
		return &intake.GSMA{URL: own.URL, Account: own.GSMA.Merchant.Key + "/" + own.GSMA.Merchant.Value, Header: header, Client: client}, nil
	}
	return nil, c.file.Errorf(path+".api", "only partners that speak GSMA Mobile Money or CGRateS tell their transactions")
}

func (c *config) sftp(a *app, path string, s *sftpConfig, pattern string) (intake.Source, error) {
	password, err := c.secret(a.env, path+".password", s.Password)
	if err != nil {
		return nil, err
	}
	key, err := c.secret(a.env, path+".key", s.Key)
	if err != nil {
		return nil, err
	}
	source := &intake.SFTP{Address: s.Address, User: s.User, Password: password, Host: s.Host, Folder: orElse(s.Folder, "."), Pattern: pattern, Timeout: 30 * time.Second}
	if key != "" {
		source.Key = []byte(key + "\n")
	}
	if err := source.Check(); err != nil {
		return nil, c.file.Errorf(path, "%w", err)
	}
	return source, nil
}

// reconcileCmd groups what is done with partners' statements.
type reconcileCmd struct {
	Load       reconcileLoadCmd       `cmd:"" default:"withargs" help:"Load a statement by hand: check it, match it, and keep what does not match as breaks."`
	Fetch      reconcileFetchCmd      `cmd:"" help:"Fetch what the configured sources have, once; a running node does it by itself."`
	Statements reconcileStatementsCmd `cmd:"" help:"List the statements that were loaded."`
	Breaks     reconcileBreaksCmd     `cmd:"" help:"List breaks, the newest first."`
	Show       reconcileShowCmd       `cmd:"" help:"Show a break with its history and the correction that is proposed."`
	Accept     reconcileAcceptCmd     `cmd:"" help:"Accept the correction of a break; above the limits somebody else accepts it too."`
	Refuse     reconcileRefuseCmd     `cmd:"" help:"Refuse a correction that somebody asked for: the break is open again."`
	Resolve    reconcileResolveCmd    `cmd:"" help:"End a break without a correction, as when it was settled with the partner."`
	Close      reconcileCloseCmd      `cmd:"" help:"Close a day: sign what was reconciled, what is open, and who owes whom."`
	Closes     reconcileClosesCmd     `cmd:"" help:"List the signed closes, and check each signature and the chain."`
	Settled    reconcileSettledCmd    `cmd:"" help:"List the days of partners as they are owed and as the settlement accounts show them."`
	Key        reconcileKeyCmd        `cmd:"" help:"Make the key that closes are signed with."`
	Bench      reconcileBenchCmd      `cmd:"" help:"Measure how long a statement of many lines takes."`
}

// reconcileBase is what the commands share.
type reconcileBase struct {
	Config string `short:"c" default:"tenu.yaml" type:"path" help:"The configuration file."`
}

// open opens the store of a configuration for as long as use lasts.
func (c *reconcileBase) open(ctx context.Context, a *app, use func(*reconciliation, *store.Store) error) error {
	return withStore(ctx, a, c.Config, func(cfg *config, s *store.Store) error {
		keys, err := keyring(ctx, a, s)
		if err != nil {
			return err
		}
		p, err := cfg.parts(a, keys)
		if err != nil {
			return usage(err)
		}
		defer func() {
			for _, each := range p.adapters {
				each.transport.CloseIdleConnections()
			}
		}()
		r, err := cfg.reconciliation(a, s, p, keys, nil)
		if err != nil {
			return usage(err)
		}
		return use(r, s)
	})
}

// staff is who decides about a break.
func (r *reconciliation) staff(ctx context.Context, s *store.Store, login string) (auth.Staff, error) {
	people, err := s.People(ctx)
	if err != nil {
		return auth.Staff{}, err
	}
	i := slices.IndexFunc(people, func(p auth.Staff) bool { return p.Login == strings.ToLower(login) })
	if i < 0 {
		return auth.Staff{}, usage(fmt.Errorf("nobody has the login %q; `tenu staff list` lists them", login))
	}
	return people[i], nil
}

// period is the last day that is over, in the profile's time zone, so many days back.
func (r *reconciliation) period(now purchase.Instant, back int) intake.Period {
	t := now.Time().In(r.zone)
	begin := time.Date(t.Year(), t.Month(), t.Day()-1-back, 0, 0, 0, 0, r.zone)
	return intake.Period{From: purchase.At(begin), To: purchase.At(begin.AddDate(0, 0, 1))}
}

// fetched is what became of one file.
type fetched struct {
	Partner string `json:"partner"`
	Source  string `json:"source"`
	File    string `json:"file"`
	Error   string `json:"error,omitempty"`
	report  reconcile.Report
}

// fetch loads what the sources have and was not seen. One that cannot be read is told, and does not stop the others.
func (r *reconciliation) fetch(ctx context.Context, now purchase.Instant, seen *intake.Seen, tell func(fetched)) error {
	for i := range r.cfg.Reconcile.Statements {
		st := &r.cfg.Reconcile.Statements[i]
		known, _ := r.Known(st.Partner)
		for _, source := range r.sources[st.Partner] {
			for back := 2; back >= 0; back-- {
				p := r.period(now, back)
				if now < p.To.Add(orElse(st.Settle.Duration, defaultSettle)) {
					continue
				}
				files, err := source.Files(ctx, p)
				if err != nil {
					tell(fetched{Partner: st.Partner, Source: source.Name(), Error: err.Error()})
					break
				}
				for k := range files {
					if err := r.fetchOne(ctx, &known, source, &files[k], p, seen, tell); err != nil {
						return err
					}
				}
				if len(files) > 0 && !files[0].Dated {
					break // it lists whatever there is
				}
			}
		}
	}
	return nil
}

// fetchOne loads one file. It returns an error only when nothing more can be done.
func (r *reconciliation) fetchOne(ctx context.Context, known *reconcile.Known, source intake.Source, f *intake.File, p intake.Period, seen *intake.Seen, tell func(fetched)) error {
	if seen.Has(source.Name(), f) {
		return nil
	}
	out := fetched{Partner: known.Name, Source: source.Name(), File: filepath.Base(f.Name)}
	in, err := f.Open(ctx)
	if errors.Is(err, intake.ErrUnchanged) {
		return nil
	}
	if err == nil {
		want := reconcile.Want{Partner: known.Name}
		if f.Dated {
			want.From, want.To = p.From, p.To
		}
		out.report, err = r.Load(ctx, f.Name, in, known.Mapping, want, nil)
		in.Close()
	}
	var wrong *reconcile.Fault
	if err == nil || errors.As(err, &wrong) || errors.Is(err, reconcile.ErrTooMany) { // it will not be another when it is read again
		seen.Add(source.Name(), f)
	}
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		out.Error = err.Error()
	}
	tell(out)
	return nil
}
