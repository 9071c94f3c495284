package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"tenu/internal/evidence"
	"tenu/internal/purchase"
	"tenu/internal/store"
	"tenu/internal/yamlfile"
)

// logCmd groups what is done with the append-only log.
type logCmd struct {
	Key    logKeyCmd    `cmd:"" help:"Print the key that others check the log with."`
	Proof  logProofCmd  `cmd:"" help:"Prove each thing that the log says of a purchase."`
	Verify logVerifyCmd `cmd:"" help:"Check a proof, offline, and print what it proves."`
	Export logExportCmd `cmd:"" help:"Write the log as files that any server can serve, and that tenu audit reads."`
}

// logBase opens the store and the log's key.
type logBase struct{ storeFlags }

// opened is an open store with what reads its log.
type opened struct {
	*store.Store
	keys   *purchase.Keyring
	signer *evidence.LogSigner
}

func (b *logBase) open(ctx context.Context, a *app) (o *opened, err error) {
	dsn, err := b.dsn(a)
	if err != nil {
		return nil, err
	}
	var cfg *config
	if b.Store == "" {
		if cfg, err = readConfig(b.Config); err != nil {
			return nil, usage(err)
		}
	}
	s, err := store.Open(ctx, dsn, store.Options{Blind: true})
	if err != nil {
		return nil, openAdvice(err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	secret, err := secret(ctx, a, s)
	if err != nil {
		return nil, err
	}
	keys, err := purchase.NewKeyring(secret)
	if err != nil {
		return nil, err
	}
	signer, err := cfg.logSigner(a.env, secret)
	if err != nil {
		return nil, usage(err)
	}
	return &opened{s, keys, signer}, nil
}

// logKeyCmd prints the log's public key.
type logKeyCmd struct {
	logBase
	JSON bool `name:"json" help:"Print JSON."`
}

// Run prints it.
func (c *logKeyCmd) Run(ctx context.Context, a *app) (err error) {
	o, err := c.open(ctx, a)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, o.Close()) }()
	if c.JSON {
		return a.json(struct {
			Origin string `json:"origin"`
			Key    string `json:"key"`
		}{o.signer.Name(), o.signer.VerifierKey()})
	}
	a.printf("%s\n", o.signer.VerifierKey())
	return nil
}

// logProofCmd proves what the log says of a purchase.
type logProofCmd struct {
	logBase
	Reference string `arg:"" help:"The purchase's reference."`
	Out       string `type:"path" help:"A directory to write the proofs to, one file for each change."`
	JSON      bool   `name:"json" help:"Print JSON."`
}

// provenLeaf is one leaf as it is printed.
type provenLeaf struct {
	Version int64  `json:"version"`
	At      string `json:"at"`
	Index   int64  `json:"index"`
	Leaf    string `json:"leaf"`
	Proof   string `json:"proof,omitempty"` // absent while it is in no signed tree
	File    string `json:"file,omitempty"`
}

// Run finds the purchase's leaves and proves each.
func (c *logProofCmd) Run(ctx context.Context, a *app) (err error) {
	o, err := c.open(ctx, a)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, o.Close()) }()
	id, err := o.keys.Parse(c.Reference)
	if err != nil {
		return usage(err)
	}
	all, err := o.prove(ctx, id)
	if err != nil {
		return err
	}
	if c.Out != "" {
		if err := os.MkdirAll(c.Out, 0o755); err != nil { //nolint:gosec // proofs are for everybody
			return fmt.Errorf("make a directory: %w", err)
		}
	}
	for i := range all {
		if c.Out == "" || all[i].Proof == "" {
			continue
		}
		all[i].File = filepath.Join(c.Out, fmt.Sprintf("%s-%d.tlog-proof", o.keys.Reference(id), all[i].Version))
		if err := os.WriteFile(all[i].File, []byte(all[i].Proof), 0o644); err != nil { //nolint:gosec // proofs are for everybody
			return fmt.Errorf("write a proof: %w", err)
		}
	}
	if c.JSON {
		return a.json(all)
	}
	for i := range all {
		l := &all[i]
		a.printf("%s %s, leaf %d\n%s", a.paint().bold(fmt.Sprintf("version %d", l.Version)), l.At, l.Index, l.Leaf)
		switch {
		case l.File != "":
			a.printf("proof in %s\n\n", l.File)
		case l.Proof == "":
			a.printf("in no signed tree yet\n\n")
		default:
			a.printf("\n%s\n", l.Proof)
		}
	}
	return nil
}

