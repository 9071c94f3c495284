package e2e

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tenu/internal/auth"
	"tenu/internal/money"
	"tenu/internal/purchase"
	"tenu/internal/sandbox"
	"tenu/internal/store"
	"tenu/internal/testpeer"
)

type clock struct{}

func (clock) Now() purchase.Instant                  { return purchase.At(time.Now()) }
func (clock) After(d time.Duration) <-chan time.Time { return time.After(d) }

// rig is a wallet, a charging system, and the databases and files of tenu nodes.
type rig struct {
	t        *testing.T
	dir      string
	dsn      string
	wallet   *sandbox.Wallet
	pays     string // where nodes find the wallet
	gives    string // and the charging system
	sms      string // and the SMS centre
	cgr      *testpeer.CGR
	at       partners // where the sandbox's are by themselves
	key      string   // of the API client
	hash     auth.Hash
	lines    []purchase.MSISDN
	again    bool   // purchases are like one another within the time to ask first
	messages string // how nodes hand messages over, where it is not to sms
	// partners is the part of a node's configuration that names them.
	partners func(*node) string
}

// lineCount is how many subscribers the charging system has.
const lineCount = 200

func newRig(t *testing.T, dsn string) *rig {
	t.Helper()
	r := &rig{t: t, dir: t.TempDir(), dsn: dsn, cgr: testpeer.CGRateS(t)}
	if r.dsn == "" {
		r.dsn = "sqlite:" + filepath.Join(r.dir, "tenu.db")
	}
	var err error
	r.wallet, err = sandbox.NewWallet(t.Context(), sandbox.WalletConfig{Config: r.sandbox("wallet"),
		Currency: money.XOF, Opening: 1_000_000_000, MerchantKey: "organisationid", Merchant: "tenu"})
	if err != nil {
		t.Fatal(err)
	}
	r.pays = r.serve(r.wallet)
	centre, err := sandbox.NewSMS(t.Context(), sandbox.SMSConfig{Config: r.sandbox("sms")})
	if err != nil {
		t.Fatal(err)
	}
	r.sms = r.serve(centre)
	if r.key, err = auth.NewKey("e2e", rand.Reader); err != nil {
		t.Fatal(err)
	}
	r.hash = auth.HashKey(r.key)
	r.partners = r.realPartners
	for i := range lineCount {
		line := purchase.MSISDN(22670100000 + i)
		r.lines = append(r.lines, line)
		var ok string
		r.ocs("APIerSv2.SetAccount", map[string]any{"Tenant": "cgrates.org", "Account": account(line)}, &ok)
	}
	return r
}

// realPartners configures a node for the wallet and CGRateS.
func (r *rig) realPartners(*node) string {
	return fmt.Sprintf(`partners:
  - name: wallet
    url: %q
    timeout: 2s
    concurrency: 64
    gsma: {merchant: {key: organisationid, value: tenu}, lateness: 5s}
  - name: ocs
    url: %q
    timeout: 2s
    concurrency: 64
    cgrates: {}`, r.pays, r.cgr.URL)
}

func (r *rig) sandbox(name string) sandbox.Config {
	return sandbox.Config{Name: name, Path: filepath.Join(r.dir, name+".journal"), Seed: 1, Clock: clock{}, Log: slog.New(slog.DiscardHandler)}
}

// serve runs a sandbox partner until the test ends, and returns its address.
func (r *rig) serve(partner interface {
	http.Handler
	Run(context.Context) error
	Close() error
}) string {
	server := httptest.NewServer(partner)
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan error, 1)
	go func() { over <- partner.Run(ctx) }()
	r.t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
		cancel()
		if err := <-over; err != nil && !errors.Is(err, context.Canceled) {
			r.t.Errorf("a sandbox partner ended: %v", err)
		}
		if err := partner.Close(); err != nil {
			r.t.Errorf("close a sandbox partner: %v", err)
		}
	})
	return server.URL
}

func account(line purchase.MSISDN) string { return strings.TrimPrefix(line.String(), "+") }

// ocs calls the charging system by itself, beside tenu.
func (r *rig) ocs(method string, params, result any) {
	r.t.Helper()
	body, err := json.Marshal(map[string]any{"id": 1, "method": method, "params": []any{params}})
	if err != nil {
		r.t.Fatal(err)
	}
	response, err := http.Post(r.cgr.URL, "application/json", bytes.NewReader(body)) //nolint:noctx // a test's own call
	if err != nil {
		r.t.Fatalf("%s: %v", method, err)
	}
	defer response.Body.Close()
	var answer struct {
		Result json.RawMessage `json:"result"`
		Error  any             `json:"error"`
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		r.t.Fatalf("%s: %v", method, err)
	}
	if answer.Error != nil && answer.Error != "NOT_FOUND" {
		r.t.Fatalf("%s: %v", method, answer.Error)
	}
	if answer.Error == nil {
		if err := json.Unmarshal(answer.Result, result); err != nil {
			r.t.Fatalf("%s: %v", method, err)
		}
	}
}

