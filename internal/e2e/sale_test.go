package e2e

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"tenu/internal/purchase"
	"tenu/internal/store"
)

// order is what the client wants, under a key of its own.
type order struct {
	key  string
	line purchase.MSISDN
	wait bool // for the outcome, not for the acknowledgement only
	gone <-chan struct{}
}

// errGone says that a client went home before it was answered.
var errGone = errors.New("the client has gone")

// patience is how long a client asks for one purchase before it gives up.
const patience = 2 * time.Minute

// buy asks one of the nodes until the purchase is acknowledged, with the same
// key each time, as a client must, and returns its reference.
func (r *rig) buy(client *http.Client, o order, nodes ...*node) (string, error) {
	var last string
	for try, began := 0, time.Now(); time.Since(began) < patience; try++ {
		n := nodes[try%len(nodes)]
		open := n.door.open()
		ref, again, err := r.ask(client, o, n)
		if err == nil {
			return ref, nil
		}
		if !again {
			return "", err
		}
		last = err.Error()
		if len(nodes) > 1 {
			time.Sleep(10 * time.Millisecond) // as a client does that turns to the next
			continue
		}
		select {
		case <-open: // it is up and refuses
			time.Sleep(10 * time.Millisecond)
		case <-n.door.open():
		case <-o.gone:
			return "", errGone
		case <-time.After(patience):
		}
	}
	return "", fmt.Errorf("never acknowledged: %s", last)
}

// ask is one try of buy. again says that the client should try again.
func (r *rig) ask(client *http.Client, o order, n *node) (ref string, again bool, err error) {
	body := fmt.Sprintf(`{"product":"airtime","number":%q,"amount":1050,"currency":"XOF","again":%t}`, o.line, r.again)
	request, err := http.NewRequest(http.MethodPost, n.url+"/v1/purchases", strings.NewReader(body)) //nolint:noctx // the client has a timeout
	if err != nil {
		return "", false, err
	}
	request.Header.Set("Authorization", "Bearer "+r.key)
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Idempotency-Key", o.key)
	if o.wait {
		request.Header.Set("Prefer", "wait=2")
	}
	response, err := client.Do(request)
	if err != nil {
		return "", true, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	var p struct {
		Reference string `json:"reference"`
	}
	switch {
	case err != nil:
		return "", true, err
	case response.StatusCode/100 == 2:
		if err := json.Unmarshal(answer, &p); err != nil || p.Reference == "" {
			return "", false, fmt.Errorf("%s: %s: %w", response.Status, answer, err)
		}
		return p.Reference, false, nil
	}
	again = response.StatusCode >= http.StatusInternalServerError || response.StatusCode == http.StatusTooManyRequests
	return "", again, fmt.Errorf("%s: %s", response.Status, answer)
}

// sell buys count times with many clients and returns the references.
func (r *rig) sell(from, count, clients int, nodes ...*node) []string {
	r.t.Helper()
	client := &http.Client{Timeout: 3 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: clients}}
	defer client.CloseIdleConnections()
	refs := make([]string, count)
	next := make(chan int)
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() {
			for i := range next {
				ref, err := r.buy(client, r.order(from+i), nodes...)
				if err != nil {
					r.t.Errorf("buy %d: %v", from+i, err)
				}
				refs[i] = ref
			}
		})
	}
	for i := range count {
		next <- i
	}
	close(next)
	wg.Wait()
	return refs
}

// order is the i-th order of a test.
func (r *rig) order(i int) order {
	return order{key: fmt.Sprintf("key-%d", i), line: r.lines[i%len(r.lines)]}
}

// crowd is many clients that buy without end: one time in four they wait for
// the outcome, so that no more is asked than the partners can do.
type crowd struct {
	rig     *rig
	over    chan struct{} // no more orders
	gone    chan struct{} // no more tries
	clients sync.WaitGroup

	mu   sync.Mutex
	more *sync.Cond // refs grew
	from int        // of the next order
	refs []string   // acknowledged
}

// giveUp sends the clients home, whatever they still want.
func (c *crowd) giveUp() {
	close(c.over)
	close(c.gone)
	c.clients.Wait()
}

