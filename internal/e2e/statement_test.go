package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"tenu/internal/auth"
	"tenu/internal/purchase"
	"tenu/internal/reconcile/intake"
	"tenu/internal/sandbox"
	"tenu/internal/store"
	"tenu/internal/testpeer"
)

// reconciling configures statements of the rig's partners, whose clocks are this machine's.
const reconciling = `
reconcile:
  sign: file:close-key
  statements:
    - {partner: wallet, mapping: sandbox, skew: 1ms}
    - {partner: ocs, mapping: %s, skew: %s}
`

// loaded is what tenu reconcile says of a statement.
type loaded struct {
	Lines    int64          `json:"lines"`
	Matched  int64          `json:"matched"`
	Open     int64          `json:"open"`
	Breaks   map[string]int `json:"breaks"`
	ByTable  int            `json:"corrected_by_table"`
	Repeated bool           `json:"repeated"`
}

// tenu runs a command and returns what it printed; it fails the test unless the command does as is wanted.
func (r *rig) tenu(succeeds bool, arguments ...string) string {
	r.t.Helper()
	command := exec.CommandContext(r.t.Context(), program, arguments...)
	command.Dir = r.dir
	var out, complaint bytes.Buffer
	command.Stdout, command.Stderr = &out, &complaint
	if err := command.Run(); (err == nil) != succeeds {
		r.t.Fatalf("tenu %s: %v\n%s%s", strings.Join(arguments, " "), err, out.String(), complaint.String())
	}
	return out.String() + complaint.String()
}

// statement saves what a sandbox partner says of a time.
func (r *rig) statement(partner, name string, from, to purchase.Instant) string {
	r.t.Helper()
	query := url.Values{"from": {from.Time().Format(time.RFC3339Nano)}, "to": {to.Time().Format(time.RFC3339Nano)}}
	response, err := http.Get(partner + "/statement?" + query.Encode()) //nolint:noctx // a test's own call
	if err != nil {
		r.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		r.t.Fatalf("statement of %s: %d, %v", name, response.StatusCode, err)
	}
	path := filepath.Join(r.dir, name+".csv")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		r.t.Fatal(err)
	}
	return path
}

// load loads a statement by the command.
func (r *rig) load(n *node, partner, file string, more ...string) (l loaded) {
	r.t.Helper()
	out := r.tenu(true, append([]string{"reconcile", file, "--config", n.config, "--partner", partner, "--json"}, more...)...)
	if err := json.Unmarshal([]byte(out), &l); err != nil {
		r.t.Fatalf("%v: %s", err, out)
	}
	return l
}

// A wallet and a charging system lie, execute twice and take back; their own
// statements show it in one cycle, whoever did it answers for it, and the
// corrections go through the table of states.
func TestLyingPartners(t *testing.T) {
	t.Parallel()
	for name, dsn := range map[string]func(*testing.T) string{"sqlite": func(*testing.T) string { return "" },
		"postgres": func(t *testing.T) string { return testpeer.Postgres(t) }} {
		t.Run(name, func(t *testing.T) { lyingPartners(t, newSandboxRig(t, dsn(t))) })
	}
}

func lyingPartners(t *testing.T, r *rig) {
	r.partners = func(n *node) string { return r.sandboxPartners(n) + fmt.Sprintf(reconciling, "sandbox", "1ms") }
	key := r.tenu(true, "reconcile", "key", "e2e.example", "--file", filepath.Join(r.dir, "close-key"))
	if !strings.Contains(key, "e2e.example+") {
		t.Fatalf("the key: %s", key)
	}
	n := r.node("n1", quick)
	n.start()
	from := clock{}.Now()
	fault(t, r.pays, sandbox.Fault{Operation: "charge", Kind: sandbox.Lie, Next: 3})
	fault(t, r.gives, sandbox.Fault{Operation: "credit", Kind: sandbox.Twice, Next: 2, Skip: 10})
	refs := r.sell(0, 60, 8, n)
	records := r.records(refs, 2*time.Minute)
	for i := range records {
		if s := records[i].Purchase.State; s != purchase.Credited {
			t.Fatalf("a purchase is %s before anybody was asked for a statement", s)
		}
	}
	to := clock{}.Now()
	wallet, ocs := r.statement(r.pays, "wallet", from, to), r.statement(r.gives, "ocs", from, to)
	if l := r.load(n, "wallet", wallet); !reflect.DeepEqual(l.Breaks, map[string]int{"lied": 3}) || l.Open != 0 || l.Matched != 57 {
		t.Errorf("the wallet's statement: %+v", l)
	}
	if l := r.load(n, "ocs", ocs); !reflect.DeepEqual(l.Breaks, map[string]int{"twice": 2}) || l.Matched != 60 {
		t.Errorf("the charging system's statement: %+v", l)
	}
	if l := r.load(n, "wallet", wallet); !l.Repeated {
		t.Errorf("loaded again: %+v", l)
	}
	for file, want := range map[string]string{ocs: `it is of "ocs", and not of "wallet"`, r.cut(wallet): "it is cut"} {
		if out := r.tenu(false, "reconcile", file, "--config", n.config, "--partner", "wallet"); !strings.Contains(out, want) || !strings.Contains(out, "nothing is booked") {
			t.Errorf("%s: %s", filepath.Base(file), out)
		}
	}
	r.acceptAll(n)
	r.closeDay(n)
	n.stop()
	r.verify(n.config)
}

