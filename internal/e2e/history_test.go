package e2e

import (
	"bytes"
	"cmp"
	"context"
	cryptorand "crypto/rand"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"tenu/internal/api"
	"tenu/internal/auth"
	"tenu/internal/purchase"
	"tenu/internal/sale"
	"tenu/internal/testpeer"
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
// one after the other, and draws the first of them.
func linear(t *testing.T, history []porcupine.Operation) {
	t.Helper()
	slots := map[slot][]porcupine.Operation{}
	for _, op := range history {
		s := as[ask](op.Input).slot
		slots[s] = append(slots[s], op)
	}
	for s, ops := range slots {
		result, info := porcupine.CheckOperationsVerbose(model, ops, 2*time.Minute)
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

// historian records what clients ask of nodes and what they are answered.
type historian struct {
	r       *rig
	keys    []string // of the API clients
	nodes   []*node
	http    *http.Client
	start   time.Time
	mu      sync.Mutex
	history []porcupine.Operation
	refs    map[slot]string
	counts  map[fate]int
	tick    chan struct{} // one for each operation
}

// newHistorian gives the nodes a second API client, and starts them.
func newHistorian(r *rig, nodes ...*node) *historian {
	r.t.Helper()
	key, err := auth.NewKey("till", cryptorand.Reader)
	if err != nil {
		r.t.Fatal(err)
	}
	till := fmt.Appendf(nil, "clients:\n  - name: till\n    scopes: [purchases:write, purchases:read]\n    rate: 100000\n    in_flight: 5000\n    keys: [{hash: %q}]\n", auth.HashKey(key))
	for _, n := range nodes {
		text, err := os.ReadFile(n.config)
		if err == nil {
			err = os.WriteFile(n.config, bytes.Replace(text, []byte("clients:\n"), till, 1), 0o600)
		}
		if err != nil {
			r.t.Fatal(err)
		}
		n.start()
	}
	return &historian{r: r, keys: []string{r.key, key}, nodes: nodes, start: time.Now(), refs: map[slot]string{}, counts: map[fate]int{},
		tick: make(chan struct{}, 1), http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}}
}

// do performs an operation at a node, waits for the answer no longer than
// patience, and records it.
func (h *historian) do(n *node, in ask, patience time.Duration) answer {
	client := len(h.keys)*in.key + in.client // a line of its own in the drawing
	call := time.Since(h.start).Nanoseconds()
	out := h.request(n, in, patience)
	back := time.Since(h.start).Nanoseconds()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.counts[out.fate]++
	switch out.fate {
	case unheard:
		if in.body == 0 {
			return out // a get that was not answered says nothing
		}
		back = math.MaxInt64
	case nothing:
		return out
	case made, found:
		h.refs[in.slot] = out.ref
	case conflict, missing:
	}
	h.history = append(h.history, porcupine.Operation{ClientId: client, Input: in, Call: call, Output: out, Return: back})
	select {
	case h.tick <- struct{}{}:
	default:
	}
	return out
}

func (h *historian) request(n *node, in ask, patience time.Duration) answer {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	method, url, body := http.MethodGet, n.url+"/v1/purchases/"+in.ref, ""
	if in.body != 0 {
		line := h.r.lines[(2*in.key+in.client)%len(h.r.lines)]
		method, url = http.MethodPost, n.url+"/v1/purchases"
		body = fmt.Sprintf(`{"product":"airtime","number":%q,"amount":%d,"currency":"XOF"}`, line, amounts[in.body])
	}
	request, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader([]byte(body)))
	if err != nil {
		h.r.t.Error(err)
		return answer{fate: nothing}
	}
	request.Header.Set("Authorization", "Bearer "+h.keys[in.client])
	if in.body != 0 {
		// For the sake of its key the transport would send it again by itself, and
		// tell of the second time only.
		request.GetBody = nil
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("Idempotency-Key", fmt.Sprintf("history-%d", in.key))
	}
	response, err := h.http.Do(request)
	var dial *net.OpError
	switch {
	case errors.As(err, &dial) && dial.Op == "dial": // it never left
		return answer{fate: nothing}
	case err != nil:
		return answer{fate: unheard}
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return answer{fate: unheard}
	}
	return h.read(response.StatusCode, text)
}

// read is an answer's meaning to its client.
func (h *historian) read(status int, text []byte) answer {
	var p struct {
		Reference, State string
		Code             sale.Code
		Version          int64
		Total            struct{ Amount int64 }
	}
	if err := json.Unmarshal(text, &p); err != nil {
		h.r.t.Errorf("answered %d %q: %v", status, text, err)
		return answer{fate: unheard}
	}
	switch {
	case status == http.StatusCreated || status == http.StatusOK:
		i := slices.IndexFunc(purchase.States, func(s purchase.State) bool { return s.String() == p.State })
		if i < 0 {
			h.r.t.Errorf("answered %d %s", status, text)
			return answer{fate: unheard}
		}
		return answer{map[int]fate{http.StatusCreated: made, http.StatusOK: found}[status], p.Reference, p.Version, purchase.States[i], p.Total.Amount}
	case p.Code == sale.CodeKeyReused:
		return answer{fate: conflict}
	case api.Code(p.Code) == api.CodePurchase:
		return answer{fate: missing}
	case p.Code == sale.CodeBusy || p.Code == sale.CodePaused || status == http.StatusTooManyRequests: // "nothing was charged"
		return answer{fate: nothing}
	case status == http.StatusServiceUnavailable || status == http.StatusInternalServerError:
		return answer{fate: unheard}
	}
	h.r.t.Errorf("answered %d %s", status, text)
	return answer{fate: unheard}
}

// wander lets one client submit and get at random, among a few keys that all
// clients use at the moment, until over is closed. Some do not wait for answers.
func (h *historian) wander(random *rand.Rand, over chan struct{}) {
	for {
		select {
		case <-over:
			return
		default:
		}
		h.mu.Lock()
		window := len(h.history) / 24
		in := ask{slot: slot{random.IntN(len(h.keys)), window + random.IntN(4)}, body: 1 + random.IntN(4)/3}
		if ref := h.refs[in.slot]; ref != "" && random.IntN(2) == 0 {
			in.body, in.ref = 0, ref
		}
		h.mu.Unlock()
		patience := 5 * time.Second
		if random.IntN(8) == 0 {
			patience = time.Duration(random.IntN(12_000)) * time.Microsecond
		}
		if out := h.do(h.nodes[random.IntN(len(h.nodes))], in, patience); out.fate == nothing {
			time.Sleep(5 * time.Millisecond) // the node is not there
		}
	}
}

// conclude submits both bodies of every slot once more: one of them is
// sold, the other refused, at every node alike. It returns all references.
func (h *historian) conclude() []string {
	last := map[int]bool{}
	for _, op := range h.history {
		last[as[ask](op.Input).key] = true
	}
	next := make(chan slot)
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for s := range next {
				outs := []answer{h.do(h.nodes[0], ask{slot: s, body: 1}, time.Minute), h.do(h.nodes[len(h.nodes)-1], ask{slot: s, body: 2}, time.Minute)}
				slices.SortFunc(outs, func(a, b answer) int { return cmp.Compare(a.fate, b.fate) })
				if outs[0].fate != conflict || outs[1].ref == "" {
					h.r.t.Errorf("client %d, key %d: in the end both bodies are answered %v", s.client, s.key, outs)
					continue
				}
				for _, n := range h.nodes {
					h.do(n, ask{slot: s, ref: outs[1].ref}, time.Minute)
				}
			}
		})
	}
	for key := range last {
		for client := range h.keys {
			next <- slot{client, key}
		}
	}
	close(next)
	wg.Wait()
	refs := make([]string, 0, len(h.refs))
	for _, ref := range h.refs {
		refs = append(refs, ref)
	}
	return refs
}

