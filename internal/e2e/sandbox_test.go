package e2e

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"tenu/internal/auth"
	"tenu/internal/peer"
	"tenu/internal/purchase"
	"tenu/internal/sandbox"
	"tenu/internal/store"
)

// partners are where the sandbox's are, as tenu sandbox says it.
type partners struct {
	Wallet   string `json:"wallet"`
	Charging string `json:"charging"`
	SMS      string `json:"sms"`
}

// newSandboxRig is a rig whose partners are tenu sandbox, a process of its own.
func newSandboxRig(t *testing.T, dsn string) *rig {
	t.Helper()
	r := &rig{t: t, dir: t.TempDir(), dsn: dsn}
	if r.dsn == "" {
		r.dsn = "sqlite:" + filepath.Join(r.dir, "tenu.db")
	}
	var err error
	if r.key, err = auth.NewKey("e2e", rand.Reader); err != nil {
		t.Fatal(err)
	}
	r.hash = auth.HashKey(r.key)
	for i := range 5000 {
		r.lines = append(r.lines, purchase.MSISDN(22670100000+i))
	}
	r.startSandbox(filepath.Join(r.dir, "partners"))
	r.partners = r.sandboxPartners
	return r
}

// startSandbox runs tenu sandbox until the test ends.
func (r *rig) startSandbox(dir string) {
	r.t.Helper()
	said, err := os.Create(filepath.Join(r.dir, "partners.json"))
	if err != nil {
		r.t.Fatal(err)
	}
	defer func() { _ = said.Close() }() // the process has it too
	process := peer.Prepare(nil, r.dir, program, "sandbox", "--json", "--port", "0", "--dir", dir)
	process.Cmd.Stdout = said
	if err := process.Start(); err != nil {
		r.t.Fatalf("start the sandbox: %v", err)
	}
	r.t.Cleanup(func() {
		process.Kill()
		if r.t.Failed() {
			r.t.Logf("the sandbox said: %s", process.Tail())
		}
	})
	for deadline := time.After(time.Minute); ; {
		text, err := os.ReadFile(said.Name())
		if err != nil {
			r.t.Fatal(err)
		}
		if json.Unmarshal(text, &r.at) == nil {
			break
		}
		select {
		case <-process.Done:
			r.t.Fatalf("the sandbox ended at once: %s", process.Tail())
		case <-deadline:
			r.t.Fatalf("the sandbox does not start: %s", process.Tail())
		case <-time.After(5 * time.Millisecond):
		}
	}
	r.pays, r.gives, r.sms = r.at.Wallet, r.at.Charging, r.at.SMS
}

// sandboxPartners configures a node for the sandbox.
func (r *rig) sandboxPartners(n *node) string {
	return fmt.Sprintf(`partners:
  - name: wallet
    url: %q
    timeout: 2s
    concurrency: 64
    retry: {rate: 5000, burst: 5000}
    circuit: {failures: 95, window: 100, open_for: 500ms}
    gsma:
      merchant: {key: organisationid, value: tenu}
      callback: {url: "%s/callbacks/wallet", keys: ["file:partners/callback-key"]}
      key_life: 24h
      lateness: 10s
  - name: ocs
    url: "%s/Air"
    timeout: 2s
    concurrency: 64
    retry: {rate: 5000, burst: 5000}
    circuit: {failures: 95, window: 100, open_for: 500ms}
    ucip: {host_name: e2e, profile: AIRT, country_code: "226", key_life: 24h, lateness: 10s}`, r.pays, n.url, r.gives)
}

// movements returns a sandbox partner's whole book.
func (r *rig) movements(partner string) (book []sandbox.Movement) {
	r.t.Helper()
	for after := int64(0); ; {
		response, err := http.Get(fmt.Sprintf("%s/books/movements?after=%d", partner, after)) //nolint:noctx // a test's own call
		if err != nil {
			r.t.Fatalf("read a partner's book: %v", err)
		}
		var page []sandbox.Movement
		err = json.NewDecoder(response.Body).Decode(&page)
		response.Body.Close()
		if err != nil {
			r.t.Fatalf("read a partner's book: %v", err)
		}
		if len(page) == 0 {
			return book
		}
		book = append(book, page...)
		after = page[len(page)-1].Seq
	}
}

// db opens the nodes' database beside them, until the test ends.
func (r *rig) db() *sql.DB {
	r.t.Helper()
	driver, address := "pgx", r.dsn
	if path, ok := strings.CutPrefix(r.dsn, "sqlite:"); ok {
		driver, address = "sqlite", "file:"+path+"?mode=rw&_pragma=busy_timeout(10000)"
	}
	db, err := sql.Open(driver, address)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = db.Close() })
	return db
}

// settle waits until every purchase in the books is in a final state.
func (r *rig) settle(within time.Duration) {
	r.t.Helper()
	db := r.db()
	defer func() { _ = db.Close() }() // only read
	for deadline := time.Now().Add(within); ; time.Sleep(50 * time.Millisecond) {
		var open int
		err := db.QueryRowContext(r.t.Context(), unsettled).Scan(&open)
		if err == nil && open == 0 {
			return
		}
		if time.Now().After(deadline) {
			r.t.Fatalf("%d purchases are not settled (%v)", open, err)
		}
	}
}