// credits returns the charging system's call detail records by our key.
func (r *rig) credits() map[string]int {
	r.t.Helper()
	found := map[string]int{}
	for _, line := range r.lines {
		var records []struct {
			OriginID    string
			ExtraFields map[string]string
		}
		r.ocs("APIerSv2.GetCDRs", map[string]any{"Accounts": []string{account(line)}}, &records)
		for _, c := range records {
			if c.ExtraFields["leg"] == "credit" && c.ExtraFields["outcome"] == "done" {
				found[strings.ToLower(c.OriginID)]++
			}
		}
	}
	return found
}

// units returns the sum of the lines' main balances at the charging system.
func (r *rig) units() int64 {
	r.t.Helper()
	var sum float64
	for _, line := range r.lines {
		var a struct {
			BalanceMap map[string][]struct{ Value float64 }
		}
		r.ocs("APIerSv2.GetAccount", map[string]any{"Tenant": "cgrates.org", "Account": account(line)}, &a)
		for kind, balances := range a.BalanceMap {
			if strings.HasPrefix(kind, "*monetary") {
				for _, b := range balances {
					sum += b.Value
				}
			}
		}
	}
	return int64(sum)
}

// audit compares our books with the wallet's and the charging system's, one by
// one and in total, and runs tenu verify. It returns how many purchases ended in
// each state.
func (r *rig) audit(records []purchase.Record) map[purchase.State]int {
	r.t.Helper()
	s, err := store.Open(context.Background(), r.dsn, store.Options{})
	if err != nil {
		r.t.Fatal(err)
	}
	keys := r.keys(s)
	if err := s.Close(); err != nil {
		r.t.Error(err)
	}
	credits := r.credits()
	states := map[purchase.State]int{}
	var units int64
	for i := range records {
		p := &records[i].Purchase
		states[p.State]++
		charged := r.moved(keys.Key(p.ID, purchase.Charge).UUID())
		refunded := r.moved(keys.Key(p.ID, purchase.Refund).UUID())
		credited := credits[keys.Key(p.ID, purchase.Credit).UUID()]
		delete(credits, keys.Key(p.ID, purchase.Credit).UUID())
		want := map[purchase.State][3]int{purchase.Credited: {1, 1, 0}, purchase.Refunded: {1, 0, 1}, purchase.Declined: {0, 0, 0}}[p.State]
		if got := [3]int{charged, credited, refunded}; got != want && !p.Exposed {
			r.t.Errorf("purchase %d is %s, but the partners have %d charges, %d credits, %d refunds: %+v",
				p.ID, p.State, charged, credited, refunded, records[i])
		}
		for _, n := range records[i].Notices {
			if n.Fact == purchase.FactCredited && credited != 1 {
				r.t.Errorf("purchase %d: told credited, and the charging system has %d records", p.ID, credited)
			}
		}
		units += int64(credited) * p.Units
	}
	if len(credits) > 0 {
		r.t.Errorf("the charging system credited %d purchases that nobody acknowledged", len(credits))
	}
	// The charging system writes its record before it saves the account.
	got := r.units()
	for limit := time.Now().Add(10 * time.Second); got != units && time.Now().Before(limit); got = r.units() {
		time.Sleep(100 * time.Millisecond)
	}
	if got != units {
		r.t.Errorf("the lines hold %d, the records say %d", got, units)
	}
	r.verify(filepath.Join(r.dir, "n1.yaml"))
	return states
}

// verify runs tenu verify.
func (r *rig) verify(config string) {
	r.t.Helper()
	if output, err := exec.CommandContext(r.t.Context(), program, "verify", "--config", config).CombinedOutput(); err != nil {
		r.t.Errorf("tenu verify: %v\n%s", err, output)
	}
}

// charged waits until the wallet has charged that many purchases.
func (r *rig) charged(n int64) {
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		tallies, err := r.wallet.Book().Count(context.Background())
		if err != nil {
			r.t.Error(err)
			return
		}
		var charges int64
		for _, each := range tallies {
			if each.Leg == "charge" && each.Status == sandbox.StatusDone {
				charges += each.Movements
			}
		}
		if charges >= n {
			return
		}
	}
	r.t.Error("the wallet charged too few")
}

// moved counts the wallet's completed movements under a key.
func (r *rig) moved(key string) int {
	r.t.Helper()
	list, err := r.wallet.Book().ByKey(context.Background(), key)
	if err != nil {
		r.t.Fatal(err)
	}
	n := 0
	for _, m := range list {
		if m.Status == sandbox.StatusDone {
			n++
		}
	}
	return n
}
