package cgrates

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"tenu/internal/purchase"
)

// saboteur spoils the exchanges of one method.
type saboteur struct {
	next   http.RoundTripper
	method string
	spoil  func(next http.RoundTripper, r *http.Request) (*http.Response, error)
}

func (s saboteur) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	if strings.Contains(string(body), s.method) {
		return s.spoil(s.next, r)
	}
	return s.next.RoundTrip(r)
}

// answering forwards the request and puts another answer in place of the true one.
func answering(status int, body string) func(http.RoundTripper, *http.Request) (*http.Response, error) {
	return func(next http.RoundTripper, r *http.Request) (*http.Response, error) {
		response, err := next.RoundTrip(r)
		if err != nil {
			return nil, err
		}
		_, _ = io.Copy(io.Discard, response.Body)
		response.Body.Close()
		response.StatusCode, response.Body = status, io.NopCloser(strings.NewReader(body))
		return response, nil
	}
}

var faults = map[string]func(http.RoundTripper, *http.Request) (*http.Response, error){
	"no connection": func(http.RoundTripper, *http.Request) (*http.Response, error) { return nil, errors.New("refused") },
	"reply lost": func(next http.RoundTripper, r *http.Request) (*http.Response, error) {
		if response, err := next.RoundTrip(r); err == nil {
			response.Body.Close()
		}
		return nil, io.ErrUnexpectedEOF
	},
	"garbage":       answering(200, "<html>gateway</html>"),
	"empty":         answering(200, ""),
	"null result":   answering(200, `{"id":1,"result":null,"error":null}`),
	"other type":    answering(200, `{"id":1,"result":{"a":[1]},"error":null}`),
	"other call":    answering(200, `{"id":2,"result":"OK","error":null}`),
	"error object":  answering(200, `{"id":1,"result":null,"error":{"code":5}}`),
	"server error":  answering(200, `{"id":1,"result":null,"error":"SERVER_ERROR: redis: connection refused"}`),
	"says not OK":   answering(200, `{"id":1,"result":"MAYBE","error":null}`),
	"HTTP 500":      answering(500, `{"id":1,"result":"OK","error":null}`),
	"without end":   answering(200, strings.Repeat(" ", maxAnswer+1)),
	"other account": answering(200, `{"id":1,"result":{"ID":"cgrates.org:1"},"error":null}`),
	"other record":  answering(200, `{"id":1,"result":[{"CGRID":"x","RunID":"*topup"}],"error":null}`),
}

// Whatever goes wrong in whichever exchange, what the adapter says is true, and
// a cancellation afterwards settles the rest.
func TestEveryFaultOfEveryExchange(t *testing.T) {
	b := newBench(t)
	b.open(line, 100_000)
	main := int64(100_000)
	for _, method := range []string{"GetAccount", "SetActions", "ExecuteAction", "GetCDRs", "RemoveActions"} {
		for name, spoil := range faults {
			for _, leg := range purchase.Legs {
				what := fmt.Sprintf("%s of %s, %v", name, method, leg)
				p := b.through(func(next http.RoundTripper) http.RoundTripper { return saboteur{next, "." + method + `"`, spoil} })
				o := b.order(leg, 100)
				said := p.Do(t.Context(), o)
				truth := b.Cancel(t.Context(), o)
				switch truth.Kind {
				case purchase.Done:
					if main += 100; leg == purchase.Charge || leg == purchase.Reversal {
						main -= 200
					}
					if said.Kind != purchase.Done && said.Kind != purchase.Unknown {
						t.Errorf("%s: said %v (%s), and it moved", what, said.Kind, said.Detail)
					}
				case purchase.Cancelled:
					if said.Kind != purchase.Unsent && said.Kind != purchase.Unknown {
						t.Errorf("%s: said %v (%s), and nothing moved", what, said.Kind, said.Detail)
					}
				default:
					t.Errorf("%s: cancellation left %v: %s", what, truth.Kind, truth.Detail)
				}
				if name == "no connection" && method == "ExecuteAction" {
					b.wantKind(what, said, purchase.Unsent)
				}
				b.wantMain(line, main)
			}
		}
	}
}

// The charge whose reply was lost took the last of the balance: the resend must
// not take that for a poor account.
func TestResendLooksForTheRecordFirst(t *testing.T) {
	b := newBench(t)
	b.open(line, 100)
	p := b.through(func(next http.RoundTripper) http.RoundTripper { return saboteur{next, "GetCDRs", faults["reply lost"]} })
	o := b.order(purchase.Charge, 100)
	b.wantKind("charge", p.Do(t.Context(), o), purchase.Unknown)
	o.Try++
	b.wantKind("resend", b.Do(t.Context(), o), purchase.Done)
	b.wantMain(line, 0)
}

func TestQueryAndCancelNeverGuess(t *testing.T) {
	b := newBench(t)
	b.open(line, 1000)
	o := b.order(purchase.Credit, 100)
	b.wantKind("do", b.Do(t.Context(), o), purchase.Done)
	for name, spoil := range faults {
		p := b.through(func(next http.RoundTripper) http.RoundTripper { return saboteur{next, "GetCDRs", spoil} })
		b.wantKind(name+", query", p.Query(t.Context(), o), purchase.Unknown)
		b.wantKind(name+", cancel", p.Cancel(t.Context(), o), purchase.Unknown)
	}
	b.wantMain(line, 1100)
}

