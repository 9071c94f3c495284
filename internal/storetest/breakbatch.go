package storetest

import (
	"slices"
	"strconv"
	"testing"

	"tenu/internal/reconcile"
)

// Many breaks at once are kept as one after the other would be: known ones where the statement has them now, those whose figures changed
// with a line of history each, and one that is found twice as changed by the second.
func breaksByTheBatch(t *testing.T, s DatabaseSubject) {
	ctx := t.Context()
	const count = 1203
	all := make([]reconcile.Found, count)
	for i := range all {
		all[i] = reconcile.Found{Cause: reconcile.CauseUnasked, Ref: "r" + strconv.Itoa(i), Party: "ocs", There: 7, Currency: "XOF", At: dawn, Place: int64(i) + 1, Detail: "d"}
	}
	twice := all[count-1]
	twice.There = 8
	if n, err := s.PutBreaks(ctx, "ocs", 100, append(slices.Clone(all), twice), dawn+2); err != nil || n != count {
		t.Fatalf("%d fresh, %v", n, err)
	}
	for i := range all {
		if all[i].Place += 5000; i%3 == 0 {
			all[i].There = 9
		}
	}
	all = append(all, reconcile.Found{Cause: reconcile.CauseUnasked, Ref: "new", Party: "ocs", There: 1, Currency: "XOF", At: dawn, Place: 1})
	if n, err := s.PutBreaks(ctx, "ocs", 101, all, dawn+3); err != nil || n != 1 {
		t.Fatalf("again: %d fresh, %v", n, err)
	}
	found, err := s.Breaks(ctx, reconcile.Sift{Limit: 2 * count})
	if err != nil || len(found) != count+1 {
		t.Fatalf("%d are kept, %v", len(found), err)
	}
	slices.Reverse(found)
	for i := range found {
		b, f := &found[i], &all[i]
		versions := int64(1)
		switch {
		case i == count-1:
			versions, f.There = 3, 7 // as it was put the first time, the second, and now as the first again
		case i < count && i%3 == 0:
			versions = 2
		}
		if b.Ref != f.Ref || b.Place != f.Place || b.There != f.There || b.Statement != 101 || b.FoundAt != dawn+3 || b.Version != versions || b.Status != reconcile.StatusOpen {
			t.Fatalf("break %d is %+v, want %+v in version %d", i, b, f, versions)
		}
	}
	history, err := s.BreakEntries(ctx, found[count-1].ID)
	if err != nil || len(history) != 3 || history[0].Event != "found" || history[1].Event != "changed" || history[2].Event != "changed" {
		t.Errorf("history %+v, %v", history, err)
	}
}
