package rehearsal_test

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"testing"

	"tenu/internal/purchase"
	"tenu/internal/reconcile"
	"tenu/internal/reconcile/rehearsal"
)

// size is how many purchases are compared: TENU_SOAK makes it a million.
func size() int {
	if n, err := strconv.Atoi(os.Getenv("TENU_SOAK")); err == nil && n > 0 {
		return 1_000_000
	}
	if testing.Short() {
		return 20_000
	}
	return 200_000
}

// Every planted break is found, as what it is and whose it is, and nothing else is.
func TestPlantedBreaksAreFound(t *testing.T) {
	keys, err := purchase.NewKeyring([]byte("a secret of sixteen bytes"))
	if err != nil {
		t.Fatal(err)
	}
	mapping, err := reconcile.LoadMapping("sandbox")
	if err != nil {
		t.Fatal(err)
	}
	n := size()
	for _, leg := range []purchase.Leg{purchase.Charge, purchase.Credit} {
		t.Run(leg.String(), func(t *testing.T) {
			seed := uint64(20260709)
			t.Logf("seed %d, %d purchases", seed, n)
			r := rehearsal.New(rehearsal.Plan{Seed: seed, Purchases: n, Planted: 1000, Keyless: 50, Leg: leg, Partner: "partner"}, keys)
			in, out := io.Pipe()
			go func() { _ = out.CloseWithError(r.Write(out)) }()
			span := r.Span()
			checked, err := reconcile.Check(t.Context(), "planted.csv", in, mapping, keys,
				reconcile.Want{Partner: "partner", From: span.From, To: span.To}, t.TempDir(), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = checked.Close() }() // it was only read
			want := r.Expected()
			var wrong []string
			job := reconcile.Job{Partner: reconcile.Partner{Name: "partner", Undone: true, Skew: rehearsal.Skew, Capability: r.Capability},
				Span: span, Book: r.Book(), Earlier: reconcile.NoEarlier{}, Dir: t.TempDir(), Found: func(f reconcile.Found) error {
					e := rehearsal.Expected{Cause: f.Cause, Purchase: f.Purchase}
					if f.Purchase == 0 {
						e.Ref = f.Ref
					}
					if !want[e] {
						wrong = append(wrong, fmt.Sprintf("%+v", f))
					}
					delete(want, e)
					party := "partner"
					if f.Cause == reconcile.CauseUnasked && f.Purchase != 0 {
						party = reconcile.House // the key is ours
					}
					if f.Party != party {
						t.Errorf("%s is laid to %q", f.Cause, f.Party)
					}
					return nil
				}}
			tally, err := job.Match(t.Context(), checked)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%+v", tally)
			if len(wrong) > 0 {
				slices.Sort(wrong)
				t.Errorf("%d false breaks, such as %s", len(wrong), wrong[0])
			}
			for e := range want {
				t.Errorf("%d planted breaks are not found, such as %s of %d %s", len(want), e.Cause, e.Purchase, e.Ref)
				break
			}
			if tally.ByRef == 0 || tally.ByRule == 0 || tally.Matched == 0 || tally.Open != 0 {
				t.Errorf("matched as %+v", tally)
			}
		})
	}
}
