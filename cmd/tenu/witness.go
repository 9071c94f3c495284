package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"tenu/internal/api"
	"tenu/internal/evidence"
	"tenu/internal/evidence/witness"
	"tenu/internal/telemetry"
	"tenu/internal/yamlfile"
)

// witnessCmd runs a witness, which is a regulator's and no part of the installation.
type witnessCmd struct {
	Dir    string        `required:"" type:"path" help:"Its store: a directory of its own, with its key; made when absent."`
	Name   string        `default:"witness.invalid" help:"Its name, for a key that is made now."`
	LogKey []string      `required:"" name:"log-key" placeholder:"KEY" help:"The key of a log to witness, or file:PATH; once for each."`
	Listen string        `placeholder:"HOST:PORT" help:"Where logs submit checkpoints (C2SP tlog-witness), and anybody reads the cosigned ones."`
	Log    []string      `placeholder:"URL" help:"Where a log is published, to read its checkpoints there; in the order of the keys."`
	Every  time.Duration `default:"10s" help:"How often they are read."`
	Once   bool          `help:"Read them once and exit; exit 1 where one is refused."`
}

const witnessKeyFile = "key"

// key reads the witness's key, or makes one.
func (c *witnessCmd) key(a *app) (*evidence.Cosigner, error) {
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the witness's directory: %w", err)
	}
	path := filepath.Join(c.Dir, witnessKeyFile)
	switch data, err := yamlfile.Read(path); {
	case err == nil:
		return evidence.ParseCosigner(string(data))
	case !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("read the witness's key: %w", err)
	}
	key, err := evidence.NewCosigner(c.Name, a.random)
	if err != nil {
		return nil, usage(err)
	}
	if err := witness.Replace(c.Dir, witnessKeyFile, []byte(key.Secret()+"\n")); err != nil { // half a key would be none for ever
		return nil, fmt.Errorf("keep the witness's key: %w", err)
	}
	return key, nil
}

// Run witnesses until ctx ends.
func (c *witnessCmd) Run(ctx context.Context, a *app) error {
	key, err := c.key(a)
	if err != nil {
		return err
	}
	log, err := telemetry.NewLogger(a.err, "text", "info")
	if err != nil {
		return err
	}
	cfg := witness.Config{Dir: c.Dir, Key: key, Clock: a.clock, Log: log}
	for _, text := range c.LogKey {
		if text, err = readKey(text); err != nil {
			return usage(err)
		}
		v, err := note.NewVerifier(text)
		if err != nil {
			return usage(fmt.Errorf("--log-key: %w", err))
		}
		cfg.Logs = append(cfg.Logs, v)
	}
	if len(c.Log) > len(cfg.Logs) || len(c.Log) == 0 && c.Listen == "" {
		return usage(errors.New("give the place of a log for each key with --log, or listen for what logs submit with --listen"))
	}
	w, err := witness.New(cfg)
	if err != nil {
		return err
	}
	a.printf("%s\n", key.VerifierKey())
	if c.Once {
		return c.pull(ctx, w, cfg.Logs, log)
	}
	done := make(chan error, 1)
	if c.Listen != "" {
		var lc net.ListenConfig
		listener, err := lc.Listen(ctx, "tcp", c.Listen)
		if err != nil {
			return fmt.Errorf("listen for logs: %w", err)
		}
		a.printf("listening on %s\n", listener.Addr())
		go func() {
			done <- api.Serve(ctx, api.Site{Listener: listener, Handler: w.Handler(), MaxConns: 256, Log: log}, time.Second)
		}()
	} else {
		close(done)
	}
	for ctx.Err() == nil && len(c.Log) > 0 {
		if err := c.pull(ctx, w, cfg.Logs, log); err != nil && ctx.Err() == nil {
			log.Warn("a log is not cosigned", slog.Any("error", err))
		}
		select {
		case <-ctx.Done():
		case <-a.clock.After(max(c.Every, time.Second)):
		}
	}
	<-ctx.Done()
	return <-done
}

// pull reads each log where it is published.
func (c *witnessCmd) pull(ctx context.Context, w *witness.Witness, logs []note.Verifier, log *slog.Logger) error {
	var errs []error
	for i, address := range c.Log {
		_, err := w.Pull(ctx, evidence.Open(strings.TrimSpace(address), logClient()), logs[i].Name())
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", address, err))
			continue
		}
		log.Debug("a log is cosigned", slog.String("origin", logs[i].Name()))
	}
	return errors.Join(errs...)
}
