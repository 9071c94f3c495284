package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"tenu/internal/api"
	"tenu/internal/auth"
	"tenu/internal/receipt"
	"tenu/internal/sandbox"
	"tenu/internal/store"
	"tenu/internal/telemetry"
)

// demoCmd is the main job on one machine.
type demoCmd struct {
	Dir    string `default:"demo-data" type:"path" help:"Where everything is kept; made when absent, gone on with when there."`
	Host   string `default:"127.0.0.1" help:"The address to listen on."`
	Port   int    `default:"8480" help:"Port of the API; the others take some of the next twenty. 0: any free ones."`
	Number string `default:"70 11 22 33" help:"The customer's number."`
	Amount int64  `default:"1050" help:"What the customer pays, in F CFA."`
	SIP    string `name:"sip" placeholder:"HOST:PORT" help:"An exchange at which line 121 calls agents and customers; its calls are taken, too. Without one agents dial by hand."`
	Once   bool   `help:"Stop after the sale."`
	Pauses bool   `default:"true" negatable:"" help:"Pause what fails by itself; with --no-pauses it is sold whatever the partners do."`
	JSON   bool   `name:"json" help:"Print JSON."`
}

// demo is a demonstration under way.
type demo struct {
	*demoCmd
	app     *app
	sandbox *sandboxPartners
	node    *node
	at      listeners
	line    netip.AddrPort // 121
	remote  remote
	// password signs in at the console, whoever of the staff it is.
	password string
	// regulatorKey reads the figures over the API.
	regulatorKey string
	adapt        func(configuration string) string // before it is used; nil: as it is
}

// Run sells to partners started beside it, and keeps running until ctx ends.
func (c *demoCmd) Run(ctx context.Context, a *app) (err error) {
	level := "warn"
	if c.JSON || c.Once {
		level = "error"
	}
	log, err := telemetry.NewLogger(a.err, "text", level)
	if err != nil {
		return err
	}
	d := &demo{demoCmd: c, app: a}
	defer func() { err = errors.Join(err, d.close()) }()
	if err := d.open(ctx, log); err != nil {
		return err
	}

	// The partners outlive the node: what it asked them, it may still hear.
	partners, stopPartners := context.WithCancel(context.WithoutCancel(ctx))
	partnersOver := make(chan struct{})
	go func() { defer close(partnersOver); d.sandbox.run(partners) }()
	serving, stopServing := context.WithCancel(ctx)
	nodeOver := make(chan error, 1)
	go func() { nodeOver <- d.node.run(serving, d.at) }()

	err = d.sell(serving)
	if err != nil || c.Once {
		stopServing()
	}
	err = errors.Join(err, <-nodeOver)
	stopServing()
	d.node.hangUp() // or the partners would wait for more requests
	http.DefaultClient.CloseIdleConnections()
	stopPartners()
	<-partnersOver
	return err
}

// open starts everything but the serving.
func (d *demo) open(ctx context.Context, log *slog.Logger) error {
	flags := sandboxFlags{Dir: d.Dir, Host: d.Host}
	if d.Port != 0 {
		flags.Port = d.Port + 10
	}
	var err error
	if d.sandbox, err = openSandbox(ctx, d.app, &flags, log); err != nil {
		return err
	}
	var lc net.ListenConfig
	for i, listener := range []*net.Listener{&d.at.api, &d.at.admin, &d.at.app, &d.at.ussd, &d.at.console, &d.at.status, &d.at.regulator} {
		port := d.Port
		if port != 0 {
			port += i
		}
		if *listener, err = lc.Listen(ctx, "tcp", net.JoinHostPort(d.Host, strconv.Itoa(port))); err != nil {
			return fmt.Errorf("%w (choose other ports with --port)", err)
		}
	}
	if err := d.findLine(ctx); err != nil {
		return err
	}
	key, err := keptSecret(filepath.Join(d.Dir, "api-key"), func() (string, error) { return auth.NewKey("demo", d.app.random) })
	if err != nil {
		return err
	}
	if _, err := keptSecret(filepath.Join(d.Dir, "ussd-key"), func() (string, error) { return auth.NewKey("ussd", d.app.random) }); err != nil {
		return err
	}
	if _, err := keptSecret(filepath.Join(d.Dir, "receipt-key"), func() (string, error) {
		secret, _, err := receipt.NewKey(d.app.random, "tenu-demo")
		return secret, err
	}); err != nil {
		return err
	}
	regulatorKey, err := keptSecret(filepath.Join(d.Dir, "regulator-key"), func() (string, error) { return auth.NewKey("regulator", d.app.random) })
	if err != nil {
		return err
	}
	d.regulatorKey = string(regulatorKey)
	d.remote = remote{URL: "http://" + d.at.api.Addr().String(), Key: string(key)}
	cfg, err := d.configure(ctx)
	if err != nil {
		return err
	}
	dsn, err := cfg.dsn(d.app.env)
	if err != nil {
		return err
	}
	if _, _, err := store.Migrate(ctx, dsn, store.Options{Log: log}); err != nil {
		return err
	}
	if d.node, err = openNode(ctx, d.app, cfg, log); err != nil {
		return err
	}
	d.password, err = d.hire(ctx)
	return err
}

