package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/x509"
	"database/sql"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"tenu/internal/api"
	"tenu/internal/auth"
	"tenu/internal/store"
)

func TestMain(m *testing.M) {
	// The demonstration reads its phone's inbox over the default client.
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		http.DefaultClient.CloseIdleConnections()
		os.Exit(code)
	}))
}

// output is what a command printed, safe to read while it runs.
type output struct {
	mu sync.Mutex
	bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.Buffer.Write(p)
}

func (o *output) text() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.String()
}

func noEnv(string) string { return "" }

// tenu runs a command to its end.
func tenu(t *testing.T, env func(string) string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, err output
	code = Run(t.Context(), args, &out, &err, env)
	return code, out.text(), err.text()
}

// sold is the JSON of a demonstration.
type sold struct {
	Purchase api.Purchase
	SMS      []string
	API      string
	Line     string
	KeyFile  string `json:"key_file"`
	Sandbox  sandboxAddresses
}

// start runs the demonstration until the test ends, and returns what it sold.
func start(t *testing.T, dir string) (s sold, stop func() int) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var out, problems output
	over := make(chan int, 1)
	go func() {
		over <- Run(ctx, []string{"demo", "--json", "--port", "0", "--dir", dir}, &out, &problems, noEnv)
	}()
	var once sync.Once
	code := -1
	stop = func() int {
		once.Do(func() { cancel(); code = <-over })
		return code
	}
	t.Cleanup(func() {
		if code := stop(); code != exitDone {
			t.Errorf("the demonstration ended with %d: %s", code, problems.text())
		}
	})
	for {
		if json.Unmarshal([]byte(out.text()), &s) == nil && s.API != "" {
			return s, stop
		}
		select {
		case code := <-over:
			over <- code
			t.Fatalf("the demonstration ended with %d: %s%s", code, out.text(), problems.text())
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// The main job, as a newcomer meets it, twice on the same data.
func TestDemo(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "demo-data")
	for _, balance := range []string{"1 250 F CFA", "2 250 F CFA"} {
		code, out, problems := tenu(t, noEnv, "demo", "--once", "--port", "0", "--dir", dir)
		if code != exitDone || problems != "" {
			t.Fatalf("ended with %d: %s%s", code, out, problems)
		}
		for _, want := range []string{"1 050 F CFA of airtime for 70 11 22 33", "credited", "wallet is asked to charge 1 050 F CFA.",
			"wallet calls back: charge done, 1 050 F CFA.", "ocs answers: credit done, 1 000 F CFA.", "On the customer's phone:", "Nouveau solde : " + balance} {
			if !strings.Contains(out, want) {
				t.Errorf("the output lacks %q:\n%s", want, out)
			}
		}
		if strings.Contains(out, "\x1b") {
			t.Error("colours where there is no terminal")
		}
	}
	for _, secret := range []string{"api-key", "callback-key", "tenu.yaml"} {
		if info, err := os.Stat(filepath.Join(dir, secret)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v, want it readable by its owner alone", secret, info, err)
		}
	}
	if code, out, problems := tenu(t, noEnv, "config", "check", filepath.Join(dir, "tenu.yaml")); code != exitDone {
		t.Errorf("the demonstration's configuration: %d: %s%s", code, out, problems)
	}
}

func TestBuyAndShow(t *testing.T) {
	s, stop := start(t, t.TempDir())
	if s.Purchase.State != "credited" || len(s.SMS) != 1 || !strings.Contains(s.SMS[0], s.Purchase.Reference) {
		t.Fatalf("sold %+v", s)
	}
	key, err := os.ReadFile(s.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	env := func(name string) string { return map[string]string{"TENU_URL": s.API, "TENU_KEY": string(key)}[name] }

	code, out, _ := tenu(t, env, "buy", "76 44 55 66", "--payer", "70112233", "--amount", "2000")
	if code != exitDone || !strings.Contains(out, "Would buy airtime for 2 000 F CFA for 76 44 55 66, paid by 70112233 from the wallet") ||
		!strings.Contains(out, "Nothing was sent") {
		t.Errorf("without --yes: %d: %s", code, out)
	}
	for range 2 { // the second is the first again
		code, out, problems := tenu(t, env, "buy", "76 44 55 66", "--payer", "70112233", "--amount", "2000", "--yes", "--json", "--idempotency-key", "k1")
		var p api.Purchase
		if err := json.Unmarshal([]byte(out), &p); code != exitDone || err != nil || p.State != "credited" || len(p.Timeline) == 0 {
			t.Fatalf("%d: %s%s", code, out, problems)
		}
		code, out, _ = tenu(t, env, "show", p.Reference)
		if code != exitDone || strings.Count(out, "SMS to +22670112233") != 1 || strings.Count(out, "SMS to +22676445566") != 1 {
			t.Errorf("show: %d: %s", code, out)
		}
	}
	for want, args := range map[string][]string{
		"amount_below_minimum": {"buy", "70112233", "--amount", "10", "--yes"},
		"number_foreign":       {"buy", "+33612345678", "--amount", "1000", "--yes"},
		"reference_malformed":  {"show", "nonsense"},
		"ask_first":            {"buy", "70112233", "--amount", "1050", "--yes"},
	} {
		if code, _, problems := tenu(t, env, args...); code != exitFailed || !strings.Contains(problems, want) {
			t.Errorf("%v: %d: %s, want %s", args, code, problems, want)
		}
	}
	stop()
	code, _, problems := tenu(t, env, "buy", "70112233", "--amount", "2000", "--yes", "--idempotency-key", "k2")
	if code != exitFailed || !strings.Contains(problems, "repeat safely with --idempotency-key k2") {
		t.Errorf("with nobody there: %d: %s", code, problems)
	}
}

// verify names the invariant that is violated and the purchase.
func TestVerify(t *testing.T) {
	dir := t.TempDir()
	code, out, problems := tenu(t, noEnv, "demo", "--once", "--json", "--port", "0", "--dir", dir)
	var s sold
	if err := json.Unmarshal([]byte(out), &s); code != exitDone || err != nil {
		t.Fatalf("%d: %s%s", code, out, problems)
	}
	file := filepath.Join(dir, "tenu.yaml")
	if code, out, problems := tenu(t, noEnv, "verify", "--config", file); code != exitDone || !strings.Contains(out, "no violation") {
		t.Fatalf("a sound database: %d: %s%s", code, out, problems)
	}
	db, err := sql.Open("sqlite", filepath.Join(dir, "tenu.db"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = db.ExecContext(t.Context(), `DELETE FROM evidence WHERE leg = 2`)
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	code, _, problems = tenu(t, noEnv, "verify", "--config", file)
	if code != exitFailed || !regexp.MustCompile(`violated: [LPN][0-9]+: purchase `+s.Purchase.Reference).MatchString(problems) {
		t.Errorf("without the credit's evidence: %d: %s", code, problems)
	}
	code, out, _ = tenu(t, noEnv, "verify", "--config", file, "--all", "--json")
	var result struct {
		OK         bool
		Violations []violation
	}
	if err := json.Unmarshal([]byte(out), &result); err != nil || code != exitFailed || result.OK ||
		!slices.ContainsFunc(result.Violations, func(v violation) bool { return v.Invariant == "P1" && v.Purchase == s.Purchase.Reference }) {
		t.Errorf("all violations: %d: %s", code, out)
	}
}

// A fault that is switched on while everything runs is healed, and the timeline tells.
func TestDemoHeals(t *testing.T) {
	s, _ := start(t, t.TempDir())
	fault := `{"operation":"credit","kind":"lose_reply","next":1}`
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.Sandbox.Charging+"/faults", strings.NewReader(fault))
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusCreated {
		t.Fatalf("switch: %s", response.Status)
	}
	key, err := os.ReadFile(s.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	r := remote{URL: s.API, Key: string(key)}
	p, err := r.buy(t.Context(), "heal", &wish{Product: "airtime", Number: "70112233", Amount: 3000}, 30)
	if err != nil {
		t.Fatal(err)
	}
	tries := 0
	for _, e := range p.Timeline {
		if e.Kind == "attempt" && e.Leg == "credit" {
			tries++
		}
	}
	if p.State != "credited" || tries != 2 {
		t.Errorf("got %s after %d tries: %+v", p.State, tries, p.Timeline)
	}
}

// A node that loses its lease stops with a code of its own, so that whoever
// supervises it knows that a restart is safe.
func TestServeEndsWhenFenced(t *testing.T) {
	dir := t.TempDir()
	if code, out, problems := tenu(t, noEnv, "demo", "--once", "--port", "0", "--dir", dir); code != exitDone {
		t.Fatalf("%d: %s%s", code, out, problems)
	}
	file := filepath.Join(dir, "tenu.yaml")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(text), "\n")
	for i := range lines {
		if strings.HasPrefix(lines[i], "listen:") {
			lines[i] = `listen: {api: "127.0.0.1:0", admin: "127.0.0.1:0"}`
		}
	}
	if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var problems output
	over := make(chan int, 1)
	go func() { over <- Run(ctx, []string{"serve", "--config", file}, io.Discard, &problems, noEnv) }()

	s, err := store.Open(t.Context(), "sqlite:"+filepath.Join(dir, "tenu.db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	fence(t, s)
	if code := <-over; code != exitFenced {
		t.Errorf("ended with %d: %s", code, problems.text())
	}
}

// fence takes over the lease that is renewed, once there is one.
func fence(t *testing.T, s *store.Store) {
	t.Helper()
	mine, err := s.Acquire(t.Context(), "other")
	if err != nil {
		t.Fatal(err)
	}
	for {
		leases, err := s.Leases(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range leases {
			if l.Epoch <= mine.Epoch || l.Fenced {
				continue
			}
			if moved, err := s.Takeover(t.Context(), l, mine.Epoch, 100); err == nil && moved >= 0 {
				return
			}
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func TestSandboxAlone(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	var out, problems output
	over := make(chan int, 1)
	go func() {
		over <- Run(ctx, []string{"sandbox", "--json", "--port", "0", "--dir", t.TempDir()}, &out, &problems, noEnv)
	}()
	var at sandboxAddresses
	for json.Unmarshal([]byte(out.text()), &at) != nil {
		time.Sleep(time.Millisecond)
	}
	for _, address := range []string{at.Wallet, at.Charging, at.SMS} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address+"/faults", nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", address, response.Status)
		}
	}
	cancel()
	if code := <-over; code != exitDone {
		t.Errorf("ended with %d: %s", code, problems.text())
	}
}

func TestConfigKey(t *testing.T) {
	code, out, _ := tenu(t, noEnv, "config", "key", "shop", "--life", "24h", "--json")
	var made struct{ Client, Key, Hash, Expires string }
	if err := json.Unmarshal([]byte(out), &made); code != exitDone || err != nil {
		t.Fatalf("%d: %s", code, out)
	}
	if auth.HashKey(made.Key).String() != made.Hash || !strings.HasPrefix(made.Key, "tenu_shop_") {
		t.Errorf("got %s", out)
	}
	if _, err := time.Parse(time.RFC3339, made.Expires); err != nil {
		t.Error(err)
	}
	_, out, _ = tenu(t, noEnv, "config", "key", "shop")
	if !strings.Contains(out, "  - name: shop\n") || !strings.Contains(out, "- hash: sha256:") {
		t.Errorf("got %s", out)
	}
}

func TestCodes(t *testing.T) {
	dir := t.TempDir()
	broken := filepath.Join(dir, "broken.yaml")
	if err := os.WriteFile(broken, []byte("node: a\nnoed: b\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		args []string
		code int
		want string
	}{
		"help":             {[]string{"--help"}, exitDone, "Usage: tenu"},
		"nothing":          {nil, exitDone, "Usage: tenu"},
		"version":          {[]string{"version"}, exitDone, "tenu unknown (go"},
		"unknown command":  {[]string{"sell"}, exitUsage, "unexpected argument sell"},
		"unknown flag":     {[]string{"demo", "--fast"}, exitUsage, "unknown flag --fast"},
		"no configuration": {[]string{"serve", "--config", filepath.Join(dir, "absent.yaml")}, exitUsage, "absent.yaml"},
		"broken":           {[]string{"serve", "--config", broken}, exitUsage, `broken.yaml:2: noed: unknown field "noed"`},
		"no key":           {[]string{"show", "K7M2-Q4XD-9T"}, exitUsage, "set TENU_KEY"},
		"bad client name":  {[]string{"config", "key", "Shop"}, exitUsage, "client name"},
		"no store":         {[]string{"migrate", "--store", "mysql:x"}, exitFailed, "must begin with sqlite: or postgres:"},
	} {
		t.Run(name, func(t *testing.T) {
			code, out, problems := tenu(t, noEnv, c.args...)
			if code != c.code || !strings.Contains(out+problems, c.want) {
				t.Errorf("got %d: %s%s\nwant %d with %q", code, out, problems, c.code, c.want)
			}
		})
	}
}

func TestMigrate(t *testing.T) {
	dsn := "sqlite:" + filepath.Join(t.TempDir(), "a.db")
	for _, want := range []string{"Migrated from schema 0 to", "already"} {
		if code, out, problems := tenu(t, noEnv, "migrate", "--store", dsn); code != exitDone || !strings.Contains(out, want) {
			t.Errorf("got %d: %s%s, want %q", code, out, problems, want)
		}
	}
}

// The API speaks TLS where a certificate is configured.
func TestServeTLS(t *testing.T) {
	dir := t.TempDir()
	if code, out, problems := tenu(t, noEnv, "demo", "--once", "--port", "0", "--dir", dir); code != exitDone {
		t.Fatalf("%d: %s%s", code, out, problems)
	}
	lender := httptest.NewUnstartedServer(nil) // for its certificate and client
	lender.EnableHTTP2 = true
	lender.StartTLS()
	defer lender.Close()
	pair := lender.TLS.Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{"api.crt": {Type: "CERTIFICATE", Bytes: pair.Certificate[0]}, "api.key": {Type: "PRIVATE KEY", Bytes: key}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cfg, err := readConfig(filepath.Join(dir, "tenu.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	cfg.Listen = listenConfig{API: "127.0.0.1:0", TLS: tlsConfig{Certificate: "api.crt", Key: "api.key"}}
	ctx, cancel := context.WithCancel(t.Context())
	a := &app{out: io.Discard, err: io.Discard, env: noEnv, clock: newSteady(), random: rand.Reader}
	n, err := openNode(ctx, a, cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	at, err := n.listen(ctx)
	if err != nil || at.admin != nil {
		t.Fatalf("listen: %v, %v", at.admin, err)
	}
	over := make(chan error, 1)
	go func() { over <- n.run(ctx, at) }()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+at.api.Addr().String()+"/healthz", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := lender.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusOK || response.Header.Get("Strict-Transport-Security") == "" {
		t.Errorf("got %s, %v", response.Status, response.Header)
	}
	if response.ProtoMajor != 2 {
		t.Errorf("over TLS %s is spoken", response.Proto)
	}
	lender.Client().CloseIdleConnections()
	cancel()
	if err := errors.Join(<-over, n.close()); err != nil {
		t.Error(err)
	}
}
