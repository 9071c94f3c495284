package sim_test

import (
	"os"
	"testing"
	"time"
	_ "time/tzdata"

	"tenu/internal/purchase"
	"tenu/internal/sim"
)

// scripted is a short afternoon on which a charging system accepts and does not credit.
func scripted(seed uint64, purchases int) *sim.Script {
	rules := purchase.DefaultRules()
	s := &sim.Script{Seed: seed, Begins: purchase.At(time.Date(2024, 7, 9, 13, 30, 0, 0, time.UTC)), Location: time.UTC, Ends: 2 * time.Hour,
		Customers: purchases, Rules: rules, Nodes: 2, Messages: 50,
		Partners: []sim.ScriptPartner{
			{Name: "wallet", Payer: true, Share: sim.Thousand, AtOnce: 32, Declines: 30, Capability: purchase.Capability{
				Idempotent: true, KeyLife: 24 * time.Hour, Query: true, Lateness: 2 * time.Minute, Timeout: 10 * time.Second}},
			{Name: "charging", Share: sim.Thousand, AtOnce: 32, Capability: purchase.Capability{
				Idempotent: true, KeyLife: 24 * time.Hour, Query: true, Lateness: time.Hour, Timeout: 10 * time.Second}}},
		Windows: []sim.Window{{Partner: "charging", From: 15 * time.Minute, Till: 90 * time.Minute, Late: sim.Span{Low: 5 * time.Minute, High: 50 * time.Minute},
			Faults: []sim.Share{{Fault: sim.Dropped, Of: 500}, {Fault: sim.Accepted, Of: 200}, {Fault: sim.ReplyLost, Of: 200}, {Fault: sim.QueryLost, Of: 300}}}},
		Habits: sim.Habits{Untold: 600, Told: 400, After: sim.Span{Low: 2 * time.Minute, High: 30 * time.Minute}, Again: sim.Span{Low: 30 * time.Minute, High: time.Hour},
			Times: 4, Phone: 300, Call: 700, Reached: 850},
		Line:     sim.Line{Agents: 4, Handling: sim.Span{Low: 2 * time.Minute, High: 5 * time.Minute}, Patience: sim.Span{Low: time.Minute, High: 4 * time.Minute}, Closes: 24 * time.Hour},
		Troubles: []sim.Trouble{{At: 40 * time.Minute, Fault: sim.CrashAfterSend, Lasts: 20 * time.Second}}}
	for i := range purchases {
		s.Arrivals = append(s.Arrivals, time.Duration(i)*110*time.Minute/time.Duration(purchases))
	}
	return s
}

// perform plays a script in a database of its own.
func perform(t *testing.T, s *sim.Script) *sim.Performance {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "tenu-script-test-") // in memory: it commits often
	if err != nil {
		dir = t.TempDir()
	}
	defer func() { _ = os.RemoveAll(dir) }()
	base, err := sim.SQLite(dir)(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = base.Close() }()
	p, err := sim.Perform(t.Context(), s, base)
	if err != nil {
		t.Fatal(err)
	}
	if p.Violation != nil {
		t.Fatal(p.Violation)
	}
	return p
}

// TestScript plays an outage with the real engine, desk and outboxes: nobody is told what
// is not so, everybody gets units or money, and all books agree.
func TestScript(t *testing.T) {
	s := scripted(1, 200)
	p := perform(t, s)
	t.Logf("%+v, calls %+v, %d complaints, %d of %d cases first, %d callbacks, %d kept, settled at %s",
		p.Auditor, p.Calls, p.Complaints, p.CasesFirst, p.Cases, p.Promised, p.Kept, p.SettledAt)
	if p.Unsettled != 0 || p.Wrong != 0 || p.Doubles != [2]int{} || p.SettledAt == 0 {
		t.Errorf("%d unsettled, %d told wrongly, doubles %v", p.Unsettled, p.Wrong, p.Doubles)
	}
	if p.Auditor != p.Ledger || !p.Auditor.Same(p.Books) {
		t.Errorf("totals differ: written %+v, stored %+v, partners %+v", p.Auditor, p.Ledger, p.Books)
	}
	if p.Kept+p.Broken+p.Cancelled != p.Promised {
		t.Errorf("of %d promises %d are kept, %d broken, %d cancelled", p.Promised, p.Kept, p.Broken, p.Cancelled)
	}
	if p.Refused == 0 || p.Auditor.Purchases+p.Refused != 200 || p.Untold != 0 || len(p.Told) == 0 || p.Auditor.Refunded == 0 || p.Auditor.Credited == 0 || p.Complaints == 0 || p.Promised == 0 {
		t.Errorf("too little happens: %+v, %d refused, %d told, %d not, %d complaints, %d promises", p.Auditor, p.Refused, len(p.Told), p.Untold, p.Complaints, p.Promised)
	}
	if again := perform(t, scripted(1, 200)); again.TraceHash != p.TraceHash {
		t.Errorf("hashes %s and %s", p.TraceHash, again.TraceHash)
	}
}
