package storetest

import (
	"bytes"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"time"

	"tenu/internal/evidence"
	"tenu/internal/evidence/audit"
	"tenu/internal/purchase"
)

// Logged is what the log adds to a store.
type Logged interface {
	evidence.Store
	evidence.Finder
	audit.Database
}

// logged is a store under test as a log, with a sequencer of its own.
func logged(t *testing.T, s Subject) (Logged, *evidence.Sequencer, *evidence.LogSigner) {
	t.Helper()
	log, ok := s.Store.(Logged)
	if !ok {
		t.Fatalf("%T keeps no log", s.Store)
	}
	signer, err := evidence.NewLogSigner("log.example", bytes.Repeat([]byte{1}, 32))
	if err != nil {
		t.Fatal(err)
	}
	q, err := evidence.NewSequencer(evidence.SequencerConfig{Store: log, Signer: signer, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return log, q, signer
}

// audited is what the audit makes of a log and its store.
func audited(t *testing.T, log Logged, signer *evidence.LogSigner, earlier ...[]byte) *audit.Report {
	t.Helper()
	verifier, err := signer.Verifier()
	if err != nil {
		t.Fatal(err)
	}
	r, err := audit.Run(t.Context(), audit.Config{Policy: evidence.Policy{Log: verifier}, Database: log, Earlier: earlier})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// whole fails on what the audit finds.
func whole(t *testing.T, r *audit.Report) {
	t.Helper()
	for _, f := range r.Findings {
		t.Errorf("the audit finds %s", f)
	}
}

// leaves are those of a purchase that a log holds, by version.
func leaves(t *testing.T, s Subject, log Logged, id purchase.ID) (versions []int64) {
	t.Helper()
	record := load(t, s, id)
	found, err := evidence.Find(t.Context(), log, evidence.Purchase, int64(id), evidence.Instants(&record)...)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range found {
		versions = append(versions, f.Version)
	}
	return versions
}

// leavesFollowVerdicts: a change has its leaf exactly when it is written; what is stale, taken, repeated, fenced or
// refused as nonsense leaves none, nor what was in one batch with nonsense.
func leavesFollowVerdicts(t *testing.T, s Subject) {
	log, sequencer, signer := logged(t, s)
	shop := newShop(t, s)
	first, second := shop.begin(request(1)), shop.begin(request(2))
	first.Now.Salt, second.Now.Salt = [16]byte{1}, [16]byte{2}
	shop.commit(first)
	charge, _ := shop.meet(&first.Now, charged)
	taken, stale := first, charge
	taken.Now.ID, stale.Now.ID = 998, 999
	shop.try(second, taken, charge, stale)
	shop.try(charge) // again, as after a COMMIT that was not heard of
	good, nonsense := shop.begin(request(3)), shop.begin(request(4))
	nonsense.Now.Total = 0
	if _, err := s.Commit(t.Context(), shop.epoch, []purchase.Change{good, nonsense}); err == nil {
		t.Error("nonsense is written")
	}
	if _, err := s.Commit(t.Context(), 99, []purchase.Change{good}); !errors.Is(err, purchase.ErrFenced) {
		t.Errorf("without a lease: %v", err)
	}
	if r := audited(t, log, signer); r.Size != 0 || len(r.Findings) != 1 || r.Findings[0].What != audit.WrongCheckpoint {
		t.Errorf("nothing was signed, and the audit finds %v", r.Findings)
	}
	if _, err := sequencer.Step(t.Context(), shop.now); err != nil {
		t.Fatal(err)
	}
	r := audited(t, log, signer)
	whole(t, r)
	if r.Size != 4 || r.Waiting != 0 || r.Figures.States["purchase charging"] != 1 || r.Figures.States["purchase crediting"] != 1 ||
		r.Figures.Accounts["held XOF"] != -1050 || r.Figures.Accounts["wallet/wallet XOF"] != 1050 {
		t.Errorf("three changes and a seal: %+v", r)
	}
	for id, want := range map[purchase.ID][]int64{first.Now.ID: {1, 2}, second.Now.ID: {1}} {
		if got := leaves(t, s, log, id); !slices.Equal(got, want) {
			t.Errorf("of purchase %d there are leaves of versions %v, want %v", id, got, want)
		}
	}
}

// logGrowsOnce: of two sequencers that saw the same, one grows the log; what a third finds after both ended
// goes on from there, over the edges of tiles and bundles, and no checkpoint that was ever signed is forgotten.
func logGrowsOnce(t *testing.T, s Subject) {
	log, sequencer, signer := logged(t, s)
	shop := newShop(t, s)
	var signed [][]byte
	step := func(q *evidence.Sequencer) {
		t.Helper()
		if _, err := q.Step(t.Context(), shop.now); err != nil {
			t.Fatal(err)
		}
		state, err := log.LogState(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		signed = append(signed, state.Checkpoint)
	}
	for i := range int64(140) { // three leaves each: more than one tile
		shop.sell(request(i+1), charged, credited)
		if i%20 == 19 {
			step(sequencer)
			_, sequencer, _ = logged(t, s) // another process
		}
	}
	state, err := log.LogState(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if again := (evidence.Growth{Was: evidence.State{Size: state.Size - 1, Seals: state.Seals - 1}, Now: state}); !errors.Is(log.GrowLog(t.Context(), again), evidence.ErrMoved) {
		t.Error("the log grows from where it is no more")
	}
	if err := log.PutCheckpoint(t.Context(), state.Size-1, signed[0]); err != nil {
		t.Fatal(err)
	}
	if err := log.PutCheckpoint(t.Context(), state.Size+1, signed[0]); err != nil {
		t.Fatal(err)
	}
	if now, err := log.LogState(t.Context()); err != nil || !bytes.Equal(now.Checkpoint, state.Checkpoint) {
		t.Errorf("the checkpoint of %d leaves gave way to that of others: %v", state.Size, err)
	}
	shop.sell(request(1000)) // waits
	r := audited(t, log, signer, signed...)
	whole(t, r)
	if r.Size != state.Size || r.Waiting != 1 || r.Figures.CreditsInTime != 140 {
		t.Errorf("%+v", r)
	}
	for _, tile := range []struct {
		level int
		n     int64
	}{{evidence.Entries, 9}, {0, 9}, {3, 0}} {
		if _, err := log.LogTile(t.Context(), tile.level, tile.n); !errors.Is(err, evidence.ErrMissing) {
			t.Errorf("tile %v: %v", tile, err)
		}
	}
	queue, err := log.LogQueue(t.Context(), 10, 1)
	if err != nil || len(queue) != 1 || len(queue[0].Leaves) == 0 {
		t.Errorf("%d batches wait: %v", len(queue), err)
	}
}

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
