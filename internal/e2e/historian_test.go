package e2e

import (
	"bytes"
	"cmp"
	"context"
	cryptorand "crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"slices"
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
