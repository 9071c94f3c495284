package sim_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// patch is an edit of a source file of the module. Old occurs once.
type patch struct{ file, old, new string }

// patches write the switches into a copy of the code.
var patches = []patch{
	{"internal/purchase/step.go", "	row := s.match()\n", "	plantEvent(&s)\n	row := s.match()\n"},
	{"internal/purchase/step.go", "	if s.out.Durable {\n		s.p.Version++\n", "	plantStep(s)\n	if s.out.Durable {\n		s.p.Version++\n"},
	{"internal/purchase/core.go", "	if step.Durable {\n		it.change = &step\n", `	if step.Durable {
		if planted.Is("sent_before_commit") {
			was := it.p
			it.p = step.Change.Now
			c.issue(it, step.Call, now)
			it.p = was
		}
		it.change = &step
`},
	{"internal/purchase/lane.go", "	switch leg {\n	case Charge:\n		o.Account", `	switch {
	case planted.Is("new_key_per_try"):
		o.Key = c.keys.Key(p.ID+ID(o.Try)<<20, leg)
	case planted.Is("key_from_clock"):
		o.Key = c.keys.Key(ID(p.Legs[leg].LastAt)&0xfffffffffff, leg)
	}
	defer func() {
		switch {
		case planted.Is("refund_of_the_units") && leg == Refund:
			o.Amount = p.units()
			o.Amount.Minor++
		case planted.Is("credit_to_the_payer") && leg == Credit:
			o.Account = p.PayerNumber
		}
	}()
	switch leg {
	case Charge:
		o.Account`},
	{"internal/purchase/lane.go", "func (c *core) order(p *Purchase, leg Leg) Order {\n	o := Order{", "func (c *core) order(p *Purchase, leg Leg) (o Order) {\n	o = Order{"},
	{"internal/purchase/lane.go", "it.p.Legs[k.Leg].Doubt && !retriable.holds(&s)", "it.p.Legs[k.Leg].Doubt && !retriable.holds(&s) && !planted.Is(\"queued_beyond_the_keys_life\")"},
	{"internal/purchase/condition.go", "		return c.Idempotent && s.p.Skew == 0 &&", `		switch {
		case planted.Is("resent_after_the_keys_life"):
			return c.Idempotent
		case planted.Is("resent_without_idempotency"):
			return true
		}
		return c.Idempotent && s.p.Skew == 0 &&`},
	{"internal/purchase/condition.go", "		return h > 0 && s.ev.AskedAt > l.LastAt.Add(h)", "		if planted.Is(\"lateness_ignored\") {\n			return h > 0\n		}\n		return h > 0 && s.ev.AskedAt > l.LastAt.Add(h)"},
	{"internal/purchase/restore.go", "			l.Doubt = true\n", "			l.Doubt = !planted.Is(\"doubt_forgotten_at_restart\")\n"},
	{"internal/purchase/restore.go", "	l.LastAt = s.leftBy(leg)\n", "	if !planted.Is(\"lateness_from_the_first_try\") {\n			l.LastAt = s.leftBy(leg)\n		}\n"},
	{"internal/purchase/lease.go", "		if p.Open() && p.Epoch == e.core.epoch", "		if !planted.Is(\"not_resumed\") && p.Open() && p.Epoch == e.core.epoch"},
	{"internal/purchase/batch.go", "	case errors.Is(err, ErrCommitUnknown):\n", `	case errors.Is(err, ErrCommitUnknown) && planted.Is("unknown_commit_taken_as_done"):
		b.verdicts = make([]Verdict, len(b.items))
		for i := range b.verdicts {
			b.verdicts[i].Result = Written
		}
	case errors.Is(err, ErrCommitUnknown):
`},
	{"internal/purchase/batch.go", "		case Stale:\n			e.core.counts.Stale++\n", `		case Stale:
			if planted.Is("number_logged") {
				e.cfg.Log.Error("stale", "payer", it.p.PayerNumber)
			}
			if planted.Is("stale_taken_as_written") {
				e.core.written(it, now)
				continue
			}
			e.core.counts.Stale++
`},
	{"internal/purchase/buy.go", "	if p.Digest != r.Digest {\n", "	if p.Digest != r.Digest && !planted.Is(\"body_not_compared\") {\n"},
	{"internal/store/memory.go", "if r == nil || r.Purchase.Version != p.Version-1 || r.Purchase.Epoch != c.WasEpoch {",
		"if r == nil || r.Purchase.Version != p.Version-1 && !planted.Is(\"version_not_compared\") || r.Purchase.Epoch != c.WasEpoch && !planted.Is(\"fence_dropped\") {"},
	{"internal/store/memory.go", "		return nil, nil\n	}\n	m.mu.Lock()\n	defer m.mu.Unlock()\n	if l := m.lease(epoch); l == nil || l.Fenced {",
		"		return nil, nil\n	}\n	m.mu.Lock()\n	defer m.mu.Unlock()\n	if l := m.lease(epoch); l == nil || l.Fenced && !planted.Is(\"fence_dropped\") {"},
	{"internal/store/memory.go", "	if other, taken := m.keys[[2]string{p.Client, p.ClientKey}]; taken {", "	if other, taken := m.keys[[2]string{p.Client, p.ClientKey}]; taken && !planted.Is(\"client_key_not_checked\") {"},
	{"internal/store/memory.go", "	l.Fenced = true\n", "	l.Fenced = !planted.Is(\"taken_over_without_fence\")\n"},
	{"internal/store/memory.go", "	for i := range c.Notices {\n		m.unsent", "	for i := range c.Notices {\n		if planted.Is(\"notice_lost\") && c.Now.State.Final() {\n			continue\n		}\n		m.unsent"},
	{"internal/notify/outbox.go", "	sendErr := o.send(", `	if planted.Is("marked_before_sent") {
		if err := o.cfg.Store.MarkSent(ctx, notices, now); err != nil {
			return o.failed(now, err)
		}
	}
	sendErr := o.send(`},
	{"internal/notify/outbox.go", "o.cfg.Centre.Send(ctx, id, n.To, n.Text)", "o.cfg.Centre.Send(ctx, id, n.To, plantText(o, n.Text))"},
}