// crowd sends clients to the nodes until end, with orders from a number on.
func (r *rig) crowd(from, clients int, nodes ...*node) *crowd {
	c := &crowd{rig: r, from: from, over: make(chan struct{}), gone: make(chan struct{})}
	c.more = sync.NewCond(&c.mu)
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: clients}}
	for range clients {
		c.clients.Go(func() {
			for {
				select {
				case <-c.over:
					return
				default:
				}
				c.buy(client, nodes)
			}
		})
	}
	r.t.Cleanup(client.CloseIdleConnections)
	return c
}

func (c *crowd) buy(client *http.Client, nodes []*node) {
	c.mu.Lock()
	o := c.rig.order(c.from)
	o.wait, o.gone = c.from%4 == 1, c.gone
	c.from++
	c.mu.Unlock()
	ref, err := c.rig.buy(client, o, nodes...)
	if errors.Is(err, errGone) {
		return
	}
	if err != nil {
		c.rig.t.Errorf("buy %s: %v", o.key, err)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refs = append(c.refs, ref)
	c.more.Broadcast()
}

// await returns when that many more purchases were acknowledged.
func (c *crowd) await(t *testing.T, more int) {
	t.Helper()
	late := time.AfterFunc(patience, func() { c.more.Broadcast() })
	defer late.Stop()
	c.mu.Lock()
	defer c.mu.Unlock()
	began := time.Now()
	for want := len(c.refs) + more; len(c.refs) < want; c.more.Wait() {
		if time.Since(began) >= patience {
			t.Fatalf("%d acknowledgements are still awaited", want-len(c.refs))
		}
	}
}

// end returns the references of all that was acknowledged, when every client
// has got what it asked for.
func (c *crowd) end() []string {
	close(c.over)
	c.clients.Wait()
	return c.refs
}

// balance ends the crowd and balances all that it bought.
func (c *crowd) balance(within time.Duration) result {
	c.rig.t.Helper()
	return c.rig.balance(c.end(), within)
}

// records waits until every purchase is settled and returns them as stored.
func (r *rig) records(refs []string, within time.Duration) []purchase.Record {
	r.t.Helper()
	s, err := store.Open(context.Background(), r.dsn, store.Options{})
	if err != nil {
		r.t.Fatalf("open the store: %v", err)
	}
	defer s.Close() //nolint:errcheck // only read
	keys := r.keys(s)
	var ids []purchase.ID
	seen := map[purchase.ID]bool{}
	for _, ref := range refs {
		id, err := keys.Parse(ref)
		if err != nil {
			r.t.Fatalf("reference %q: %v", ref, err)
		}
		if seen[id] {
			r.t.Errorf("%s was answered to two requests", ref)
		}
		seen[id] = true
		ids = append(ids, id)
	}
	var settled []purchase.Record
	for deadline := time.Now().Add(within); len(ids) > 0; time.Sleep(200 * time.Millisecond) {
		var open []purchase.Record
		for part := range slices.Chunk(ids, 500) {
			records, err := s.Load(context.Background(), part...)
			if err != nil {
				r.t.Fatalf("load: %v", err)
			}
			if len(records) != len(part) {
				r.t.Fatalf("%d purchases were acknowledged, %d are stored", len(part), len(records))
			}
			for _, record := range records {
				if record.Purchase.State.Final() {
					settled = append(settled, record)
				} else {
					open = append(open, record)
				}
			}
		}
		if len(open) > 0 && time.Now().After(deadline) {
			r.t.Fatalf("%d of %d are not settled, the first: %+v", len(open), len(refs), open[0])
		}
		ids = ids[:0]
		for i := range open {
			ids = append(ids, open[i].Purchase.ID)
		}
	}
	slices.SortFunc(settled, func(a, b purchase.Record) int { return cmp.Compare(a.Purchase.ID, b.Purchase.ID) })
	return settled
}

func (r *rig) keys(s *store.Store) *purchase.Keyring {
	r.t.Helper()
	secret, err := s.Secret(context.Background(), make([]byte, 32))
	if err != nil {
		r.t.Fatal(err)
	}
	keys, err := purchase.NewKeyring(secret)
	if err != nil {
		r.t.Fatal(err)
	}
	return keys
}
