package e2e

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"tenu/internal/auth"
	"tenu/internal/money"
	"tenu/internal/purchase"
	"tenu/internal/sandbox"
	"tenu/internal/store"
	"tenu/internal/testpeer"
)

// program is the binary under test, built once.
var program string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "tenu-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	program = filepath.Join(dir, "tenu")
	build := exec.CommandContext(context.Background(), "go", "build", "-o", program, "tenu/cmd/tenu")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "build tenu:", err)
		os.Exit(1)
	}
	code := testpeer.Main(m)
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

type clock struct{}

func (clock) Now() purchase.Instant                  { return purchase.At(time.Now()) }
func (clock) After(d time.Duration) <-chan time.Time { return time.After(d) }

// rig is a wallet, a charging system, and the databases and files of tenu nodes.
type rig struct {
	t      *testing.T
	dir    string
	dsn    string
	wallet *sandbox.Wallet
	pays   string // the wallet's address
	sms    string // the SMS centre's
	cgr    *testpeer.CGR
	key    string // of the API client
	hash   auth.Hash
	lines  []purchase.MSISDN
	again  bool // purchases are like one another within the time to ask first
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
	for i := range lineCount {
		line := purchase.MSISDN(22670100000 + i)
		r.lines = append(r.lines, line)
		var ok string
		r.ocs("APIerSv2.SetAccount", map[string]any{"Tenant": "cgrates.org", "Account": account(line)}, &ok)
	}
	return r
}

func (r *rig) sandbox(name string) sandbox.Config {
	return sandbox.Config{Name: name, Path: filepath.Join(r.dir, name+".db"), Seed: 1, Clock: clock{}, Log: slog.New(slog.DiscardHandler)}
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

// node is one tenu serve process.
type node struct {
	r      *rig
	name   string
	url    string
	config string
	cmd    *exec.Cmd
	done   chan struct{}
	output *lockedBuffer
}

type lockedBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

func (b *lockedBuffer) tail() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	text := b.String()
	return text[max(0, len(text)-4000):]
}