// configure writes the configuration that the demonstration runs under, for
// `tenu serve`, `tenu verify` and readers, and reads it back.
func (d *demo) configure(ctx context.Context) (*config, error) {
	voice, err := d.voice(ctx)
	if err != nil {
		return nil, err
	}
	at := d.sandbox.addresses()
	path := filepath.Join(d.Dir, "tenu.yaml")
	text := strings.NewReplacer(
		"{api}", d.at.api.Addr().String(), "{admin}", d.at.admin.Addr().String(), "{app}", d.at.app.Addr().String(), "{ussd}", d.at.ussd.Addr().String(), "{console}", d.at.console.Addr().String(), "{status}", d.at.status.Addr().String(), "{regulator}", d.at.regulator.Addr().String(), "{wallet}", at.Wallet,
		"{charging}", at.Charging, "{sms}", at.SMS, "{callback}", d.remote.URL+"/callbacks/wallet",
		"{regulator-hash}", auth.HashKey(d.regulatorKey).String(), "{hash}", auth.HashKey(d.remote.Key).String()).Replace(demoConfig) + voice
	if !d.Pauses {
		text += "\nincidents:\n  enabled: false\n"
	}
	if d.adapt != nil {
		text = d.adapt(text)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return nil, fmt.Errorf("write the demonstration's configuration: %w", err)
	}
	return readConfig(path)
}

// sell makes the sale over HTTP, as any client would, and shows what came of it.
func (d *demo) sell(ctx context.Context) error {
	if !d.JSON {
		d.app.printf("tenu %s, with partners of its own; everything is kept in %s\n\n", version, d.Dir)
		d.sandbox.print(d.app)
		d.app.printf("  tenu                                %s\n\n", d.remote.URL)
		d.app.printf("A customer buys %s of airtime for %s:\n\n", price(api.Amount{Minor: d.Amount, Currency: "XOF"}), d.Number)
	}
	if err := d.ready(ctx); err != nil {
		return err
	}
	// Again: whoever runs the demonstration twice means it.
	w := wish{Product: "airtime", Number: d.Number, Amount: d.Amount, Currency: "XOF", PayWith: "wallet", Again: true}
	p, err := d.remote.buy(ctx, uuid.NewString(), &w, 30)
	if err != nil {
		return fmt.Errorf("sell: %w", err)
	}
	texts, err := d.inbox(ctx, p)
	if err != nil {
		return err
	}
	if d.JSON {
		return d.app.json(struct {
			Purchase *api.Purchase    `json:"purchase"`
			SMS      []string         `json:"sms"`
			API      string           `json:"api"`
			Line     string           `json:"line"`
			Key      string           `json:"key_file"`
			Sandbox  sandboxAddresses `json:"sandbox"`
		}{p, texts, d.remote.URL, d.lineURI(), filepath.Join(d.Dir, "api-key"), d.sandbox.addresses()})
	}
	d.app.show(p)
	d.hints(p, texts)
	return nil
}

// ready waits until the node admits purchases.
func (d *demo) ready(ctx context.Context) error {
	for {
		err := d.node.engine.Ready()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("not ready: %w", err)
		case <-d.app.clock.After(5 * time.Millisecond):
		}
	}
}

// inboxWithin is how long the demonstration waits for the customer's message.
const inboxWithin = 10 * time.Second

// inbox returns the messages about the purchase that the customer's phone got.
func (d *demo) inbox(ctx context.Context, p *api.Purchase) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, inboxWithin)
	defer cancel()
	address := d.sandbox.addresses().SMS + "/messages?to=" + url.QueryEscape(p.Recipient.Number)
	for {
		texts, err := readInbox(ctx, address, p.Reference)
		if len(texts) > 0 {
			return texts, nil
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(errors.New("no message reached the customer's phone in time"), err)
		case <-d.app.clock.After(50 * time.Millisecond):
		}
	}
}

func readInbox(ctx context.Context, address, reference string) ([]string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, fmt.Errorf("read the phone's inbox: %w", err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, fmt.Errorf("read the phone's inbox: %w", err)
	}
	defer response.Body.Close()
	var inbox []sandbox.Message
	if err := json.NewDecoder(io.LimitReader(response.Body, answerLimit)).Decode(&inbox); err != nil {
		return nil, fmt.Errorf("read the phone's inbox: %w", err)
	}
	var texts []string
	for _, m := range inbox {
		if m.Delivered != nil && strings.Contains(m.Text, reference) {
			texts = append(texts, m.Text)
		}
	}
	return texts, nil
}