// prove finds and proves the leaves of a purchase.
func (o *opened) prove(ctx context.Context, id purchase.ID) ([]provenLeaf, error) {
	records, err := o.Load(ctx, id)
	if err != nil {
		return nil, err
	}
	if len(records) == 0 {
		return nil, purchase.ErrNotFound
	}
	found, err := evidence.Find(ctx, o, evidence.Purchase, int64(id), evidence.Instants(&records[0])...)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, errors.New("the log says nothing of this purchase: if it is older than a minute, that is a breach (tenu audit)")
	}
	from := evidence.FromStore{Store: o}
	checkpoint, err := from.Checkpoint(ctx)
	if err != nil {
		return nil, err
	}
	verifier, err := o.signer.Verifier()
	if err != nil {
		return nil, err
	}
	head, _, err := evidence.OpenCheckpoint(checkpoint, verifier)
	if err != nil {
		return nil, err
	}
	reader := evidence.NewReader(ctx, from, head)
	all := make([]provenLeaf, len(found))
	for i, f := range found {
		all[i] = provenLeaf{Version: f.Version, At: f.At.String(), Index: f.Index, Leaf: string(f.Leaf)}
		if f.Index >= head.Size {
			continue
		}
		path, err := reader.Prove(f.Index)
		if err != nil {
			return nil, err
		}
		all[i].Proof = string((&evidence.Proof{Leaf: f.Leaf, Index: f.Index, Path: path, Checkpoint: checkpoint}).Text())
	}
	return all, nil
}

// trustFlags say whom to trust.
type trustFlags struct {
	Key     string   `required:"" placeholder:"KEY" help:"The log's key, as tenu log key prints it."`
	Witness []string `placeholder:"KEY" help:"The key of a witness that must have cosigned; once for each."`
}

func (f *trustFlags) policy() (p evidence.Policy, err error) {
	if p.Log, err = note.NewVerifier(f.Key); err != nil {
		return p, usage(fmt.Errorf("--key: %w", err))
	}
	for _, text := range f.Witness {
		w, err := evidence.ParseWitnessKey(text)
		if err != nil {
			return p, usage(fmt.Errorf("--witness: %w", err))
		}
		p.Witnesses = append(p.Witnesses, w)
	}
	p.Quorum = len(p.Witnesses)
	return p, nil
}

// logVerifyCmd checks a proof.
type logVerifyCmd struct {
	trustFlags
	File string `arg:"" type:"path" help:"The proof."`
	JSON bool   `name:"json" help:"Print JSON."`
}

// Run checks it, and prints what it proves.
func (c *logVerifyCmd) Run(a *app) error {
	trusted, err := c.policy()
	if err != nil {
		return err
	}
	text, err := yamlfile.Read(c.File)
	if err != nil {
		return fmt.Errorf("read a proof: %w", err)
	}
	p, err := evidence.ParseProof(text)
	if err != nil {
		return err
	}
	head, by, err := p.Verify(trusted)
	if err != nil {
		return err
	}
	var witnesses []string
	for _, s := range by {
		at, _ := evidence.CosignedAt(s)
		witnesses = append(witnesses, s.Name+" at "+at.String())
	}
	if c.JSON {
		return a.json(struct {
			OK        bool     `json:"ok"`
			Origin    string   `json:"origin"`
			Size      int64    `json:"size"`
			Index     int64    `json:"index"`
			Leaf      string   `json:"leaf"`
			Witnesses []string `json:"witnesses"`
		}{true, head.Origin, head.Size, p.Index, string(p.Leaf), witnesses})
	}
	a.printf("%s: leaf %d of the %d of %s\n%s", a.paint().good("proven"), p.Index, head.Size, head.Origin, p.Leaf)
	for _, w := range witnesses {
		a.printf("seen by %s\n", w)
	}
	return nil
}

// logExportCmd writes the log as files.
type logExportCmd struct {
	logBase
	Dir  string `arg:"" type:"path" help:"Where to; what is there of the same log already is kept."`
	JSON bool   `name:"json" help:"Print JSON."`
}

// Run writes them.
func (c *logExportCmd) Run(ctx context.Context, a *app) (err error) {
	o, err := c.open(ctx, a)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, o.Close()) }()
	from := evidence.FromStore{Store: o}
	checkpoint, err := from.Checkpoint(ctx)
	if err != nil {
		return err
	}
	head, err := evidence.ReadHead(checkpoint)
	if err != nil {
		return err
	}
	if err := (&evidence.Publisher{Dir: c.Dir, From: from}).Publish(ctx, head, checkpoint); err != nil {
		return err
	}
	if c.JSON {
		return a.json(struct {
			Origin string `json:"origin"`
			Size   int64  `json:"size"`
		}{head.Origin, head.Size})
	}
	a.printf("%s: %d leaves in %s\n", head.Origin, head.Size, c.Dir)
	return nil
}

// logClient reads logs over HTTP.
func logClient() *http.Client { return &http.Client{Timeout: 30 * time.Second} }

// readKey reads a key given as text or as file:PATH.
func readKey(text string) (string, error) {
	name, is := strings.CutPrefix(text, "file:")
	if !is {
		return text, nil
	}
	data, err := yamlfile.Read(name)
	if err != nil {
		return "", fmt.Errorf("read a key: %w", err)
	}
	return strings.TrimSpace(string(data)), nil
}
