package main

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"time"

	"tenu/internal/auth"
	"tenu/internal/profile"
	"tenu/internal/purchase"
	"tenu/internal/yamlfile"
)

// config is the configuration file. tenu.example.yaml explains every key; keys
// that it does not know are refused.
type config struct {
	Node      string          `yaml:"node"`
	Test      bool            `yaml:"test_deployment"`
	Shard     int             `yaml:"shard"`
	Listen    listenConfig    `yaml:"listen"`
	Store     storeConfig     `yaml:"store"`
	Profile   profileConfig   `yaml:"profile"`
	Numbering numberingConfig `yaml:"numbering"`
	Catalogue string          `yaml:"catalogue"`
	Partners  []partnerConfig `yaml:"partners"`
	SMS       smsConfig       `yaml:"sms"`
	App       appConfig       `yaml:"app"`
	Callbacks callbacksConfig `yaml:"callbacks"`
	Care      careConfig      `yaml:"care"`
	Incidents incidentsConfig `yaml:"incidents"`
	Reconcile reconcileConfig `yaml:"reconcile"`
	Status    statusConfig    `yaml:"status"`
	USSD      ussdConfig      `yaml:"ussd"`
	Voice     voiceConfig     `yaml:"voice"`
	Clients   []clientConfig  `yaml:"clients"`
	Webhooks  webhooksConfig  `yaml:"webhooks"`
	Mail      mailConfig      `yaml:"mail"`
	Console   consoleConfig   `yaml:"console"`
	Receipts  receiptsConfig  `yaml:"receipts"`
	Regulator regulatorConfig `yaml:"regulator"`
	Evidence  evidenceConfig  `yaml:"evidence"`
	Retention retentionConfig `yaml:"retention"`
	Log       logConfig       `yaml:"log"`
	Traces    tracesConfig    `yaml:"traces"`

	file *yamlfile.File
	dir  string // relative paths in the file are relative to the file
}

type listenConfig struct {
	API            string    `yaml:"api"`
	Admin          string    `yaml:"admin"`
	App            string    `yaml:"app"`
	USSD           string    `yaml:"ussd"`
	Console        string    `yaml:"console"`
	Status         string    `yaml:"status"`
	Regulator      string    `yaml:"regulator"`
	MaxConnections int       `yaml:"max_connections"`
	TLS            tlsConfig `yaml:"tls"`
}

type tlsConfig struct {
	Certificate string `yaml:"certificate"`
	Key         string `yaml:"key"`
}

type storeConfig struct {
	DSN        string `yaml:"dsn"`
	Committers int    `yaml:"committers"`
	MaxBatch   int    `yaml:"max_batch"`
	Lease      span   `yaml:"lease"`

	Sealing sealingConfig `yaml:"sealing"`
}

// profileConfig overrides single rules of purchase.DefaultRules.
type profileConfig struct {
	// Country is that of the built-in limits, Drafts whether those count that are only proposed.
	Country string `yaml:"country"`
	Drafts  bool   `yaml:"drafts"`

	ApproveWithin  *span  `yaml:"approve_within"`
	DeliverWithin  *span  `yaml:"deliver_within"`
	ResolveWithin  *span  `yaml:"resolve_within"`
	ResolveMargin  *span  `yaml:"resolve_margin"`
	RefundWithin   *span  `yaml:"refund_within"`
	RetryFirst     *span  `yaml:"retry_first"`
	RetryMost      *span  `yaml:"retry_most"`
	WatchFor       *span  `yaml:"watch_for"`
	RepeatWithin   *span  `yaml:"repeat_within"`
	RefundUnproven bool   `yaml:"refund_unproven"`
	Timezone       string `yaml:"timezone"`
}

type numberingConfig struct {
	Plan   string `yaml:"plan"`
	Ported string `yaml:"ported"`
}

type clientConfig struct {
	Name     string      `yaml:"name"`
	Channel  string      `yaml:"channel"`
	Scopes   []string    `yaml:"scopes"`
	Keys     []keyConfig `yaml:"keys"`
	Rate     float64     `yaml:"rate"`
	Burst    int         `yaml:"burst"`
	InFlight int         `yaml:"in_flight"`
	Streams  int         `yaml:"streams"`
}

