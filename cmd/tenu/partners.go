package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"time"

	"tenu/internal/api"
	"tenu/internal/money"
	"tenu/internal/partner"
	"tenu/internal/partner/cgrates"
	"tenu/internal/partner/gsma"
	"tenu/internal/partner/house"
	"tenu/internal/partner/ucip"
	"tenu/internal/purchase"
	"tenu/internal/yamlfile"
)

// partnerConfig is one partner. Exactly one of the protocols' blocks is given.
type partnerConfig struct {
	Name        string        `yaml:"name"`
	Title       string        `yaml:"title"` // what people call it; "" for its name
	URL         string        `yaml:"url"`
	CA          string        `yaml:"ca"`
	Timeout     span          `yaml:"timeout"`
	Connect     span          `yaml:"connect"`
	Concurrency int           `yaml:"concurrency"`
	Retry       retryConfig   `yaml:"retry"`
	Circuit     circuitConfig `yaml:"circuit"`
	ProbeEvery  span          `yaml:"probe_every"`

	GSMA    *gsmaConfig    `yaml:"gsma"`
	UCIP    *ucipConfig    `yaml:"ucip"`
	CGRateS *cgratesConfig `yaml:"cgrates"`

	inside purchase.Partner // one in the process, in the place of that (benchmarks)
}

type retryConfig struct {
	Rate  float64 `yaml:"rate"`
	Burst int     `yaml:"burst"`
}

type circuitConfig struct {
	Failures int  `yaml:"failures"`
	Window   int  `yaml:"window"`
	Memory   span `yaml:"memory"`
	OpenFor  span `yaml:"open_for"`
}

type gsmaConfig struct {
	APIKey        string         `yaml:"api_key"`
	ClientID      string         `yaml:"client_id"`
	Merchant      merchantConfig `yaml:"merchant"`
	Callback      callbackConfig `yaml:"callback"`
	NotIdempotent bool           `yaml:"not_idempotent"`
	KeyLife       span           `yaml:"key_life"`
	Lateness      span           `yaml:"lateness"`
}

type merchantConfig struct {
	Key   string `yaml:"key"`
	Value string `yaml:"value"`
}

type callbackConfig struct {
	URL  string   `yaml:"url"`
	Keys []string `yaml:"keys"`
	Age  span     `yaml:"age"`
}

type ucipConfig struct {
	User           string                `yaml:"user"`
	Password       string                `yaml:"password"`
	UserAgent      string                `yaml:"user_agent"`
	NodeType       string                `yaml:"node_type"`
	HostName       string                `yaml:"host_name"`
	Operator       string                `yaml:"operator"`
	CurrencyCode   string                `yaml:"currency_code"`
	PerMinor       int64                 `yaml:"per_minor"`
	National       bool                  `yaml:"national"`
	CountryCode    string                `yaml:"country_code"`
	Profile        string                `yaml:"profile"`
	Bundles        map[string]ucipBundle `yaml:"bundles"`
	SharedAccounts bool                  `yaml:"shared_accounts"`
	KeyLife        span                  `yaml:"key_life"`
	Lateness       span                  `yaml:"lateness"`
}

type ucipBundle struct {
	Profile string `yaml:"profile"`
	Account int64  `yaml:"account"`
	Value   int64  `yaml:"value"`
	Unit    string `yaml:"unit"`
	Scale   int64  `yaml:"scale"`
}

type cgratesConfig struct {
	User        string                   `yaml:"user"`
	Password    string                   `yaml:"password"`
	Tenant      string                   `yaml:"tenant"`
	MainBalance string                   `yaml:"main_balance"`
	Bundles     map[string]cgratesBundle `yaml:"bundles"`
	KeyLife     span                     `yaml:"key_life"`
}

type cgratesBundle struct {
	Type     string `yaml:"type"`
	Value    int64  `yaml:"value"`
	Unit     string `yaml:"unit"`
	Scale    int64  `yaml:"scale"`
	Validity span   `yaml:"validity"`
}

func (c *config) checkPartners() error {
	if len(c.Partners) == 0 {
		return c.file.Errorf("partners", "at least one partner is needed")
	}
	names := map[string]bool{}
	for i := range c.Partners {
		p, path := &c.Partners[i], fmt.Sprintf("partners[%d]", i)
		protocols := 0
		for _, given := range []bool{p.GSMA != nil, p.UCIP != nil, p.CGRateS != nil} {
			if given {
				protocols++
			}
		}
		switch {
		case p.Name == house.Name:
			return c.file.Errorf(path+".name", "%q pays for what is given away", house.Name)
		case p.Name == "" || names[p.Name]:
			return c.file.Errorf(path+".name", "each partner needs a name of its own")
		case protocols != 1:
			return c.file.Errorf(path, "exactly one of gsma, ucip and cgrates is needed")
		}
		names[p.Name] = true
	}
	return nil
}

// limits are what keeps the partner's trouble from becoming ours.
func (p *partnerConfig) limits() partner.Limits {
	return partner.Limits{Timeout: p.Timeout.Duration, Concurrency: orElse(p.Concurrency, 64), RetryRate: p.Retry.Rate,
		RetryBurst: p.Retry.Burst, Failures: p.Circuit.Failures, Window: p.Circuit.Window, Memory: p.Circuit.Memory.Duration,
		OpenFor: p.Circuit.OpenFor.Duration, ProbeEvery: p.ProbeEvery.Duration}
}

