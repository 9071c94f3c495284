package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"

	"tenu/internal/auth"
	"tenu/internal/bench"
	"tenu/internal/notify"
	"tenu/internal/sandbox"
	"tenu/internal/telemetry"
)

// httpScenarios measure tenu as it is served.
func httpScenarios(r *benchRun, bed *bench.Bed) []bench.Scenario {
	bed.Serve = r.serve
	return []bench.Scenario{
		{Name: "api", Store: bed.Store, Run: bed.API,
			About: "Purchases bought over HTTP and waited for, one by one by 128 clients and in batches of 1 000 by 4, with partners in the process."},
		{Name: "http", Store: bed.Store, Run: bed.HTTP,
			About: "The whole path on one machine: 512 clients, API, wallet (GSMA Mobile Money) and charging system (UCIP) over HTTP with durable books of their own, SMS."},
	}
}

// benchNode is a node as `tenu serve` runs it, log lines and all, with the
// partners that it needs.
type benchNode struct {
	*node
	dir     string
	web     net.Listener
	inside  net.Listener     // the console
	sandbox *sandboxPartners // nil with partners in the process
}

// serve is bench.Bed.Serve.
func (r *benchRun) serve(ctx context.Context, dsn string, partners []*bench.Partner) (*bench.Served, error) {
	n := &benchNode{}
	key, err := n.open(ctx, r, dsn, partners)
	if err != nil {
		return nil, errors.Join(err, n.close())
	}
	served := &bench.Served{Engine: n.engine, Address: n.web.Addr().String(), Key: key,
		Console: n.inside.Addr().String(), Hire: n.hire, Ended: make(chan error, 1)}
	serving, end := context.WithCancel(ctx)
	served.End = end
	if n.sandbox != nil {
		served.Seen = n.sandbox.seen
	}
	go func() {
		defer end()
		served.Ended <- n.run(serving)
	}()
	return served, nil
}

// open opens the node, and returns the key of its client.
func (n *benchNode) open(ctx context.Context, r *benchRun, dsn string, partners []*bench.Partner) (key string, err error) {
	log, err := telemetry.NewLogger(io.Discard, "json", "info")
	if err != nil {
		return "", err
	}
	if n.dir, err = os.MkdirTemp(r.cmd.Dir, "tenu-bench-"); err != nil {
		return "", fmt.Errorf("make a directory: %w", err)
	}
	at := sandboxAddresses{Wallet: "http://in.process", Charging: "http://in.process", SMS: "http://in.process"}
	if partners == nil {
		n.sandbox, err = openSandbox(ctx, r.app, &sandboxFlags{Dir: n.dir, Host: "127.0.0.1", Prompt: true}, log)
		if err != nil {
			return "", err
		}
		at = n.sandbox.addresses()
	}
	if key, err = auth.NewKey("bench", r.app.random); err != nil {
		return "", err
	}
	cfg, err := parseConfig(n.dir, []byte(strings.NewReplacer("{dsn}", dsn, "{wallet}", at.Wallet, "{charging}", at.Charging,
		"{sms}", at.SMS, "{hash}", auth.HashKey(key).String()).Replace(benchConfig)))
	if err != nil {
		return "", err
	}
	for i, p := range partners {
		cfg.Partners[i].inside, cfg.SMS.inside = p, deaf{}
	}
	var lc net.ListenConfig
	if n.web, err = lc.Listen(ctx, "tcp", cfg.Listen.API); err != nil {
		return "", fmt.Errorf("listen for the API: %w", err)
	}
	if n.inside, err = lc.Listen(ctx, "tcp", cfg.Listen.Console); err != nil {
		return "", fmt.Errorf("listen for the console: %w", err)
	}
	n.node, err = openNode(ctx, r.app, cfg, log)
	return key, err
}

// deaf is a message centre in the process that takes every message.
type deaf struct{}

// Send is notify.Centre.
func (deaf) Send(context.Context, notify.Message) error { return nil }

// run serves until ctx ends, and closes everything.
func (n *benchNode) run(ctx context.Context) error {
	partners, stop := context.WithCancel(context.WithoutCancel(ctx))
	over := make(chan struct{})
	go func() {
		defer close(over)
		if n.sandbox != nil {
			n.sandbox.run(partners)
		}
	}()
	err := n.node.run(ctx, listeners{api: n.web, console: n.inside})
	n.hangUp() // or the partners would wait for more requests
	stop()
	<-over
	return errors.Join(err, n.close())
}

// hire is bench.Served.Hire.
func (n *benchNode) hire(ctx context.Context, count int) (string, error) {
	password, err := randomHex(n.app.random)
	if err != nil {
		return "", err
	}
	for i := range count {
		login := bench.AgentLogin(i)
		added, given, err := n.staff.Add(ctx, "bench", auth.Staff{Login: login, Name: login, Role: auth.Agent, Language: "fr"})
		if err == nil {
			err = n.staff.ChangePassword(ctx, added.ID, given, password, auth.Visitor{})
		}
		if err != nil {
			return "", fmt.Errorf("hire %s: %w", login, err)
		}
	}
	return password, nil
}

// close closes what open opened, whatever of it there is.
func (n *benchNode) close() error {
	var errs []error
	for _, l := range []net.Listener{n.web, n.inside} {
		if l == nil {
			continue
		}
		if err := l.Close(); !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	if n.node != nil {
		errs = append(errs, n.node.close())
	}
	if n.sandbox != nil {
		errs = append(errs, n.sandbox.close())
	}
	return errors.Join(append(errs, os.RemoveAll(n.dir))...)
}

// seen reads the partners' books.
func (s *sandboxPartners) seen(ctx context.Context) (all bench.Seen, err error) {
	for i, server := range s.servers {
		list, err := server.Book().Count(ctx)
		if err != nil {
			return all, err
		}
		for _, t := range list {
			of := map[string]*int64{"charge": &all.Charges, "credit": &all.Credits, "message": &all.Messages}[t.Leg]
			if of == nil || (i != smsAt && t.Status != sandbox.StatusDone) {
				of = &all.Others
			}
			*of += t.Movements
		}
	}
	return all, nil
}

// benchConfig is what a node is measured with: the defaults but for the client's
// limits, and for the rule against like purchases, as the same few numbers buy all
// the time.
const benchConfig = `
node: bench
listen: {api: "127.0.0.1:0", admin: "", console: "127.0.0.1:0"}
console: {password_alone: true}
store: {dsn: "{dsn}"}
profile: {repeat_within: 0s}
partners:
  - name: wallet
    url: {wallet}
    gsma: {merchant: {key: organisationid, value: tenu}, key_life: 24h, lateness: 5m30s}
  - name: ocs
    url: {charging}/Air
    ucip: {host_name: tenu-bench, profile: AIRT, country_code: "226", key_life: 24h, lateness: 1m}
sms: {url: "{sms}"}
clients:
  - name: bench
    scopes: [purchases:write]
    keys: [{hash: "{hash}"}]
    rate: 10000000
    burst: 10000000
    in_flight: 10000000
`
