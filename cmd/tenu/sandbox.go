package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"tenu/internal/api"
	"tenu/internal/money"
	"tenu/internal/sandbox"
	"tenu/internal/telemetry"
)

// The sandbox's side of what tenu.example.yaml and the demonstration configure.
const (
	sandboxMerchantKey = "organisationid"
	sandboxMerchant    = "tenu"
	sandboxProfile     = "AIRT"
	sandboxDetect      = 24 * time.Hour
)

// sandboxBundles are what the charging system gives for the built-in catalogue's
// bundles, by refill profile.
var sandboxBundles = map[string]sandbox.ChargingBundle{
	"DDAY": {Code: "data-day", Account: 11, Value: 250, Unit: "MB", Validity: 24 * time.Hour},
	"DWEE": {Code: "data-week", Account: 12, Value: 1024, Unit: "MB", Validity: 7 * 24 * time.Hour},
	"DMON": {Code: "data-month", Account: 13, Value: 6144, Unit: "MB", Validity: 30 * 24 * time.Hour},
	"VDAY": {Code: "voice-day", Account: 21, Value: 30, Unit: "min", Validity: 24 * time.Hour},
}

// sandboxFlags say where the sandbox listens and keeps its books.
type sandboxFlags struct {
	Dir  string `default:"demo-data" type:"path" help:"Where the books are kept; made when absent."`
	Host string `default:"127.0.0.1" help:"The address to listen on."`
	Port int    `default:"8490" help:"Port of the wallet; the charging system and the SMS centre take the next two. 0: any free ones."`

	Prompt bool `help:"Customers of the wallet are charged at once, instead of being asked to approve it."`
}

// sandboxCmd runs the partners alone.
type sandboxCmd struct {
	sandboxFlags
	JSON bool `name:"json" help:"Print JSON."`
}

