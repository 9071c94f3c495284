package e2e

import (
	"cmp"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"tenu/internal/purchase"
)

// slot names a register: what one API client makes under one idempotency key.
type slot struct{ client, key int }

// ask is the input of an operation: submit a body under the slot's key, or get
// the purchase of a reference.
type ask struct {
	slot
	body int    // 1 or 2; 0 for a get
	ref  string // of a get
}

// fate is what the caller of an operation learnt.
type fate string

const (
	made     fate = "made"     // 201: by this very request
	found    fate = "found"    // 200: as it stands
	conflict fate = "conflict" // 409: the key was used for another body
	missing  fate = "missing"  // 404
	unheard  fate = "unheard"  // it may have been made, or may yet be
	nothing  fate = "nothing"  // certainly nothing was done
)

// answer is the output of an operation.
type answer struct {
	fate
	ref     string
	version int64
	state   purchase.State
	amount  int64
}

// amounts are what the two bodies of a slot ask for.
var amounts = [...]int64{1: 1050, 2: 2100}

// register is what a slot holds in the model: the purchase that the first
// accepted body made, as it was last seen; body 0: none yet.
type register struct {
	body    int
	ref     string // "" until somebody was told
	version int64
	state   purchase.State
}

// steps is the least number of changes that lead from one state to another by
// the table.
var steps = distances()

func distances() map[[2]purchase.State]int64 {
	d := map[[2]purchase.State]int64{}
	for _, s := range purchase.States {
		d[[2]purchase.State{s, s}] = 0
	}
	for range purchase.States {
		for _, row := range purchase.Table {
			if row.To == 0 {
				continue
			}
			for _, s := range purchase.States {
				before, reached := d[[2]purchase.State{s, row.From}]
				pair := [2]purchase.State{s, row.To}
				if now, known := d[pair]; reached && (!known || before+1 < now) {
					d[pair] = before + 1
				}
			}
		}
	}
	return d
}

// see moves the register on to what an answer shows, if it can have come so far.
func (r register) see(out answer) (bool, register) {
	least, reachable := steps[[2]purchase.State{r.state, out.state}]
	gone := out.version - r.version
	ok := r.body != 0 && out.ref != "" && (r.ref == "" || r.ref == out.ref) && out.amount == amounts[r.body] &&
		reachable && gone >= least && (gone > 0 || out.state == r.state)
	return ok, register{r.body, out.ref, out.version, out.state}
}

// as is the value of an any that can hold nothing else.
func as[T any](v any) T {
	held, ok := v.(T)
	if !ok {
		panic(fmt.Sprintf("a history holds %T", v))
	}
	return held
}

// model is one register: the first body wins, its purchase is found from then
// on, and moves by the table alone. Whoever heard nothing may have made it: then
// the operation took place at some moment after its call, or, where nobody sees
// it any more, never.
var model = porcupine.Model{
	Init: func() any { return register{} },
	Step: func(state, input, output any) (bool, any) {
		r, in, out := as[register](state), as[ask](input), as[answer](output)
		switch out.fate {
		case unheard:
			if r.body == 0 {
				r = register{body: in.body, version: 1, state: purchase.Charging}
			}
			return true, r
		case made:
			if r.body != 0 {
				return false, r
			}
			return register{body: in.body, version: 1, state: purchase.Charging}.see(out)
		case found:
			if in.body != 0 && in.body != r.body || in.ref != "" && in.ref != out.ref {
				return false, r
			}
			return r.see(out)
		case conflict:
			return r.body != 0 && r.body != in.body, r
		case missing:
			return in.ref != r.ref, r
		case nothing:
		}
		return true, r
	},
	DescribeOperation: func(input, output any) string {
		in, out := as[ask](input), as[answer](output)
		what := fmt.Sprintf("submit body %d", in.body)
		if in.body == 0 {
			what = "get " + in.ref
		}
		return fmt.Sprintf("%s: %s %s v%d %s", what, out.fate, out.ref, out.version, out.state)
	},
	DescribeState: func(state any) string {
		r := as[register](state)
		return fmt.Sprintf("body %d, %s v%d %s", r.body, r.ref, r.version, r.state)
	},
}

// linear fails the test for each slot whose operations cannot have taken place
// one after the other, and draws the first of them. Of the submits of one body
// that nobody heard of, it keeps the one called first: it can stand for each of
// them at any moment, and none has an effect after another. The search would try
// all their orders.
func linear(t *testing.T, history []porcupine.Operation) {
	t.Helper()
	slices.SortFunc(history, func(a, b porcupine.Operation) int { return cmp.Compare(a.Call, b.Call) })
	slots := map[slot][]porcupine.Operation{}
	unheardOf := map[ask]bool{}
	for _, op := range history {
		in := as[ask](op.Input)
		if as[answer](op.Output).fate == unheard {
			if unheardOf[in] {
				continue
			}
			unheardOf[in] = true
		}
		slots[in.slot] = append(slots[in.slot], op)
	}
	for s, ops := range slots {
		result, info := porcupine.CheckOperationsVerbose(model, ops, 10*time.Second)
		if result == porcupine.Ok {
			continue
		}
		dir := t.ArtifactDir()
		if kept := flag.Lookup("test.artifacts"); kept == nil || kept.Value.String() != "true" { // it would not stay
			var err error
			if dir, err = os.MkdirTemp("", "tenu-history-"); err != nil {
				t.Fatal(err)
			}
		}
		path := filepath.Join(dir, "history.html")
		if err := porcupine.VisualizePath(model, info, path); err != nil {
			t.Error(err)
		}
		var lines strings.Builder
		for _, op := range ops {
			fmt.Fprintf(&lines, "\n%12d to %12d: %s", op.Call, op.Return, model.DescribeOperation(op.Input, op.Output))
		}
		t.Fatalf("client %d, key %d: these operations have no order (%s), see %s%s", s.client, s.key, result, path, lines.String())
	}
}