// open is how many purchases in the books are not in a final state.
func (r *rig) open() (open int) {
	r.t.Helper()
	db := r.db()
	defer func() { _ = db.Close() }() // only read
	if err := db.QueryRowContext(r.t.Context(), unsettled).Scan(&open); err != nil {
		r.t.Fatal(err)
	}
	return open
}

const unsettled = `SELECT count(*) FROM purchase WHERE state NOT IN (3, 5, 6)`

// moves counts what the partners did for a purchase.
type moves struct{ charges, credits, refunds int }

// wanted is what the partners must have done by the state of a purchase.
var wanted = map[purchase.State]moves{purchase.Credited: {1, 1, 0}, purchase.Refunded: {1, 0, 1}, purchase.Declined: {}}

// result is what came of a test's sales.
type result struct {
	purchases    int
	acknowledged int
	states       map[purchase.State]int
	// strangers are what the partners did for purchases that our books do not know.
	strangers map[purchase.ID]moves
}

func (r result) String() string {
	return fmt.Sprintf("purchases %d, acknowledged %d, %v", r.purchases, r.acknowledged, r.states)
}

// balance settles everything, then compares the books: each acknowledged
// purchase is stored, and the partners did for each purchase what its state
// says, and nothing for anybody else. The nodes may run.
func (r *rig) balance(refs []string, within time.Duration) result {
	r.t.Helper()
	r.settle(within)
	res := r.compare(refs)
	for id, m := range res.strangers {
		r.t.Errorf("purchase %d is not stored, and the partners have %+v of it", id, m)
	}
	return res
}

// compare is balance without settling, and leaves strangers to the caller.
func (r *rig) compare(refs []string) result {
	r.t.Helper()
	s, err := store.Open(r.t.Context(), r.dsn, store.Options{})
	if err != nil {
		r.t.Fatal(err)
	}
	defer s.Close() //nolint:errcheck // only read
	keys := r.keys(s)
	res := result{acknowledged: len(refs), states: map[purchase.State]int{}, strangers: r.movesByKey(keys)}
	acknowledged := map[purchase.ID]bool{}
	for _, ref := range refs {
		id, err := keys.Parse(ref)
		if err != nil || acknowledged[id] {
			r.t.Errorf("reference %q is wrong or was answered to two requests: %v", ref, err)
		}
		acknowledged[id] = true
	}
	for part := range slices.Chunk(r.ids(), 500) {
		records, err := s.Load(r.t.Context(), part...)
		if err != nil {
			r.t.Fatalf("load: %v", err)
		}
		for i := range records {
			p := &records[i].Purchase
			res.purchases++
			res.states[p.State]++
			if got := res.strangers[p.ID]; got != wanted[p.State] && !p.Exposed {
				r.t.Errorf("purchase %d is %s, but the partners have %+v: %+v", p.ID, p.State, got, records[i])
			}
			delete(res.strangers, p.ID)
			delete(acknowledged, p.ID)
		}
	}
	if len(acknowledged) > 0 {
		r.t.Errorf("%d of %d acknowledged purchases are lost", len(acknowledged), len(refs))
	}
	r.verify(filepath.Join(r.dir, "n1.yaml"))
	return res
}

// ids are those of all purchases in the books.
func (r *rig) ids() (ids []purchase.ID) {
	r.t.Helper()
	db := r.db()
	defer func() { _ = db.Close() }() // only read
	rows, err := db.QueryContext(context.Background(), `SELECT id FROM purchase ORDER BY id`)
	if err != nil {
		r.t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var id purchase.ID
		if err := rows.Scan(&id); err != nil {
			r.t.Fatal(err)
		}
		ids = append(ids, id)
	}
	if err := rows.Err(); err != nil {
		r.t.Fatal(err)
	}
	return ids
}

// movesByKey reads the partners' books by our keys.
func (r *rig) movesByKey(keys *purchase.Keyring) map[purchase.ID]moves {
	r.t.Helper()
	found := map[purchase.ID]moves{}
	note := func(m *sandbox.Movement, parse func(string) (purchase.Key, error)) {
		if m.Status != sandbox.StatusDone {
			return
		}
		key, err := parse(m.Key)
		if err != nil {
			r.t.Errorf("a partner moved %+v: %v", *m, err)
			return
		}
		was := found[key.ID]
		switch key.Leg {
		case purchase.Charge:
			was.charges++
		case purchase.Credit:
			was.credits++
		case purchase.Refund:
			was.refunds++
		default:
			r.t.Errorf("a partner moved %+v for leg %v", *m, key.Leg)
		}
		found[key.ID] = was
	}
	for _, m := range r.movements(r.at.Wallet) {
		note(&m, keys.ParseUUID)
	}
	for _, m := range r.movements(r.at.Charging) {
		note(&m, keys.ParseDigits)
	}
	return found
}