// Run runs the partners until ctx ends.
func (c *sandboxCmd) Run(ctx context.Context, a *app) (err error) {
	log, err := telemetry.NewLogger(a.err, "text", "warn")
	if err != nil {
		return err
	}
	s, err := openSandbox(ctx, a, &c.sandboxFlags, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	if c.JSON {
		err = a.json(s.addresses())
	} else {
		s.print(a)
		a.printf("\nCtrl-C stops it; the books stay in %s.\n", c.Dir)
	}
	s.run(ctx)
	return err
}

// partner is one of the sandbox's servers.
type sandboxServer interface {
	http.Handler
	Run(context.Context) error
	Book() *sandbox.Book
	Close() error
}

// sandboxPartners are the wallet, the charging system and the SMS centre.
type sandboxPartners struct {
	log         *slog.Logger
	listeners   []net.Listener
	servers     []sandboxServer
	callbackKey []byte
	keyFile     string
}

const (
	walletAt = iota
	chargingAt
	smsAt
	sandboxCount
)

// openSandbox opens the partners' books and listeners. close must be called.
func openSandbox(ctx context.Context, a *app, flags *sandboxFlags, log *slog.Logger) (s *sandboxPartners, err error) {
	s = &sandboxPartners{log: log, keyFile: filepath.Join(flags.Dir, "callback-key")}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	if err := os.MkdirAll(flags.Dir, 0o750); err != nil {
		return s, fmt.Errorf("make %s: %w", flags.Dir, err)
	}
	if s.callbackKey, err = keptSecret(s.keyFile, func() (string, error) { return randomHex(a.random) }); err != nil {
		return s, err
	}
	var lc net.ListenConfig
	for i := range sandboxCount {
		port := flags.Port
		if port != 0 {
			port += i
		}
		listener, err := lc.Listen(ctx, "tcp", net.JoinHostPort(flags.Host, strconv.Itoa(port)))
		if err != nil {
			return s, fmt.Errorf("%w (choose other ports with --port)", err)
		}
		s.listeners = append(s.listeners, listener)
	}
	return s, s.open(ctx, a, flags)
}

func (s *sandboxPartners) open(ctx context.Context, a *app, flags *sandboxFlags) error {
	base := func(name string) sandbox.Config {
		return sandbox.Config{Name: name, Path: filepath.Join(flags.Dir, name+".journal"), StatementDir: filepath.Join(flags.Dir, "statements"),
			Clock: a.clock, Log: s.log}
	}
	customers := sandbox.WalletConfig{Config: base("wallet"), Currency: money.XOF, Opening: 500_000,
		MerchantKey: sandboxMerchantKey, Merchant: sandboxMerchant, CallbackKey: s.callbackKey, CallbackRetries: 3}
	if !flags.Prompt {
		customers.Async, customers.After = true, 200*time.Millisecond
	}
	wallet, err := sandbox.NewWallet(ctx, customers)
	if err != nil {
		return err
	}
	s.servers = append(s.servers, wallet)
	charging, err := sandbox.NewCharging(ctx, sandbox.ChargingConfig{Config: base("ocs"), Currency: money.XOF,
		Prefixes: []string{"2260", "2264", "2265", "2266", "2267"}, CountryCode: "226", Opening: 250, Most: 1_000_000,
		Profile: sandboxProfile, Bundles: sandboxBundles, DetectFor: sandboxDetect})
	if err != nil {
		return err
	}
	s.servers = append(s.servers, charging)
	centre, err := sandbox.NewSMS(ctx, sandbox.SMSConfig{Config: base("sms")})
	if err != nil {
		return err
	}
	s.servers = append(s.servers, centre)
	return nil
}

// keptSecret returns what a file holds, made at first and readable by its owner alone.
func keptSecret(path string, fresh func() (string, error)) ([]byte, error) {
	data, err := os.ReadFile(path) //nolint:gosec // a file of our own making
	if err == nil {
		return data, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	text, err := fresh()
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return nil, fmt.Errorf("keep %s: %w", path, err)
	}
	return []byte(text), nil
}

func randomHex(random io.Reader) (string, error) {
	var secret [32]byte
	if _, err := io.ReadFull(random, secret[:]); err != nil {
		return "", fmt.Errorf("make a secret: %w", err)
	}
	return hex.EncodeToString(secret[:]), nil
}

// run serves until ctx ends.
func (s *sandboxPartners) run(ctx context.Context) {
	var all sync.WaitGroup
	for i, server := range s.servers {
		all.Go(func() {
			site := api.Site{Listener: s.listeners[i], Handler: server, MaxConns: maxConnections, Log: s.log}
			if err := api.Serve(ctx, site, time.Second); err != nil && ctx.Err() == nil {
				s.log.Error("sandbox partner ended", slog.Any("error", err))
			}
		})
		all.Go(func() {
			if err := server.Run(ctx); err != nil {
				s.log.Error("sandbox partner's due work ended", slog.Any("error", err))
			}
		})
	}
	all.Wait()
}

// sandboxAddresses are where the partners are.
type sandboxAddresses struct {
	Wallet   string `json:"wallet"`
	Charging string `json:"charging"`
	SMS      string `json:"sms"`
}

func (s *sandboxPartners) addresses() sandboxAddresses {
	at := func(i int) string { return "http://" + s.listeners[i].Addr().String() }
	return sandboxAddresses{at(walletAt), at(chargingAt), at(smsAt)}
}

func (s *sandboxPartners) print(a *app) {
	at := s.addresses()
	a.printf("  wallet (GSMA Mobile Money API 1.2)  %s\n", at.Wallet)
	a.printf("  charging system (Ericsson UCIP)     %s/Air\n", at.Charging)
	a.printf("  SMS centre and phones               %s\n", at.SMS)
}

// close closes the books and whatever listener is still open.
func (s *sandboxPartners) close() error {
	var errs []error
	for _, listener := range s.listeners {
		if err := listener.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	for _, server := range s.servers {
		errs = append(errs, server.Close())
	}
	return errors.Join(errs...)
}
