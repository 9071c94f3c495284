package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// Kind names one way in which a partner fails. The comments give the rows of
// the fault list (w: payer and provider, o: provider, s: SMS centre).
type Kind string

// The kinds. Those of execution say what happens to the books, those of the
// answer what the caller sees; one call may be hit by one of each.
const (
	// Before execution.
	LoseRequest Kind = "lose_request" // w1: the connection is cut, nothing is executed
	Outage      Kind = "outage"       // o4, s4: answered as unavailable, nothing is executed
	Refuse      Kind = "refuse"       // w9, o3: refused with Code, nothing is executed
	ForgetKey   Kind = "forget_key"   // w12: the key is treated as never seen
	Conflict    Kind = "conflict"     // w11: 409, whether or not the key was executed

	// Of execution.
	Late          Kind = "late"           // w3: executed Delay later; the answer is lost
	Twice         Kind = "twice"          // executed twice under one key
	Lie           Kind = "lie"            // w17: answered as done, never executed
	WrongAmount   Kind = "wrong_amount"   // w8: another amount is moved and stated
	WrongCurrency Kind = "wrong_currency" // w8: another currency is moved and stated
	WrongNumber   Kind = "wrong_number"   // w8, o1: another number's account is moved and stated
	WrongProduct  Kind = "wrong_product"  // o1: another bundle is given and stated
	Partial       Kind = "partial"        // o2: half is moved and stated
	ReverseLater  Kind = "reverse_later"  // w7: taken back Delay later, of the partner's own accord
	Unapproved    Kind = "unapproved"     // the customer denies the charge
	Unanswered    Kind = "unanswered"     // the customer never answers: it expires

	// Of the answer.
	LoseReply   Kind = "lose_reply"   // w2: the connection is cut after execution
	SlowAnswer  Kind = "delay"        // the answer comes Delay later
	ServerError Kind = "server_error" // executed, answered 500
	CachedError Kind = "cached_error" // w14: a 500, answered again to every try with that key
	Drip        Kind = "drip"         // w18: one byte of the answer per Delay
	Huge        Kind = "huge"         // w18: an answer of many megabytes
	Garbage     Kind = "garbage"      // w18: an answer that is not of the protocol
	NotFound    Kind = "not_found"    // w10: a query answered 404 though the key is known
	Degraded    Kind = "degraded"     // the heartbeat says degraded

	// Of callbacks.
	CallbackTwice    Kind = "callback_twice"    // w4
	CallbackEarly    Kind = "callback_early"    // w5: before the answer to the request
	CallbackLate     Kind = "callback_late"     // Delay later
	CallbackLost     Kind = "callback_lost"     // never sent
	CallbackForged   Kind = "callback_forged"   // w6: signed with a wrong key, beside the true one
	CallbackReplayed Kind = "callback_replayed" // w6: sent again with its old date and signature, Delay later

	// Of the statement.
	StatementMissing   Kind = "statement_missing"   // w15: a line is left out
	StatementExtra     Kind = "statement_extra"     // w15: a line of a movement that never was
	StatementDifferent Kind = "statement_different" // w15: a line with another amount
	StatementTwice     Kind = "statement_twice"     // w16: a line twice
	StatementPartial   Kind = "statement_partial"   // w16: cut in the middle
	StatementDisorder  Kind = "statement_disorder"  // w16: lines out of order
	StatementZone      Kind = "statement_zone"      // w16: times in another zone than the last one's

	// Of the SMS centre.
	Swallow         Kind = "swallow"          // s1: accepted, never delivered
	MessageTwice    Kind = "message_twice"    // the phone shows the message twice
	ReceiptTwice    Kind = "receipt_twice"    // s2
	ReceiptDisorder Kind = "receipt_disorder" // s3: delivered is told before accepted
	Recycled        Kind = "recycled"         // s5: the number belongs to somebody else now
)

// AnyOperation in Fault.Operation stands for every operation of the server
// that knows the fault's kind.
const AnyOperation = "*"