type keyConfig struct {
	Hash    string `yaml:"hash"`
	Expires string `yaml:"expires"`
}

type logConfig struct {
	Format string `yaml:"format"`
	Level  string `yaml:"level"`
}

// readConfig reads and checks a configuration file.
func readConfig(path string) (*config, error) {
	data, err := yamlfile.Read(path)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	return parseConfig(path, data)
}

// parseConfig reads a configuration and checks what can be checked without
// opening anything. Errors name the file, line and key.
func parseConfig(path string, data []byte) (*config, error) {
	c := &config{dir: filepath.Dir(path)}
	file, err := yamlfile.Decode(path, data, c)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	c.file = file
	if err := checkSpans(file, "", reflect.ValueOf(*c)); err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	for _, check := range []func() error{c.checkNode, c.checkListen, c.checkPartners, c.checkClients, c.checkCare, c.checkIncidents, c.checkReconcile, c.checkStatus, c.checkConsole, c.checkEvidence, c.checkRetention, c.checkVoice,
		c.checkSealing, c.checkTraces} {
		if err := check(); err != nil {
			return nil, fmt.Errorf("configuration: %w", err)
		}
	}
	if _, err := c.rules(); err != nil {
		return nil, fmt.Errorf("configuration: %w", c.file.Errorf("profile", "%w", err))
	}
	return c, nil
}

func (c *config) checkNode() error {
	switch {
	case c.Node == "" || len(c.Node) > 64:
		return c.file.Errorf("node", "a name of 1 to 64 bytes is needed, unique among the nodes of a store")
	case c.Shard < 0 || c.Shard >= 1<<purchase.ShardBits:
		return c.file.Errorf("shard", "must be between 0 and %d", 1<<purchase.ShardBits-1)
	case c.Store.DSN == "":
		return c.file.Errorf("store.dsn", "where purchases are kept is needed")
	case c.Store.Committers < 0 || c.Store.MaxBatch < 0 || c.Store.Lease.Duration < 0:
		return c.file.Errorf("store", "committers, max_batch and lease must not be negative")
	}
	return nil
}

func (c *config) checkListen() error {
	for key, address := range map[string]string{"listen.api": c.Listen.API, "listen.admin": c.Listen.Admin, "listen.app": c.Listen.App,
		"listen.ussd": c.Listen.USSD, "listen.console": c.Listen.Console, "listen.status": c.Listen.Status, "listen.regulator": c.Listen.Regulator} {
		if address == "" && key != "listen.api" {
			continue
		}
		if _, _, err := net.SplitHostPort(address); err != nil {
			return c.file.Errorf(key, "%q is not host:port", address)
		}
	}
	if (c.Listen.TLS.Certificate == "") != (c.Listen.TLS.Key == "") {
		return c.file.Errorf("listen.tls", "certificate and key are needed together")
	}
	if c.Listen.MaxConnections < 0 {
		return c.file.Errorf("listen.max_connections", "must not be negative")
	}
	return nil
}

func (c *config) checkClients() error {
	if len(c.Clients) == 0 {
		return c.file.Errorf("clients", "at least one client is needed (tenu config key makes a key)")
	}
	_, err := c.book()
	return err
}

// rules are the profile's, with tenu's own where it says nothing.
func (c *config) rules() (purchase.Rules, error) {
	r := purchase.DefaultRules()
	for _, each := range []struct {
		to   *time.Duration
		from *span
	}{
		{&r.ApproveWithin, c.Profile.ApproveWithin}, {&r.DeliverWithin, c.Profile.DeliverWithin},
		{&r.ResolveWithin, c.Profile.ResolveWithin}, {&r.ResolveMargin, c.Profile.ResolveMargin},
		{&r.RefundWithin, c.Profile.RefundWithin}, {&r.RetryFirst, c.Profile.RetryFirst},
		{&r.RetryMost, c.Profile.RetryMost}, {&r.WatchFor, c.Profile.WatchFor},
		{&r.RepeatWithin, c.Profile.RepeatWithin},
	} {
		if each.from != nil {
			*each.to = each.from.Duration
		}
	}
	r.RefundUnproven = c.Profile.RefundUnproven
	country, err := c.country()
	if err != nil {
		return r, err
	}
	if err := errors.Join(
		atMost(country, c.Profile.Drafts, profile.RefundWithin, "refund_within", c.Profile.RefundWithin != nil, &r.RefundWithin),
		atMost(country, c.Profile.Drafts, profile.PendingWithin, "resolve_within", c.Profile.ResolveWithin != nil, &r.ResolveWithin)); err != nil {
		return r, err
	}
	return r, r.Check()
}