// TestHistoryModel shows what the model refuses, and that it refuses no more.
func TestHistoryModel(t *testing.T) {
	const ref, other = "0000-0000-01", "0000-0000-02"
	at := func(call, back int64, in ask, out answer) porcupine.Operation {
		return porcupine.Operation{Input: in, Call: call, Output: out, Return: back}
	}
	const never = math.MaxInt64
	first, second, get := ask{body: 1}, ask{body: 2}, ask{ref: ref}
	new1 := answer{made, ref, 1, purchase.Charging, 1050}
	seen := func(version int64, s purchase.State) answer { return answer{found, ref, version, s, 1050} }
	for name, c := range map[string]struct {
		want porcupine.CheckResult
		ops  []porcupine.Operation
	}{
		"an ordinary sale": {porcupine.Ok, []porcupine.Operation{at(1, 2, first, new1), at(3, 4, get, seen(2, purchase.Crediting)),
			at(5, 6, first, seen(3, purchase.Credited)), at(7, 8, second, answer{fate: conflict}), at(9, 10, get, seen(3, purchase.Credited))}},
		"two at once": {porcupine.Ok, []porcupine.Operation{at(1, 4, first, new1), at(2, 3, first, seen(1, purchase.Charging)),
			at(2, 5, second, answer{fate: conflict})}},
		"unheard and found later": {porcupine.Ok, []porcupine.Operation{at(1, never, first, answer{fate: unheard}),
			at(3, 4, second, answer{fate: conflict}), at(5, 6, first, seen(2, purchase.Declined))}},
		"unheard and never done": {porcupine.Ok, []porcupine.Operation{at(1, never, first, answer{fate: unheard}),
			at(3, 4, second, answer{made, ref, 1, purchase.Charging, 2100}), at(5, 6, first, answer{fate: conflict})}},
		"a lost submit": {porcupine.Illegal, []porcupine.Operation{at(1, 2, first, new1), at(3, 4, get, answer{fate: missing})}},
		"lost and made again": {porcupine.Illegal, []porcupine.Operation{at(1, 2, first, new1),
			at(3, 4, first, answer{made, other, 1, purchase.Charging, 1050})}},
		"lost to the other body": {porcupine.Illegal, []porcupine.Operation{at(1, 2, first, new1),
			at(3, 4, second, answer{made, other, 1, purchase.Charging, 2100})}},
		"a doubled submit":         {porcupine.Illegal, []porcupine.Operation{at(1, 4, first, new1), at(2, 3, first, answer{made, other, 1, purchase.Charging, 1050})}},
		"another's reference":      {porcupine.Illegal, []porcupine.Operation{at(1, 2, first, new1), at(3, 4, first, answer{found, other, 1, purchase.Charging, 1050})}},
		"found before it was made": {porcupine.Illegal, []porcupine.Operation{at(1, 2, first, seen(1, purchase.Charging)), at(3, 4, first, new1)}},
		"the other body sold":      {porcupine.Illegal, []porcupine.Operation{at(1, 2, first, answer{made, ref, 1, purchase.Charging, 2100})}},
		"conflict with itself":     {porcupine.Illegal, []porcupine.Operation{at(1, 2, first, new1), at(3, 4, first, answer{fate: conflict})}},
		"conflict with nothing":    {porcupine.Illegal, []porcupine.Operation{at(1, 2, second, answer{fate: conflict}), at(3, 4, first, new1)}},
		"conflict taken back": {porcupine.Illegal, []porcupine.Operation{at(1, never, first, answer{fate: unheard}),
			at(3, 4, second, answer{fate: conflict}), at(5, 6, second, answer{made, ref, 1, purchase.Charging, 2100})}},
		"refused and yet done": {porcupine.Illegal, []porcupine.Operation{at(1, 2, first, answer{fate: nothing}), at(3, 4, first, seen(1, purchase.Charging))}},
		"back in time": {porcupine.Illegal, []porcupine.Operation{at(1, 2, first, new1), at(3, 4, get, seen(3, purchase.Credited)),
			at(5, 6, get, seen(2, purchase.Crediting))}},
		"one version, two states": {porcupine.Illegal, []porcupine.Operation{at(1, 2, first, new1), at(3, 4, get, seen(2, purchase.Crediting)),
			at(5, 6, get, seen(2, purchase.Declined))}},
		"no such transition": {porcupine.Illegal, []porcupine.Operation{at(1, 2, first, new1), at(3, 4, get, seen(5, purchase.Credited)),
			at(5, 6, get, seen(9, purchase.Declined))}},
		"too far in one change": {porcupine.Illegal, []porcupine.Operation{at(1, 2, first, new1), at(3, 4, get, seen(2, purchase.Credited))}},
	} {
		if got := porcupine.CheckOperationsTimeout(model, c.ops, time.Second); got != c.want {
			t.Errorf("%s is %s, want %s", name, got, c.want)
		}
	}
}