// Bounds of a fault's numbers, and of how many may be switched on at once.
const (
	maxFaults     = 256
	maxFaultCount = 1_000_000_000
	maxFaultDelay = 24 * time.Hour
	maxFaultBody  = 4 << 10
)

// Fault is one switched-on way of failing. Without Rate and Next it hits every
// call of the operation until it is removed.
type Fault struct {
	ID        int64  `json:"id,omitempty"`
	Operation string `json:"operation"`
	Kind      Kind   `json:"kind"`
	// Rate is the share of calls that are hit, above 0 to 1; zero stands for 1.
	Rate float64 `json:"rate,omitempty"`
	// Next is how many calls are hit before the fault switches itself off; zero
	// stands for no end.
	Next int64 `json:"next,omitempty"`
	// Skip is how many calls are let through first.
	Skip int64 `json:"skip,omitempty"`
	// DelayMS is the kind's delay in milliseconds.
	DelayMS int64 `json:"delay_ms,omitempty"`
	// Code is the partner's response code, for Refuse.
	Code string `json:"code,omitempty"`
	// Apart lets no two faults that are apart hit one call: of two the older one does.
	Apart bool `json:"apart,omitempty"`
	// Account limits the fault to one number, without the plus sign.
	Account string `json:"account,omitempty"`
	// Hits counts the calls that were hit.
	Hits int64 `json:"hits"`
}

// Delay is the fault's delay.
func (f Fault) Delay() time.Duration { return time.Duration(f.DelayMS) * time.Millisecond }

func (f *Fault) check(offer map[string][]Kind) error {
	switch {
	case f.ID != 0 || f.Hits != 0:
		return errors.New("id and hits are given by the server")
	case f.Rate < 0 || f.Rate > 1:
		return errors.New("rate must be above 0 and at most 1")
	case f.Next < 0 || f.Next > maxFaultCount || f.Skip < 0 || f.Skip > maxFaultCount:
		return fmt.Errorf("next and skip must be 0 to %d", maxFaultCount)
	case f.DelayMS < 0 || f.DelayMS > maxFaultDelay.Milliseconds():
		return fmt.Errorf("delay_ms must be 0 to %d", maxFaultDelay.Milliseconds())
	case len(f.Code) > 64 || len(f.Account) > 32:
		return errors.New("code has at most 64 bytes, account 32")
	}
	for operation, kinds := range offer {
		if (f.Operation == operation || f.Operation == AnyOperation) && slices.Contains(kinds, f.Kind) {
			return nil
		}
	}
	return fmt.Errorf("operation %q has no fault %q here; GET lists those there are", f.Operation, f.Kind)
}

// Hits are the faults that one call is hit by, at most one per kind.
type Hits []Fault

// Has reports whether a fault of the kind is among the hits.
func (h Hits) Has(k Kind) bool {
	_, ok := h.Find(k)
	return ok
}

// Find returns the fault of the kind.
func (h Hits) Find(k Kind) (Fault, bool) {
	for _, f := range h {
		if f.Kind == k {
			return f, true
		}
	}
	return Fault{}, false
}

// Faults are the switches of one server. The zero value is not ready; safe for
// concurrent use. The same seed and the same order of calls give the same hits.
type Faults struct {
	offer map[string][]Kind
	armed atomic.Int64 // len(list), read without the lock

	mu     sync.Mutex
	random *rand.Rand
	list   []Fault // Next counts down
	last   int64
}

// NewFaults returns switches that are all off. offer lists the kinds that the
// server can do, by operation.
func NewFaults(seed uint64, offer map[string][]Kind) *Faults {
	return &Faults{offer: offer, random: rand.New(rand.NewPCG(seed, 0x7465_6e75))} //nolint:gosec // repeatable on purpose
}

// Add switches a fault on and returns it with its ID, or says what is wrong with it.
func (f *Faults) Add(fault Fault) (Fault, error) {
	if err := fault.check(f.offer); err != nil {
		return Fault{}, fmt.Errorf("add fault: %w", err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.list) >= maxFaults {
		return Fault{}, fmt.Errorf("add fault: %d are switched on already", maxFaults)
	}
	f.last++
	fault.ID = f.last
	f.list = append(f.list, fault)
	f.armed.Store(int64(len(f.list)))
	return fault, nil
}

// Remove switches one fault off and reports whether it was on.
func (f *Faults) Remove(id int64) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := slices.IndexFunc(f.list, func(fault Fault) bool { return fault.ID == id })
	if i < 0 {
		return false
	}
	f.list = slices.Delete(f.list, i, i+1)
	f.armed.Store(int64(len(f.list)))
	return true
}