// The limits of a client that has none of its own.
const (
	defaultRate     = 1000
	defaultInFlight = 1000
	defaultStreams  = 1000
)

// book lists the API clients.
func (c *config) book() (*auth.Book, error) {
	clients := make([]auth.Client, 0, len(c.Clients))
	for i := range c.Clients {
		raw, path := &c.Clients[i], fmt.Sprintf("clients[%d]", i)
		client := auth.Client{Name: raw.Name, Channel: orElse(raw.Channel, "api"), Rate: orElse(raw.Rate, defaultRate),
			InFlight: orElse(raw.InFlight, defaultInFlight), Streams: orElse(raw.Streams, defaultStreams)}
		client.Burst = orElse(raw.Burst, max(1, int(client.Rate)))
		for _, scope := range raw.Scopes {
			client.Scopes = append(client.Scopes, auth.Scope(scope))
		}
		for j, key := range raw.Keys {
			k, err := parseKey(key)
			if err != nil {
				return nil, c.file.Errorf(fmt.Sprintf("%s.keys[%d]", path, j), "%w", err)
			}
			client.Keys = append(client.Keys, k)
		}
		clients = append(clients, client)
		// One at a time, so that the line of the wrong one is told.
		if _, err := auth.NewBook(clients); err != nil {
			return nil, c.file.Errorf(path, "%w", err)
		}
	}
	book, err := auth.NewBook(clients)
	if err != nil {
		return nil, c.file.Errorf("clients", "%w", err)
	}
	return book, nil
}

func parseKey(raw keyConfig) (auth.Key, error) {
	hash, err := auth.ParseHash(raw.Hash)
	if err != nil {
		return auth.Key{}, err
	}
	key := auth.Key{Hash: hash}
	if raw.Expires == "" {
		return key, nil
	}
	if key.Expires, err = time.Parse(time.RFC3339, raw.Expires); err != nil {
		return auth.Key{}, errors.New("expires: a time such as 2027-01-01T00:00:00Z is needed")
	}
	return key, nil
}

// path makes a path of the file relative to the file.
func (c *config) path(name string) string {
	if name == "" || filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(c.dir, name)
}

func orElse[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}

// environment is a secret's value in the file: ${NAME}.
var environment = regexp.MustCompile(`^\$\{([A-Za-z_][A-Za-z0-9_]*)\}$`)

// secretLimit bounds the bytes of a secret.
const secretLimit = 4096

// secret returns the value of a key that holds a secret. The file itself never
// does: it names a variable of the environment, ${NAME}, or a file, file:PATH.
// The empty text is no secret.
func (c *config) secret(env func(string) string, key, text string) (string, error) {
	if text == "" {
		return "", nil
	}
	if match := environment.FindStringSubmatch(text); match != nil {
		value := env(match[1])
		if value == "" {
			return "", c.file.Errorf(key, "%s is not set in the environment", match[1])
		}
		return value, nil
	}
	name, ok := strings.CutPrefix(text, "file:")
	if !ok {
		return "", c.file.Errorf(key, "a secret does not stand here: write ${NAME} for the environment or file:PATH")
	}
	data, err := yamlfile.Read(c.path(name))
	if err != nil {
		return "", c.file.Errorf(key, "%w", err)
	}
	value := strings.TrimRight(string(data), "\r\n")
	if value == "" || len(value) > secretLimit {
		return "", c.file.Errorf(key, "%s must hold 1 to %d bytes", name, secretLimit)
	}
	return value, nil
}

// dsn is the store's address. It may be named like a secret, as it may hold a password.
func (c *config) dsn(env func(string) string) (string, error) {
	if environment.MatchString(c.Store.DSN) {
		return c.secret(env, "store.dsn", c.Store.DSN)
	}
	if file, ok := strings.CutPrefix(c.Store.DSN, "sqlite:"); ok {
		return "sqlite:" + c.path(file), nil
	}
	return c.Store.DSN, nil
}
