package audit

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"tenu/internal/evidence"
	"tenu/internal/purchase"
)

// Figures are what is published of what was made since the log began.
type Figures struct {
	// States counts things by their kind and state, as in "purchase credited".
	States map[string]int64 `json:"states"`
	// Accounts are the ledger's balances by account and currency, debits less credits, in minor units: as in
	// "exposure/ocs XOF".
	Accounts map[string]int64 `json:"accounts"`
	// Credits and refunds by whether they came within what was promised.
	CreditsInTime int64 `json:"credits_in_time"`
	CreditsLate   int64 `json:"credits_late"`
	RefundsInTime int64 `json:"refunds_in_time"`
	RefundsLate   int64 `json:"refunds_late"`

	words  []string
	places map[string]uint8
}

func newFigures() Figures {
	return Figures{States: map[string]int64{}, Accounts: map[string]int64{}, places: map[string]uint8{}}
}

// word is a small number for a state's word.
func (f *Figures) word(w []byte) uint8 {
	if n, known := f.places[string(w)]; known {
		return n
	}
	if len(f.words) == 255 {
		return 255
	}
	f.words = append(f.words, string(w))
	n := uint8(len(f.words) - 1) //nolint:gosec // at most 254
	f.places[string(w)] = n
	return n
}

// post adds to an account's balance.
func (a *auditor) post(account, currency []byte, amount int64) {
	var room [64]byte
	name := append(append(append(room[:0], account...), ' '), currency...)
	sum := a.balance[string(name)]
	if sum == nil {
		sum = new(int64)
		a.balance[string(name)] = sum
	}
	*sum += amount
}

func (f *Figures) timed(inTime, late *int64, at, by purchase.Instant) {
	if at <= by {
		*inTime++
		return
	}
	*late++
}

// sumUp counts the things of a pass, and remembers which are strange.
func (a *auditor) sumUp() {
	f := &a.report.Figures
	type state struct {
		kind evidence.Kind
		word uint8
	}
	counts, wrong := map[state]int64{}, map[uint64]*thing{}
	for i := range a.things {
		for key, t := range a.things[i].things {
			if !t.old && t.version > 0 {
				counts[state{evidence.Kind(key >> 56), t.word}]++
			}
			if a.snap != nil && (!t.seen || t.sum != 0 || t.state != 0 || t.commit != 0) {
				wrong[key] = t
			}
		}
	}
	for s, count := range counts {
		word := "?"
		if int(s.word) < len(f.words) {
			word = f.words[s.word]
		}
		f.States[s.kind.String()+" "+word] += count
	}
	for _, key := range slices.Sorted(maps.Keys(wrong)) {
		switch t := wrong[key]; {
		case !t.seen:
			a.find(Unstored, nameOf(key), "the log has it, up to version %d; the database has not", t.version)
		case !t.flaw && len(a.strange) < a.cfg.Limit:
			a.strange[key] = true
		}
	}
}

// compareFigures compares the sums with those that the database makes in its own way.
func (a *auditor) compareFigures(ctx context.Context) error {
	ours := a.report.Figures
	if a.snap == nil {
		return nil
	}
	theirs, err := a.snap.Figures(ctx, a.begun)
	if err != nil {
		return err
	}
	compare := func(what string, ours, theirs int64) {
		if ours != theirs {
			a.find(WrongFigure, what, "%d by the log, %d by the database", ours, theirs)
		}
	}
	for _, each := range [][2]map[string]int64{{ours.States, theirs.States}, {ours.Accounts, theirs.Accounts}} {
		all := maps.Clone(each[0])
		maps.Copy(all, each[1])
		for _, key := range slices.Sorted(maps.Keys(all)) {
			compare(key, each[0][key], each[1][key])
		}
	}
	var closed int64
	for _, n := range a.closed {
		closed += n
	}
	compare("commitments closed by erasures", closed, a.unopened.Load())
	compare("credits in time", ours.CreditsInTime, theirs.CreditsInTime)
	compare("credits late", ours.CreditsLate, theirs.CreditsLate)
	compare("refunds in time", ours.RefundsInTime, theirs.RefundsInTime)
	compare("refunds late", ours.RefundsLate, theirs.RefundsLate)
	return nil
}

// String is the figures for people.
func (f *Figures) String() string {
	text := ""
	for _, each := range []map[string]int64{f.States, f.Accounts} {
		for _, key := range slices.Sorted(maps.Keys(each)) {
			text += fmt.Sprintf("%-40s %15d\n", key, each[key])
		}
	}
	return text + fmt.Sprintf("%-40s %15d\n%-40s %15d\n%-40s %15d\n%-40s %15d\n", "credits in time", f.CreditsInTime, "credits late", f.CreditsLate,
		"refunds in time", f.RefundsInTime, "refunds late", f.RefundsLate)
}