// hints say what a newcomer can do next.
func (d *demo) hints(p *api.Purchase, texts []string) {
	a, c := d.app, d.app.paint()
	a.printf("\nOn the customer's phone:\n\n")
	for _, text := range texts {
		a.printf("  %s\n", c.bold(plain(text)))
	}
	if d.Once {
		return
	}
	at, keyFile := d.sandbox.addresses(), filepath.Join(d.Dir, "api-key")
	a.printf("\nNow you:\n\n")
	a.printf("  buy as a customer   http://%s (the code comes to the phone below)\n", d.at.app.Addr())
	a.printf("  work as an agent    http://%s (awa or moussa; fatou leads, issa keeps the accounts; password %s)\n", d.at.console.Addr(), d.password)
	d.hintLine(p)
	a.printf("  pause sales         http://%s/incidents, as fatou: open an incident, pause, resume, see the banner on awa's pages\n", d.at.console.Addr())
	a.printf("  see how it is       http://%s, the public status page\n", d.at.status.Addr())
	a.printf("  see what is owed    http://%s, the regulator's portal (ines asks, issa answers; the same password)\n", d.at.regulator.Addr())
	a.printf("  read its figures    curl -H \"Authorization: Bearer $(cat %s)\" '%s/regulator/v1/figures?month=%s'\n", filepath.Join(d.Dir, "regulator-key"), d.remote.URL, a.clock.Now().Time().Format("2006-01"))
	a.printf("  read the API        %s/docs\n", d.remote.URL)
	a.printf("  look at the phone   %s/phone/%s\n", at.SMS, strings.TrimPrefix(p.Recipient.Number, "+"))
	a.printf("  buy again           curl -H \"Authorization: Bearer $(cat %s)\" -H 'Content-Type: application/json' \\\n", keyFile)
	a.printf("                        -H \"Idempotency-Key: $RANDOM-$RANDOM\" -H 'Prefer: wait=10' \\\n")
	a.printf("                        -d '{\"product\":\"airtime\",\"number\":\"%s\",\"amount\":2000,\"again\":true}' \\\n", d.Number)
	a.printf("                        %s/v1/purchases\n", d.remote.URL)
	a.printf("  lose the charging   curl -d '{\"operation\":\"credit\",\"kind\":\"lose_reply\",\"next\":1}' %s/faults\n", at.Charging)
	a.printf("   system's next answer, then buy again; GET %s/faults lists every fault\n", at.Charging)
	a.printf("  show a purchase     TENU_URL=%s TENU_KEY=$(cat %s) tenu show %s\n", d.remote.URL, keyFile, p.Reference)
	a.printf("  check a receipt     TENU_URL=%s TENU_KEY=$(cat %s) tenu receipt get %s | tenu receipt verify --config %s -\n", d.remote.URL, keyFile, p.Reference, filepath.Join(d.Dir, "tenu.yaml"))
	a.printf("                        and http://%s/receipts, which works without a network\n", d.at.app.Addr())
	a.printf("  check the books     tenu verify --config %s\n", filepath.Join(d.Dir, "tenu.yaml"))
	a.printf("  see the metrics     http://%s/metrics\n\nCtrl-C stops it.\n", d.at.admin.Addr())
}

// close closes what open opened, whatever of it there is.
func (d *demo) close() error {
	var errs []error
	errs = append(errs, d.at.close())
	if d.node != nil {
		errs = append(errs, d.node.close())
	}
	if d.sandbox != nil {
		errs = append(errs, d.sandbox.close())
	}
	return errors.Join(errs...)
}

// demoConfig is the demonstration's configuration.
const demoConfig = `# Written by tenu demo at each start. tenu.example.yaml explains every key.
node: demo
test_deployment: true
listen: {api: "{api}", admin: "{admin}", app: "{app}", ussd: "{ussd}", console: "{console}", status: "{status}", regulator: "{regulator}"}
ussd: {key: "file:ussd-key"}
console: {password_alone: true}
receipts: {key: "file:receipt-key", page: "http://{app}/receipts"}
store: {dsn: "sqlite:tenu.db"}
profile:
  deliver_within: 20s
  retry_most: 15s # somebody watches
partners:
  - name: wallet
    url: {wallet}
    timeout: 5s
    circuit: {failures: 15, window: 20} # a fifth of faulty calls shall be healed, not paused
    gsma:
      merchant: {key: organisationid, value: tenu}
      callback: {url: "{callback}", keys: ["file:callback-key"]}
      key_life: 24h
      lateness: 5m30s
  - name: ocs
    url: {charging}/Air
    timeout: 5s
    circuit: {failures: 15, window: 20}
    ucip:
      host_name: tenu-demo
      profile: AIRT
      country_code: "226"
      key_life: 24h
      lateness: 1m
      bundles:
        data-day: {profile: DDAY, account: 11, value: 250, unit: MB}
        data-week: {profile: DWEE, account: 12, value: 1024, unit: MB}
        data-month: {profile: DMON, account: 13, value: 6144, unit: MB}
        voice-day: {profile: VDAY, account: 21, value: 30, unit: min}
reconcile:
  statements:
    - {partner: wallet, mapping: sandbox, skew: 5s}
    - {partner: ocs, mapping: sandbox, skew: 5s}
sms: {url: "{sms}"}
clients:
  - name: demo
    channel: app
    scopes: [purchases:write, purchases:read, products:read, balance:read]
    keys: [{hash: "{hash}"}]
  - name: regulator
    channel: regulator
    scopes: [regulator:read]
    keys: [{hash: "{regulator-hash}"}]
`