// cut is a file without its last line.
func (r *rig) cut(file string) string {
	r.t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		r.t.Fatal(err)
	}
	path := filepath.Join(r.dir, "cut.csv")
	if err := os.WriteFile(path, text[:bytes.LastIndex(text, []byte("total"))], 0o600); err != nil {
		r.t.Fatal(err)
	}
	return path
}

// acceptAll accepts the corrections as two people, and waits until the node has recorded them.
func (r *rig) acceptAll(n *node) {
	t := r.t
	t.Helper()
	s, err := store.Open(t.Context(), r.dsn, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	for _, login := range []string{"awa", "ali"} {
		if _, err := s.AddStaff(t.Context(), auth.Staff{Login: login, Name: login, Role: auth.Supervisor, Language: "fr", Version: 1}, auth.Secrets{}, auth.StaffChange{}); err != nil {
			t.Fatal(err)
		}
	}
	var breaks []struct {
		ID       int64
		Cause    string
		Party    string
		Purchase string
		Case     bool
	}
	list := func(more ...string) {
		breaks = nil
		if err := json.Unmarshal([]byte(r.tenu(true, append([]string{"reconcile", "breaks", "--config", n.config, "--json"}, more...)...)), &breaks); err != nil {
			t.Fatal(err)
		}
	}
	list()
	for _, b := range breaks {
		if want := map[string]string{"lied": "wallet", "twice": "ocs"}[b.Cause]; b.Party != want || b.Purchase == "" {
			t.Errorf("break %+v, want it laid to %s", b, want)
		}
		out := r.tenu(true, "reconcile", "accept", fmt.Sprint(b.ID), "--config", n.config, "--by", "awa", "--reason", "seen in the statement")
		if !strings.Contains(out, "accepted") {
			t.Errorf("accept: %s", out)
		}
	}
	for deadline := time.Now().Add(time.Minute); len(breaks) > 0 && time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		list()
	}
	if len(breaks) != 0 {
		t.Fatalf("not recorded by the node: %+v\n%s", breaks, n.output.tail())
	}
	list("--all")
	openings := 0
	for _, b := range breaks {
		if b.Case {
			openings++
		}
	}
	if openings != 5 {
		t.Errorf("%d of 5 breaks have a case: %+v", openings, breaks)
	}
}

// closeDay closes today's books as tomorrow would, which is refused, and those of yesterday.
func (r *rig) closeDay(n *node) {
	today := time.Now().UTC()
	if out := r.tenu(false, "reconcile", "close", today.Format(time.DateOnly), "--config", n.config); !strings.Contains(out, "not over") {
		r.t.Errorf("close today: %s", out)
	}
	yesterday := today.AddDate(0, 0, -1).Format(time.DateOnly)
	if out := r.tenu(true, "reconcile", "close", yesterday, "--config", n.config); !strings.Contains(out, "closed by record 1") {
		r.t.Errorf("close yesterday: %s", out)
	}
	if out := r.tenu(true, "reconcile", "closes", "--config", n.config); !strings.Contains(out, "1 records") {
		r.t.Errorf("check the closes: %s", out)
	}
}