// The charging system is suspended with a thousand credits in flight, and goes
// on when their callers have given up.
func TestStoppedWithAThousandInFlight(t *testing.T) {
	b := newBench(t)
	const lines, credits = 20, 1000
	orders := make([]purchase.Order, credits)
	for i := range orders {
		orders[i] = b.order(purchase.Credit, 10)
		orders[i].Account = line + purchase.MSISDN(i%lines)
	}
	for i := range lines {
		b.open(line+purchase.MSISDN(i), 0)
	}
	var sent atomic.Int64
	p := b.through(func(next http.RoundTripper) http.RoundTripper {
		return saboteur{next, "ExecuteAction", func(next http.RoundTripper, r *http.Request) (*http.Response, error) {
			if sent.Add(1) == 500 {
				b.peer.Stop()
			}
			return next.RoundTrip(r)
		}}
	})
	said, kinds := all(t.Context(), p, orders)
	b.peer.Cont()
	if kinds[purchase.Unknown] == 0 {
		t.Errorf("no credit was in flight: %v", kinds)
	}
	var settle sync.WaitGroup
	truth := make([]purchase.Outcome, credits)
	for i := range orders {
		settle.Go(func() { truth[i] = b.Cancel(context.WithoutCancel(t.Context()), orders[i]) })
	}
	settle.Wait()
	want := map[purchase.MSISDN]int64{}
	late := 0
	for i := range orders {
		switch {
		case truth[i].Kind == purchase.Done:
			want[orders[i].Account] += 10
			if said[i].Kind != purchase.Done {
				late++
			}
		case truth[i].Kind != purchase.Cancelled || said[i].Kind == purchase.Done:
			t.Errorf("credit %d: said %v, then %v (%s)", i, said[i].Kind, truth[i].Kind, truth[i].Detail)
		}
	}
	for i := range lines { // a record is written a moment before the account is
		number := line + purchase.MSISDN(i)
		for range 100 {
			if got, err := b.Balance(t.Context(), number); err == nil && got.Main.Minor == want[number] {
				break
			}
		}
		b.wantMain(number, want[number])
	}
	t.Logf("said %v; %d executed late", kinds, late)
}

// all does every order at once, and counts what was said.
func all(ctx context.Context, p *Partner, orders []purchase.Order) ([]purchase.Outcome, map[purchase.Kind]int) {
	said := make([]purchase.Outcome, len(orders))
	var calls sync.WaitGroup
	for i := range orders {
		calls.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
			defer cancel()
			said[i] = p.Do(ctx, orders[i])
		})
	}
	calls.Wait()
	kinds := map[purchase.Kind]int{}
	for i := range said {
		kinds[said[i].Kind]++
	}
	return said, kinds
}

func TestKilledAndWithoutMemory(t *testing.T) {
	b := newBench(t)
	b.open(line, 0)
	before := b.order(purchase.Credit, 10)
	b.wantKind("before", b.Do(t.Context(), before), purchase.Done)
	b.peer.Kill()
	during := b.order(purchase.Credit, 10)
	b.wantKind("while it is gone", b.Do(t.Context(), during), purchase.Unsent)
	b.wantKind("query while it is gone", b.Query(t.Context(), before), purchase.Unknown)
	if _, err := b.Balance(t.Context(), line); !errors.Is(err, purchase.ErrUnavailable) {
		t.Errorf("balance while it is gone: %v", err)
	}
	b.peer.Restart()
	b.wantKind("query of what it forgot", b.Query(t.Context(), before), purchase.Absent)
	b.wantKind("credit of what it forgot", b.Do(t.Context(), during), purchase.Refused)
	b.wantKind("cancel of what it forgot", b.Cancel(t.Context(), during), purchase.Cancelled)
}

func TestParseValue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`-?[0-9]{1,14}(\.[0-9]{1,8})?`).Draw(t, "figure")
		digits := rapid.IntRange(0, 2).Draw(t, "digits")
		units, exact, err := parseValue(text, digits)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		want, _ := new(big.Rat).SetString(text)
		want.Mul(want, new(big.Rat).SetInt64([]int64{1, 10, 100}[digits]))
		got := new(big.Rat).SetInt64(units)
		over := new(big.Rat).Sub(want, got)
		if over.Sign() < 0 || over.Cmp(big.NewRat(1, 1)) >= 0 || exact != (over.Sign() == 0) {
			t.Fatalf("%s with %d digits: got %d, exact %t", text, digits, units, exact)
		}
	})
	for _, text := range []string{"", "-", ".", "1.", ".5", "1e3", "1e21", "+1", "--1", "1.2.3", "NaN", "0x10", "1 0", "12345678901234567", "1.٣"} {
		if units, _, err := parseValue(text, 2); err == nil {
			t.Errorf("%q was read as %d", text, units)
		}
	}
}