// node configures a node with extra lines of profile rules, not started yet.
func (r *rig) node(name, profile string) *node {
	r.t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // only to find a free port
	if err != nil {
		r.t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	n := &node{r: r, name: name, url: "http://" + address, config: filepath.Join(r.dir, name+".yaml"), output: &lockedBuffer{}}
	text := fmt.Sprintf(`node: %s
listen: {api: %q}
store: {dsn: %q, lease: 2s}
profile:
  repeat_within: 0s
%s
partners:
  - name: wallet
    url: %q
    timeout: 2s
    concurrency: 64
    gsma: {merchant: {key: organisationid, value: tenu}, lateness: 5s}
  - name: ocs
    url: %q
    timeout: 2s
    concurrency: 64
    cgrates: {}
sms: {url: %q}
clients:
  - name: e2e
    scopes: [purchases:write, purchases:read]
    rate: 100000
    in_flight: 5000
    keys: [{hash: %q}]
log: {format: text, level: warn}
`, name, address, r.dsn, profile, r.pays, r.cgr.URL, r.sms, r.hash)
	if err := os.WriteFile(n.config, []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
	if output, err := exec.CommandContext(r.t.Context(), program, "migrate", "--config", n.config).CombinedOutput(); err != nil {
		r.t.Fatalf("tenu migrate: %v\n%s", err, output)
	}
	return n
}

// start runs tenu serve and waits until it admits purchases.
func (n *node) start() {
	n.r.t.Helper()
	n.run("serve", "--config", n.config)
	n.ready()
}

// run starts the process.
func (n *node) run(arguments ...string) {
	n.r.t.Helper()
	n.cmd = exec.Command(program, arguments...) //nolint:noctx // it is signalled, not cancelled
	n.cmd.Stdout, n.cmd.Stderr = n.output, n.output
	n.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	n.done = make(chan struct{})
	started := make(chan error, 1)
	go func() { // the child dies with the thread that started it
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(n.done)
		err := n.cmd.Start()
		started <- err
		if err == nil {
			_ = n.cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		n.r.t.Fatalf("start %s: %v", n.name, err)
	}
}

// ready waits until the node admits purchases.
func (n *node) ready() {
	n.r.t.Helper()
	deadline := time.After(60 * time.Second)
	for {
		if response, err := http.Get(n.url + "/readyz"); err == nil { //nolint:noctx // a test's own call
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return
			}
		}
		select {
		case <-n.done:
			n.r.t.Fatalf("%s ended at once: %s", n.name, n.output.tail())
		case <-deadline:
			n.r.t.Fatalf("%s is not ready: %s", n.name, n.output.tail())
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func (n *node) signal(s syscall.Signal) {
	n.r.t.Helper()
	if err := n.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		n.r.t.Fatalf("%v to %s: %v", s, n.name, err)
	}
}

func (n *node) kill() {
	n.signal(syscall.SIGKILL)
	<-n.done
}

// stop ends the process as an operator does, and checks that it ends well.
func (n *node) stop() {
	n.r.t.Helper()
	n.signal(syscall.SIGTERM)
	select {
	case <-n.done:
	case <-time.After(40 * time.Second):
		n.r.t.Errorf("%s does not end: %s", n.name, n.output.tail())
		n.kill()
	}
	if code := n.cmd.ProcessState.ExitCode(); code != 0 {
		n.r.t.Errorf("%s ended with code %d: %s", n.name, code, n.output.tail())
	}
}

// order is what the client wants, under a key of its own.
type order struct {
	key  string
	line purchase.MSISDN
}

// buy asks one of the nodes until the purchase is acknowledged, with the same
// key each time, as a client must, and returns its reference.
func (r *rig) buy(client *http.Client, o order, nodes ...*node) (string, error) {
	body := fmt.Sprintf(`{"product":"airtime","number":%q,"amount":1050,"currency":"XOF","again":%t}`, o.line, r.again)
	var last string
	for try, began := 0, time.Now(); time.Since(began) < time.Minute; try++ {
		n := nodes[try%len(nodes)]
		request, err := http.NewRequest(http.MethodPost, n.url+"/v1/purchases", strings.NewReader(body)) //nolint:noctx // the client has a timeout
		if err != nil {
			return "", err
		}
		request.Header.Set("Authorization", "Bearer "+r.key)
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("Idempotency-Key", o.key)
		response, err := client.Do(request)
		if err == nil {
			answer, readErr := io.ReadAll(response.Body)
			response.Body.Close()
			var p struct {
				Reference string `json:"reference"`
			}
			switch {
			case readErr != nil:
			case response.StatusCode == http.StatusOK || response.StatusCode == http.StatusCreated:
				if err := json.Unmarshal(answer, &p); err != nil {
					return "", err
				}
				return p.Reference, nil
			case response.StatusCode < http.StatusInternalServerError && response.StatusCode != http.StatusTooManyRequests:
				return "", fmt.Errorf("%s: %s", response.Status, answer)
			}
			last = response.Status + " " + string(answer)
		} else {
			last = err.Error()
		}
		time.Sleep(10 * time.Millisecond)
	}
	return "", fmt.Errorf("never acknowledged: %s", last)
}

// sell buys count times with many clients and returns the references.
func (r *rig) sell(from, count, clients int, nodes ...*node) []string {
	r.t.Helper()
	client := &http.Client{Timeout: 3 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: clients}}
	defer client.CloseIdleConnections()
	refs := make([]string, count)
	next := make(chan int)
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() {
			for i := range next {
				ref, err := r.buy(client, order{fmt.Sprintf("key-%d", from+i), r.lines[(from+i)%len(r.lines)]}, nodes...)
				if err != nil {
					r.t.Errorf("buy %d: %v", from+i, err)
				}
				refs[i] = ref
			}
		})
	}
	for i := range count {
		next <- i
	}
	close(next)
	wg.Wait()
	return refs
}

// records waits until every purchase is settled and returns them as stored.
func (r *rig) records(refs []string, within time.Duration) []purchase.Record {
	r.t.Helper()
	s, err := store.Open(context.Background(), r.dsn, store.Options{})
	if err != nil {
		r.t.Fatalf("open the store: %v", err)
	}
	defer s.Close() //nolint:errcheck // only read
	keys := r.keys(s)
	var ids []purchase.ID
	seen := map[purchase.ID]bool{}
	for _, ref := range refs {
		id, err := keys.Parse(ref)
		if err != nil {
			r.t.Fatalf("reference %q: %v", ref, err)
		}
		if seen[id] {
			r.t.Errorf("%s was answered to two requests", ref)
		}
		seen[id] = true
		ids = append(ids, id)
	}
	var settled []purchase.Record
	for deadline := time.Now().Add(within); len(ids) > 0; time.Sleep(200 * time.Millisecond) {
		var open []purchase.Record
		for part := range slices.Chunk(ids, 500) {
			records, err := s.Load(context.Background(), part...)
			if err != nil {
				r.t.Fatalf("load: %v", err)
			}
			if len(records) != len(part) {
				r.t.Fatalf("%d purchases were acknowledged, %d are stored", len(part), len(records))
			}
			for _, record := range records {
				if record.Purchase.State.Final() {
					settled = append(settled, record)
				} else {
					open = append(open, record)
				}
			}
		}
		if len(open) > 0 && time.Now().After(deadline) {
			r.t.Fatalf("%d of %d are not settled, the first: %+v", len(open), len(refs), open[0])
		}
		ids = ids[:0]
		for i := range open {
			ids = append(ids, open[i].Purchase.ID)
		}
	}
	slices.SortFunc(settled, func(a, b purchase.Record) int { return cmp.Compare(a.Purchase.ID, b.Purchase.ID) })
	return settled
}

func (r *rig) keys(s *store.Store) *purchase.Keyring {
	r.t.Helper()
	secret, err := s.Secret(context.Background(), make([]byte, 32))
	if err != nil {
		r.t.Fatal(err)
	}
	keys, err := purchase.NewKeyring(secret)
	if err != nil {
		r.t.Fatal(err)
	}
	return keys
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
	if got := r.units(); got != units {
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
