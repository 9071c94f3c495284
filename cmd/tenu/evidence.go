package main

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"tenu/internal/evidence"
	"tenu/internal/evidence/witness"
	"tenu/internal/telemetry"
)

// evidenceConfig is of the append-only log.
type evidenceConfig struct {
	Origin    string          `yaml:"origin"`
	Key       string          `yaml:"key"`
	Folder    string          `yaml:"folder"`
	Witnesses []witnessConfig `yaml:"witnesses"`
}

type witnessConfig struct {
	URL string `yaml:"url"`
	Key string `yaml:"key"`
}

// logPath is where the log is served beside the API.
const logPath = "/log"

func (c *config) checkEvidence() error {
	if strings.ContainsAny(c.Evidence.Origin, " +\n\t") || len(c.Evidence.Origin) > 200 {
		return c.file.Errorf("evidence.origin", "must be a name such as tenu.example/log, without spaces and plus signs")
	}
	for i, w := range c.Evidence.Witnesses {
		path := fmt.Sprintf("evidence.witnesses[%d]", i)
		if u, err := url.Parse(w.URL); err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
			return c.file.Errorf(path+".url", "must be an address such as https://witness.example")
		}
		if _, err := evidence.ParseWitnessKey(w.Key); err != nil {
			return c.file.Errorf(path+".key", "%w", err)
		}
	}
	return nil
}

// logSigner is the log's key: the one that the configuration names, or one derived of the
// installation's secret. c may be nil.
func (c *config) logSigner(env func(string) string, secret []byte) (*evidence.LogSigner, error) {
	sum := sha256.Sum256(append([]byte("tenu origin\x00"), secret...))
	origin := "tenu.invalid/" + hex.EncodeToString(sum[:6])
	if c != nil && c.Evidence.Origin != "" {
		origin = c.Evidence.Origin
	}
	if c == nil || c.Evidence.Key == "" {
		seed, err := evidence.DeriveSeed(secret, origin)
		if err != nil {
			return nil, err
		}
		return evidence.NewLogSigner(origin, seed)
	}
	text, err := c.secret(env, "evidence.key", c.Evidence.Key)
	if err != nil {
		return nil, err
	}
	seed, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(seed) != sha256.Size {
		return nil, c.file.Errorf("evidence.key", "32 bytes of chance are needed, in base64 (openssl rand -base64 32)")
	}
	return evidence.NewLogSigner(origin, seed)
}

// logKey is the public key of the log that the configuration names, "" where it is derived of the installation's secret.
func (c *config) logKey(env func(string) string) (string, error) {
	if c.Evidence.Key == "" || c.Evidence.Origin == "" {
		return "", nil
	}
	signer, err := c.logSigner(env, nil)
	if err != nil {
		return "", err
	}
	return signer.VerifierKey(), nil
}

// buildLog builds what makes a tree of the leaves that commits leave.
func (n *node) buildLog(secret []byte) error {
	signer, err := n.cfg.logSigner(n.app.env, secret)
	if err != nil {
		return usage(err)
	}
	verifier, err := signer.Verifier()
	if err != nil {
		return err
	}
	n.logKey, n.prover = signer.VerifierKey(), &evidence.Prover{Store: n.store, Log: verifier}
	cfg := evidence.SequencerConfig{Store: n.store, Signer: signer, Log: n.log, Clock: n.app.clock, Standing: func(ctx context.Context) (bool, error) {
		epoch := n.engine.Stats().Epoch
		if epoch == 0 {
			return false, nil
		}
		mine, _, err := n.store.Standing(ctx, epoch)
		return mine, err
	}}
	if folder := n.cfg.path(n.cfg.Evidence.Folder); folder != "" {
		if err := os.MkdirAll(folder, 0o755); err != nil { //nolint:gosec // for a server to read
			return usage(n.cfg.file.Errorf("evidence.folder", "%w", err))
		}
		cfg.Publish = (&evidence.Publisher{Dir: folder, From: evidence.FromStore{Store: n.store}}).Publish
	}
	client := &http.Client{Timeout: 5 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for _, w := range n.cfg.Evidence.Witnesses {
		key, err := evidence.ParseWitnessKey(w.Key)
		if err != nil {
			return usage(err)
		}
		cfg.Witnesses = append(cfg.Witnesses, &witness.Client{URL: strings.TrimRight(w.URL, "/"), Witness: key, Client: client})
	}
	n.sequencer, err = evidence.NewSequencer(cfg)
	return err
}

// withLog serves the log's files beside the API. Whoever asks may see them: nobody is in them.
func (n *node) withLog(rest http.Handler) http.Handler {
	files := http.StripPrefix(logPath, evidence.Handler(evidence.FromStore{Store: n.store}))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, logPath+"/") {
			files.ServeHTTP(w, r)
			return
		}
		rest.ServeHTTP(w, r)
	})
}

// witnessName is the name in a witness's key.
func witnessName(key string) string {
	name, _, _ := strings.Cut(key, "+")
	return name
}

// logFigures are asked at each scrape of the metrics.
func (n *node) logFigures() (telemetry.Evidence, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	own, now := n.sequencer.Figures(), n.app.clock.Now()
	figures := telemetry.Evidence{Late: own.Late}
	for i, w := range n.cfg.Evidence.Witnesses {
		b := telemetry.Behind{Witness: witnessName(w.Key)}
		named := func(other telemetry.Behind) bool { return other.Witness == b.Witness }
		if own.Signed == 0 || slices.ContainsFunc(figures.Behind, named) {
			continue
		}
		if own.Behind[i] != 0 {
			b.For = max(now.Sub(own.Behind[i]), 0)
		}
		figures.Behind = append(figures.Behind, b)
	}
	state, err := n.store.LogState(ctx)
	if err != nil {
		return figures, err
	}
	waiting, oldest, err := n.store.LogWaiting(ctx)
	if err != nil {
		return figures, err
	}
	figures.Size, figures.Waiting = state.Size, waiting
	if oldest != 0 {
		figures.Oldest = max(now.Sub(oldest), 0)
	}
	if state.SealedAt != 0 {
		figures.Head = max(now.Sub(state.SealedAt), 0)
	}
	if head, err := evidence.ReadHead(state.Checkpoint); own.Signed != 0 && (err != nil || head.Size != state.Size) {
		figures.Head = max(figures.Head, now.Sub(own.Signed)) // the tree grew, and was not signed since
	}
	return figures, nil
}