// Clear switches every fault off.
func (f *Faults) Clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.list = nil
	f.armed.Store(0)
}

// List returns the faults that are switched on, oldest first.
func (f *Faults) List() []Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.list)
}

// Draw decides which faults hit one call of an operation for an account (a
// number without the plus sign, "" when it has none). Of one kind the oldest wins.
func (f *Faults) Draw(operation, account string) Hits {
	if f.armed.Load() == 0 {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	var hits Hits
	kept := f.list[:0]
	for _, fault := range f.list {
		if f.hit(&fault, operation, account, hits) {
			fault.Hits++
			hits = append(hits, fault)
			if fault.Next > 0 {
				if fault.Next--; fault.Next == 0 {
					continue
				}
			}
		}
		kept = append(kept, fault)
	}
	f.list = kept
	f.armed.Store(int64(len(kept)))
	return hits
}

// hit decides on one fault, counting down what it skips.
func (f *Faults) hit(fault *Fault, operation, account string, hits Hits) bool {
	if fault.Operation != operation && fault.Operation != AnyOperation ||
		fault.Account != "" && fault.Account != account ||
		!slices.Contains(f.offer[operation], fault.Kind) || hits.Has(fault.Kind) ||
		fault.Apart && slices.ContainsFunc(hits, func(h Fault) bool { return h.Apart }) {
		return false
	}
	if fault.Skip > 0 {
		fault.Skip--
		return false
	}
	return fault.Rate == 0 || f.random.Float64() < fault.Rate
}

// Pick returns a number from 0 to n-1 of the seeded source, for faults that
// must choose (which line of a statement is wrong).
func (f *Faults) Pick(n int) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.random.IntN(n)
}

// Routes adds the switches to a mux: GET /faults lists what is on and what is
// offered, POST /faults switches one on, DELETE /faults all off, DELETE
// /faults/{id} one off.
func (f *Faults) Routes(mux *http.ServeMux) {
	mux.HandleFunc("GET /faults", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, struct {
			Faults []Fault           `json:"faults"`
			Offer  map[string][]Kind `json:"offer"`
		}{append([]Fault{}, f.List()...), f.offer})
	})
	mux.HandleFunc("POST /faults", func(w http.ResponseWriter, r *http.Request) {
		var fault Fault
		if err := decodeStrict(http.MaxBytesReader(w, r.Body, maxFaultBody), &fault); err != nil {
			writeProblem(w, http.StatusBadRequest, err)
			return
		}
		added, err := f.Add(fault)
		if err != nil {
			writeProblem(w, http.StatusUnprocessableEntity, err)
			return
		}
		writeJSON(w, http.StatusCreated, added)
	})
	mux.HandleFunc("DELETE /faults", func(w http.ResponseWriter, _ *http.Request) {
		f.Clear()
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("DELETE /faults/{id}", func(w http.ResponseWriter, r *http.Request) {
		id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
		if err != nil || !f.Remove(id) {
			writeProblem(w, http.StatusNotFound, errors.New("no such fault is switched on"))
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
}

// decodeStrict reads exactly one JSON value without unknown fields.
func decodeStrict(r io.Reader, into any) error {
	d := json.NewDecoder(r)
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return fmt.Errorf("read body: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("read body: more than one JSON value")
	}
	return nil
}

func writeJSON(w http.ResponseWriter, status int, value any) {
	body, err := json.Marshal(value)
	if err != nil {
		http.Error(w, "cannot be written as JSON", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // the reader may have gone
}

func writeProblem(w http.ResponseWriter, status int, err error) {
	writeJSON(w, status, struct {
		Error string `json:"error"`
	}{err.Error()})
}