// additions are files that the copy has beside.
var additions = map[string]string{
	"internal/purchase/planted.go": "testdata/planted.go.txt",
	"internal/notify/planted.go":   "testdata/planted_text.go.txt",
}

// defect is a mistake, and what it is.
type defect struct{ name, why string }

var defects = []defect{
	{"sent_before_commit", "the partner is asked before the attempt is durable"},
	{"new_key_per_try", "each retry has a key of its own"},
	{"key_from_clock", "the key depends on when it is made"},
	{"refund_on_timeout", "a credit that nobody answered for is taken for not done"},
	{"decline_on_timeout", "a charge that nobody answered for is taken for not done"},
	{"trust_404_of_credit", "no trace of a credit is taken for never"},
	{"trust_404_of_charge", "no trace of a charge is taken for never"},
	{"trust_no_after_unknown", "a refusal after an unanswered try is taken for final"},
	{"lateness_ignored", "an absence is taken for a proof before the partner's lateness has passed"},
	{"confirm_on_acceptance", "an accepted credit is taken for done"},
	{"charged_on_acceptance", "an accepted charge is taken for done"},
	{"refunded_on_acceptance", "an accepted refund is taken for done"},
	{"partial_credit_accepted", "what was credited is not compared with what was bought"},
	{"wrong_number_accepted", "the number credited is not compared"},
	{"wrong_product_accepted", "the product credited is not compared"},
	{"late_charge_ignored", "a charge after the decline is ignored"},
	{"late_credit_ignored", "a credit after the refund began is ignored"},
	{"reversal_ignored", "a reversal is ignored"},
	{"news_after_the_end_ignored", "nothing is listened to once a purchase is final"},
	{"second_execution_ignored", "a second execution is taken for the first"},
	{"last_deadline_ignored", "the last resort is put off again and again"},
	{"timer_lost", "a refund has no due time"},
	{"held_not_reduced", "the purchase still holds what was delivered"},
	{"exposure_not_listed", "exposure is posted and not listed"},
	{"case_not_opened", "no case is opened"},
	{"no_correction", "what was told is not corrected"},
	{"told_twice", "what was told is forgotten"},
	{"told_before_the_credit", "success is told when the credit is begun"},
	{"posted_twice", "a posting is written twice"},
	{"posted_short", "a posting is one unit short"},
	{"fee_forgotten", "the fee is not posted"},
	{"posted_without_evidence", "a posting has no evidence"},
	{"retry_not_recorded", "only the first attempt is recorded"},
	{"charge_changed_later", "what was charged is changed afterwards"},
	{"refund_of_the_units", "another amount is refunded than was charged"},
	{"credit_to_the_payer", "the payer is credited in place of the recipient"},
	{"resent_after_the_keys_life", "a retry is decided when the partner has forgotten the key"},
	{"resent_without_idempotency", "a partner without idempotency is asked again"},
	{"doubt_forgotten_at_restart", "a restarted process does not doubt the last try"},
	{"not_resumed", "open purchases are not resumed"},
	{"unknown_commit_taken_as_done", "a commit without an answer is taken for done"},
	{"stale_taken_as_written", "a refused write is taken for done"},
	{"number_logged", "a full number is logged"},
	{"body_not_compared", "another request under a used key gets the earlier purchase"},
	{"version_not_compared", "a write does not compare the version"},
	{"fence_dropped", "a write does not compare the lease"},
	{"client_key_not_checked", "a request that comes twice makes two purchases"},
	{"taken_over_without_fence", "a takeover leaves the old lease valid"},
	{"notice_lost", "a notice is not put into the outbox"},
	{"marked_before_sent", "a notice is marked as sent before it is"},
	{"text_of_the_moment", "a resent message has another text"},
}