// TestHistories lets several clients submit and get the same purchases at once,
// with answers lost and nodes killed: whatever they were told fits one order of
// events (P7, P8).
func TestHistories(t *testing.T) {
	const rules = "  retry_first: 200ms\n  retry_most: 1s"
	t.Run("sqlite", func(t *testing.T) {
		r := newRig(t, "")
		histories(r, r.node("n1", rules))
	})
	t.Run("postgres", func(t *testing.T) {
		r := newRig(t, testpeer.Postgres(t))
		histories(r, r.node("n1", rules), r.node("n2", rules))
	})
}

func histories(r *rig, nodes ...*node) {
	t := r.t
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // which moments are hit is chance anyway
	h := newHistorian(r, nodes...)
	over := make(chan struct{})
	var clients sync.WaitGroup
	for i := range uint64(8) {
		own := rand.New(rand.NewPCG(seed, i+1)) //nolint:gosec // likewise
		clients.Go(func() { h.wander(own, over) })
	}
	for range count(10) {
		for range 50 + random.IntN(400) {
			<-h.tick
		}
		n := nodes[random.IntN(len(nodes))]
		n.kill()
		n.start()
	}
	close(over)
	clients.Wait()
	refs := h.conclude()
	h.http.CloseIdleConnections()
	linear(t, h.history)
	records := r.records(refs, time.Minute)
	for _, n := range nodes {
		n.stop()
	}
	t.Logf("%d operations on %d purchases: %v; settled: %v", len(h.history), len(refs), h.counts, r.audit(records))
	for _, each := range []fate{made, found, conflict, unheard} {
		if h.counts[each] == 0 {
			t.Errorf("the histories hold no operation that is %s", each)
		}
	}
}