// A node takes in what is put into a folder: what is sound is loaded, what is not is refused and said.
func TestStatementsAreFetched(t *testing.T) {
	t.Parallel()
	r := newSandboxRig(t, "")
	inbox := filepath.Join(r.dir, "inbox")
	if err := os.Mkdir(inbox, 0o700); err != nil {
		t.Fatal(err)
	}
	r.partners = func(n *node) string {
		return r.sandboxPartners(n) + "\nreconcile:\n  every: 200ms\n  statements:\n    - {partner: ocs, mapping: sandbox, skew: 1ms, sources: [{dir: inbox, pattern: \"*.csv\"}]}\n"
	}
	n := r.node("n1", quick)
	n.start()
	from := clock{}.Now()
	r.records(r.sell(0, 10, 4, n), 2*time.Minute)
	sound := r.statement(r.gives, "ocs", from, clock{}.Now())
	for name, file := range map[string]string{"a-cut.csv": r.cut(sound), "b-sound.csv": sound} {
		if err := os.Rename(file, filepath.Join(inbox, name)); err != nil {
			t.Fatal(err)
		}
	}
	var statements []struct {
		Name  string
		Lines int64
	}
	for deadline := time.Now().Add(time.Minute); len(statements) == 0 && time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		if err := json.Unmarshal([]byte(r.tenu(true, "reconcile", "statements", "--config", n.config, "--json")), &statements); err != nil {
			t.Fatal(err)
		}
	}
	if len(statements) != 1 || statements[0].Name != "b-sound.csv" || statements[0].Lines != 10 {
		t.Errorf("loaded %+v\n%s", statements, n.output.tail())
	}
	if said := n.output.tail(); !strings.Contains(said, "a statement was refused") || !strings.Contains(said, "a-cut.csv") || strings.Count(said, "a statement was refused") != 1 {
		t.Errorf("the node said: %s", said)
	}
	n.stop()
}

// The records of a real charging system are its statement: what it recorded matches, and what it lost is missed.
func TestChargingSystemStatement(t *testing.T) {
	t.Parallel()
	r := newRig(t, "")
	r.partners = func(n *node) string { return r.realPartners(n) + fmt.Sprintf(reconciling, "cgrates", "2s") }
	r.tenu(true, "reconcile", "key", "e2e.example", "--file", filepath.Join(r.dir, "close-key"))
	n := r.node("n1", quick)
	n.start()
	from := clock{}.Now().Add(-3 * time.Second)
	refs := r.sell(0, 40, 8, n)
	r.records(refs, 2*time.Minute)
	time.Sleep(3 * time.Second) // so that what was told lies within the period for certain, by clocks that may differ by two seconds
	to := clock{}.Now()
	source := &intake.CGRateS{URL: r.cgr.URL, Tenant: "cgrates.org", Client: http.DefaultClient, Step: 2 * time.Second}
	files, err := source.Files(t.Context(), intake.Period{From: from - from%1_000_000, To: to - to%1_000_000 + 1_000_000})
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	text := r.read(files[0].Open)
	path := filepath.Join(r.dir, "cdrs.json")
	save := func(text []byte) {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	save(text)
	period := []string{"--from", from.Time().Format(time.RFC3339Nano), "--to", to.Time().Format(time.RFC3339Nano)}
	if l := r.load(n, "ocs", path, period...); len(l.Breaks) != 0 || l.Matched != 40 || l.Open != 0 {
		t.Errorf("all is there: %+v", l)
	}
	var all []json.RawMessage
	if err := json.Unmarshal(text, &all); err != nil || len(all) != 40 {
		t.Fatalf("%d records, %v", len(all), err)
	}
	lost, err := json.Marshal(all[:38])
	if err != nil {
		t.Fatal(err)
	}
	save(lost)
	if l := r.load(n, "ocs", path, period...); l.Breaks["lied"] != 2 || l.Breaks["vanished"] != 2 {
		t.Errorf("two are lost: %+v", l)
	}
	save(text[:len(text)/2])
	if out := r.tenu(false, append([]string{"reconcile", path, "--config", n.config, "--partner", "ocs"}, period...)...); !strings.Contains(out, "it is cut") {
		t.Errorf("cut: %s", out)
	}
	n.stop()
}

// read reads what a source opens.
func (r *rig) read(open func(context.Context) (io.ReadCloser, error)) []byte {
	r.t.Helper()
	in, err := open(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	defer in.Close()
	text, err := io.ReadAll(in)
	if err != nil {
		r.t.Fatal(err)
	}
	return text
}
