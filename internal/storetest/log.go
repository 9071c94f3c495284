package storetest

import (
	"bytes"
	"log/slog"
	"testing"
	"time"

	"tenu/internal/evidence"
	"tenu/internal/evidence/audit"
)

// logIsWhole: whatever is written has its leaf, in the one tree, and the audit, which
// compares each row with it, finds nothing; and finds what is changed behind its back.
func logIsWhole(t *testing.T, s DatabaseSubject) {
	signer, err := evidence.NewLogSigner("log.example", bytes.Repeat([]byte{1}, 32))
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := signer.Verifier()
	if err != nil {
		t.Fatal(err)
	}
	sequencer, err := evidence.NewSequencer(evidence.SequencerConfig{Store: s, Signer: signer, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	day := NewDay(t, s)
	look := func() *audit.Report {
		t.Helper()
		r, err := audit.Run(t.Context(), audit.Config{Policy: evidence.Policy{Log: verifier}, Database: s, Now: day.Now()})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	for range 2 {
		sold := day.Sell(120)
		day.Care(sold[7])
		if _, err := sequencer.Step(t.Context(), day.Now()); err != nil {
			t.Fatal(err)
		}
		day.Wait(time.Second)
		for _, f := range look().Findings {
			t.Errorf("the audit finds %s", f)
		}
		for _, p := range sold[:10] {
			record := load(t, s, p.ID)
			found, err := evidence.Find(t.Context(), s, evidence.Purchase, int64(p.ID), evidence.Instants(&record)...)
			if err != nil || len(found) != int(p.Version) {
				t.Errorf("purchase %d has version %d, and %d leaves are found: %v", p.ID, p.Version, len(found), err)
			}
		}
	}
	day.Sell(30) // waits
	if r := look(); len(r.Findings) != 0 || r.Waiting == 0 {
		t.Errorf("%d leaves wait, and the audit finds %v", r.Waiting, r.Findings)
	}
	s.Execute(t, `UPDATE posting SET amount = amount + 1 WHERE purchase = 1 AND leg = 1`)
	if r := look(); len(r.Findings) != 1 || r.Findings[0].What != audit.Altered {
		t.Errorf("of an altered posting the audit finds %v", r.Findings)
	}
}