// plant writes a copy of the patched files and the overlay that puts them in place.
func plant(t *testing.T, root, dir string) (overlay string) {
	t.Helper()
	texts := map[string]string{}
	for _, p := range patches {
		if texts[p.file] == "" {
			source, err := os.ReadFile(filepath.Join(root, p.file))
			if err != nil {
				t.Fatal(err)
			}
			head, rest, _ := strings.Cut("\n"+string(source), "\npackage ")
			name, rest, _ := strings.Cut(rest, "\n")
			texts[p.file] = head + "\npackage " + name + "\nimport \"tenu/internal/planted\"\n" + rest
			if strings.Contains(p.file, "step.go") { // its switches are in a file beside
				texts[p.file] = string(source)
			}
		}
		if n := strings.Count(texts[p.file], p.old); n != 1 {
			t.Fatalf("%s has %d places like %q: the code has moved on", p.file, n, p.old)
		}
		texts[p.file] = strings.Replace(texts[p.file], p.old, p.new, 1)
	}
	for file, text := range additions {
		source, err := os.ReadFile(text)
		if err != nil {
			t.Fatal(err)
		}
		texts[file] = string(source)
	}
	replace := map[string]string{}
	for file, text := range texts {
		copied := filepath.Join(dir, strings.ReplaceAll(file, "/", "_"))
		if err := os.WriteFile(copied, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		replace[filepath.Join(root, file)] = copied
	}
	data, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	overlay = filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(overlay, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return overlay
}

// TestPlantedDefects builds the simulation with every mistake behind a switch,
// and sees each found within 10 000 purchases, and nothing without a mistake.
func TestPlantedDefects(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	program := filepath.Join(dir, "tenu")
	build := exec.CommandContext(t.Context(), "go", "build", "-tags", "planted", "-overlay", plant(t, root, dir), "-o", program, "./cmd/tenu")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	find := func(t *testing.T, name string) (invariant, detail string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), program, "sim", "--purchases", "10000", "--seed", "1", "--json", "--explain=false")
		cmd.Env = append(os.Environ(), "TENU_PLANTED="+name)
		out, err := cmd.Output()
		var report struct {
			Purchases, Violations int
			Found                 []struct{ Invariant, Detail string }
		}
		if e := json.Unmarshal(out, &report); e != nil {
			t.Fatalf("%v, %v: %s", err, e, out)
		}
		if report.Violations == 0 {
			return "", ""
		}
		t.Logf("found by %s among %d purchases: %s", report.Found[0].Invariant, report.Purchases, report.Found[0].Detail)
		return report.Found[0].Invariant, report.Found[0].Detail
	}
	t.Run("none", func(t *testing.T) {
		if invariant, detail := find(t, ""); invariant != "" {
			t.Errorf("%s is violated without a mistake: %s", invariant, detail)
		}
	})
	for _, d := range defects {
		t.Run(d.name, func(t *testing.T) {
			if invariant, _ := find(t, d.name); invariant == "" {
				t.Errorf("not found: %s", d.why)
			}
		})
	}
}