// transport is the partner's own pool of connections.
func (c *config) transport(p *partnerConfig) (*partner.Pool, error) {
	var trust *tls.Config
	if p.CA != "" {
		pem, err := yamlfile.Read(c.path(p.CA))
		if err != nil {
			return nil, fmt.Errorf("ca: %w", err)
		}
		trust = &tls.Config{RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS12}
		if !trust.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("ca: %s holds no certificate", p.CA)
		}
	}
	return partner.Transport(orElse(p.Concurrency, 64), orElse(p.Connect.Duration, 3*time.Second), trust), nil
}

// adapter is a partner, and what reads its callbacks where it makes any.
type adapter struct {
	partner   purchase.Partner
	caller    api.Caller
	transport *partner.Pool
}

// build makes the adapter of the partner at a path of the file.
func (c *config) build(a *app, path string, p *partnerConfig, keys *purchase.Keyring, currency money.Currency) (*adapter, error) {
	transport, err := c.transport(p)
	if err != nil {
		return nil, c.file.Errorf(path, "%w", err)
	}
	built := &adapter{transport: transport}
	switch {
	case p.inside != nil:
		built.partner = p.inside
	case p.GSMA != nil:
		err = c.gsma(a, path+".gsma", p, keys, built)
	case p.UCIP != nil:
		err = c.ucip(a, path+".ucip", p, currency, built)
	default:
		err = c.cgrates(a, path+".cgrates", p, currency, built)
	}
	return built, err
}

func (c *config) gsma(a *app, path string, p *partnerConfig, keys *purchase.Keyring, built *adapter) error {
	g := p.GSMA
	apiKey, err := c.secret(a.env, path+".api_key", g.APIKey)
	if err != nil {
		return err
	}
	var callbackKeys [][]byte
	for i, text := range g.Callback.Keys {
		key, err := c.secret(a.env, fmt.Sprintf("%s.callback.keys[%d]", path, i), text)
		if err != nil {
			return err
		}
		callbackKeys = append(callbackKeys, []byte(key))
	}
	wallet, err := gsma.New(gsma.Config{Name: p.Name, URL: p.URL, APIKey: apiKey, ClientID: g.ClientID,
		Merchant: gsma.Party{Key: g.Merchant.Key, Value: g.Merchant.Value}, CallbackURL: g.Callback.URL,
		CallbackKeys: callbackKeys, CallbackAge: g.Callback.Age.Duration, NotIdempotent: g.NotIdempotent,
		KeyLife: g.KeyLife.Duration, Lateness: g.Lateness.Duration, Timeout: p.Timeout.Duration}, keys, built.transport, a.clock.Now)
	if err != nil {
		return c.file.Errorf(path, "%w", err)
	}
	built.partner, built.caller = wallet, gsmaCaller{wallet}
	return nil
}

// gsmaCaller gives a wallet's refusals the API's words.
type gsmaCaller struct{ wallet *gsma.Wallet }

// Callback is api.Caller.
func (c gsmaCaller) Callback(r *http.Request, body []byte) (purchase.ID, purchase.Event, error) {
	id, event, err := c.wallet.Callback(r, body)
	if errors.Is(err, gsma.ErrSignature) {
		err = fmt.Errorf("%w: %w", api.ErrForged, err)
	}
	return id, event, err
}

func (c *config) ucip(a *app, path string, p *partnerConfig, currency money.Currency, built *adapter) error {
	u := p.UCIP
	password, err := c.secret(a.env, path+".password", u.Password)
	if err != nil {
		return err
	}
	bundles := make(map[string]ucip.Bundle, len(u.Bundles))
	for code, b := range u.Bundles {
		bundles[code] = ucip.Bundle(b)
	}
	built.partner, err = ucip.New(ucip.Config{Name: p.Name, URL: p.URL, User: u.User, Password: password,
		UserAgent: u.UserAgent, NodeType: u.NodeType, HostName: u.HostName, Operator: u.Operator, Currency: currency,
		CurrencyCode: u.CurrencyCode, PerMinor: u.PerMinor, National: u.National, CountryCode: u.CountryCode,
		Profile: u.Profile, Bundles: bundles, SharedAccounts: u.SharedAccounts, KeyLife: u.KeyLife.Duration, Lateness: u.Lateness.Duration,
		Timeout: p.Timeout.Duration}, built.transport, a.clock.Now)
	if err != nil {
		return c.file.Errorf(path, "%w", err)
	}
	return nil
}

func (c *config) cgrates(a *app, path string, p *partnerConfig, currency money.Currency, built *adapter) error {
	g := p.CGRateS
	password, err := c.secret(a.env, path+".password", g.Password)
	if err != nil {
		return err
	}
	bundles := make(map[string]cgrates.Bundle, len(g.Bundles))
	for code, b := range g.Bundles {
		bundles[code] = cgrates.Bundle{Type: b.Type, Value: b.Value, Unit: b.Unit, Scale: b.Scale, Validity: b.Validity.Duration}
	}
	built.partner, err = cgrates.New(cgrates.Config{Name: p.Name, URL: p.URL, User: g.User, Password: password,
		Tenant: g.Tenant, Currency: currency, MainBalance: g.MainBalance, Bundles: bundles, Timeout: p.Timeout.Duration,
		KeyLife: g.KeyLife.Duration}, built.transport, a.clock.Now)
	if err != nil {
		return c.file.Errorf(path, "%w", err)
	}
	return nil
}
