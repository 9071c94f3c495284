package storetest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tenu/internal/auth"
	"tenu/internal/care"
	"tenu/internal/customer"
	"tenu/internal/purchase"
	"tenu/internal/sale"
)

// CustomerSide is what the channels that customers use ask of a database.
type CustomerSide interface {
	care.Store
	auth.CodeStore
	customer.Store
	PutSession(ctx context.Context, token string, data []byte, till purchase.Instant) error
	Session(ctx context.Context, token string, now purchase.Instant) ([]byte, error)
	DropSession(ctx context.Context, token string) error
}

// hostile is a text of which every character must survive but what no database keeps.
const hostile, kept = "l'œil \"d'août\" \x00;--\xff %_ 日本", "l'œil \"d'août\" \ufffd;--\ufffd %_ 日本"

const someone purchase.MSISDN = 22670112233

func reportsOnce(t *testing.T, s DatabaseSubject) {
	r := care.Report{Purchase: 7, Number: someone, Matter: care.MatterWrongNumber, Meant: 22670445566, Channel: "app", Detail: hostile, At: dawn}
	want := r
	want.Detail = kept
	first, added, err := s.AddReport(t.Context(), r)
	if err != nil || !added || first != want {
		t.Fatalf("got %+v, %v, %v", first, added, err)
	}
	again := r
	again.Detail, again.At, again.Meant = "other words", dawn+5, 1
	if got, added, err := s.AddReport(t.Context(), again); err != nil || added || got != want {
		t.Errorf("again: %+v, %v, %v", got, added, err)
	}
	for i, other := range []care.Report{{Purchase: 8, Number: someone, Matter: r.Matter, At: dawn + 1}, {Purchase: 7, Number: someone + 1, Matter: r.Matter, At: dawn + 2},
		{Purchase: 7, Number: someone, Matter: care.MatterOther, At: dawn - 1}} {
		if _, added, err := s.AddReport(t.Context(), other); err != nil || !added {
			t.Errorf("other report %d: %v, %v", i, added, err)
		}
	}
	all, err := s.Reports(t.Context(), 7, 9)
	if err != nil || len(all) != 3 || all[0].Matter != care.MatterOther || all[1] != want || all[2].Number != someone+1 {
		t.Errorf("reports %+v, %v", all, err)
	}
	if none, err := s.Reports(t.Context()); err != nil || len(none) != 0 {
		t.Errorf("reports of nothing: %v, %v", none, err)
	}
}

func callbacksFillWindows(t *testing.T, s DatabaseSubject) {
	const window, most = dawn + 900_000_000, 5
	c := care.Callback{Number: someone, Purchase: 7, WindowAt: window, At: dawn, State: care.Promised, Channel: "ussd", Language: "fr", Reason: hostile}
	first, added, err := s.AddCallback(t.Context(), c, most)
	want := c
	want.ID, want.Version, want.Reason = first.ID, 1, kept
	if err != nil || !added || first.ID == 0 || first != want {
		t.Fatalf("got %+v, %v, %v", first, added, err)
	}
	elsewhere := c
	elsewhere.WindowAt += 900_000_000
	if got, added, err := s.AddCallback(t.Context(), elsewhere, most); err != nil || added || got != want {
		t.Errorf("a second promise: %+v, %v, %v", got, added, err)
	}
	var together sync.WaitGroup
	var made, full atomic.Int64
	for i := range 20 {
		together.Go(func() {
			other := c
			other.Number += purchase.MSISDN(i + 1)
			switch _, added, err := s.AddCallback(t.Context(), other, most); {
			case errors.Is(err, care.ErrFull):
				full.Add(1)
			case err != nil || !added:
				t.Errorf("add: %v, %v", added, err)
			default:
				made.Add(1)
			}
		})
	}
	together.Wait()
	if made.Load() != most-1 || full.Load() != 20-(most-1) {
		t.Errorf("%d kept, %d too many", made.Load(), full.Load())
	}
	counts, err := s.Promised(t.Context(), window, window+1)
	if err != nil || counts[window] != most || len(counts) != 1 {
		t.Errorf("promised %v, %v", counts, err)
	}
	if counts, err := s.Promised(t.Context(), window-900_000_000, window); err != nil || len(counts) != 0 {
		t.Errorf("promised before: %v, %v", counts, err)
	}
	if _, err := s.CancelCallback(t.Context(), first.ID, someone+1, dawn+5); !errors.Is(err, care.ErrNotFound) {
		t.Errorf("another's callback: %v", err)
	}
	for at := range purchase.Instant(2) {
		got, err := s.CancelCallback(t.Context(), first.ID, someone, dawn+5+at)
		if err != nil || got.State != care.Cancelled || got.ClosedAt != dawn+5 {
			t.Errorf("cancelled %+v, %v", got, err)
		}
	}
	next, added, err := s.AddCallback(t.Context(), elsewhere, most)
	if err != nil || !added {
		t.Fatalf("after a cancel: %v, %v", added, err)
	}
	all, err := s.Callbacks(t.Context(), someone, 10)
	if err != nil || len(all) != 2 || all[0] != next || all[1].State != care.Cancelled {
		t.Errorf("callbacks %+v, %v", all, err)
	}
	if one, err := s.Callbacks(t.Context(), someone, 1); err != nil || len(one) != 1 || one[0] != next {
		t.Errorf("the newest: %+v, %v", one, err)
	}
}

func codesAreCounted(t *testing.T, s DatabaseSubject) {
	limit := func(name string, most int64) auth.Limit {
		return auth.Limit{Name: name, Since: dawn, Till: dawn + 900, Most: most}
	}
	put := func(number purchase.MSISDN, at purchase.Instant, limits ...auth.Limit) error {
		return s.PutCode(t.Context(), auth.Code{Number: number, At: at, Till: at + 300, Hash: [32]byte{byte(at)}}, limits)
	}
	if _, err := s.TryCode(t.Context(), someone); !errors.Is(err, auth.ErrCode) {
		t.Errorf("no code: %v", err)
	}
	if err := put(someone, dawn, limit("a", 10), limit("b", 1)); err != nil {
		t.Fatal(err)
	}
	for try := 1; try <= 3; try++ {
		got, err := s.TryCode(t.Context(), someone)
		if want := (auth.Code{Number: someone, At: dawn, Till: dawn + 300, Tries: try, Hash: [32]byte{byte(dawn & 0xff)}}); err != nil || got != want {
			t.Errorf("try %d: %+v, %v", try, got, err)
		}
	}
	if err := put(someone, dawn+1, limit("a", 10)); err != nil {
		t.Fatal(err)
	}
	if got, err := s.TryCode(t.Context(), someone); err != nil || got.At != dawn+1 || got.Tries != 1 {
		t.Errorf("a newer code: %+v, %v", got, err)
	}
	// Over one limit, none is counted and the code stays.
	if err := put(someone, dawn+2, limit("a", 10), limit("b", 1)); !errors.Is(err, auth.ErrTooMany) {
		t.Errorf("over a limit: %v", err)
	}
	if got, err := s.TryCode(t.Context(), someone); err != nil || got.At != dawn+1 {
		t.Errorf("the code after a refusal: %+v, %v", got, err)
	}
	if dropped, err := s.DropCode(t.Context(), someone, dawn); err != nil || dropped {
		t.Errorf("an older code: %v, %v", dropped, err)
	}
	var together sync.WaitGroup
	var made, many, dropped atomic.Int64
	for i := range 20 {
		together.Go(func() {
			// Limits in any order: no two transactions wait for each other.
			limits := []auth.Limit{limit("a", 10), limit("c", 1000), limit("d", 1000)}
			slices.SortFunc(limits, func(x, y auth.Limit) int { return (i%3 - 1) * (int(x.Name[0]) - int(y.Name[0])) })
			switch err := put(someone+purchase.MSISDN(i)+1, dawn+9, limits...); {
			case errors.Is(err, auth.ErrTooMany):
				many.Add(1)
			case err != nil:
				t.Error(err)
			default:
				made.Add(1)
			}
			if ok, err := s.DropCode(t.Context(), someone, dawn+1); err != nil {
				t.Error(err)
			} else if ok {
				dropped.Add(1)
			}
		})
	}
	together.Wait()
	if made.Load() != 8 || many.Load() != 12 || dropped.Load() != 1 {
		t.Errorf("%d made, %d too many, dropped %d times", made.Load(), many.Load(), dropped.Load())
	}
	other := limit("a", 10)
	other.Since, other.Till = dawn+900, dawn+1800
	if err := put(someone, dawn+950, other); err != nil {
		t.Errorf("in the next period: %v", err)
	}
}

func checkoutsMoveOnce(t *testing.T, s DatabaseSubject) {
	wish := sale.Wish{Client: "customer", ClientKey: "sms-1", Channel: "app", Language: "fr", Number: "70112233", Payer: "+22670112233", Product: "airtime", Amount: "1050", PayWith: "wallet"}
	c := customer.Checkout{Key: "sms-1", Number: someone, At: dawn, State: customer.Shown, Wish: wish, Total: 1050}
	if err := s.AddCheckout(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if err := s.AddCheckout(t.Context(), c); err == nil {
		t.Error("a key serves twice")
	}
	if got, err := s.Checkout(t.Context(), c.Key, someone); err != nil || !reflect.DeepEqual(got, c) {
		t.Errorf("got %+v, %v", got, err)
	}
	for _, none := range []struct {
		key    string
		number purchase.MSISDN
	}{{c.Key, someone + 1}, {"none", someone}} {
		if _, err := s.Checkout(t.Context(), none.key, none.number); !errors.Is(err, customer.ErrNotFound) {
			t.Errorf("%v: %v", none, err)
		}
	}
	moved := c
	moved.State, moved.GoAt = customer.Confirmed, dawn+5
	var together sync.WaitGroup
	var times atomic.Int64
	for range 10 {
		together.Go(func() {
			ok, err := s.MoveCheckout(t.Context(), customer.Shown, moved)
			if err != nil {
				t.Error(err)
			}
			if ok {
				times.Add(1)
			}
		})
	}
	together.Wait()
	if times.Load() != 1 {
		t.Errorf("moved %d times", times.Load())
	}
	later := c
	later.Key, later.At, later.State, later.GoAt = "web-2", dawn+1, customer.Selling, dawn+9
	refused := c
	refused.Key, refused.At, refused.State, refused.Problem, refused.Earlier = "sms-3", dawn+2, customer.Refused, sale.CodeAskFirst, "K7M2Q4XD9T"
	for _, each := range []customer.Checkout{later, refused} {
		if err := s.AddCheckout(t.Context(), each); err != nil {
			t.Fatal(err)
		}
	}
	if due, next, err := s.DueCheckouts(t.Context(), dawn+5, 10); err != nil || len(due) != 1 || !reflect.DeepEqual(due[0], moved) || next != dawn+9 {
		t.Errorf("due %+v, next %s, %v", due, next, err)
	}
	if due, next, err := s.DueCheckouts(t.Context(), dawn+9, 10); err != nil || len(due) != 2 || due[1].Key != later.Key || next != 0 {
		t.Errorf("due %+v, next %s, %v", due, next, err)
	}
	if last, err := s.LastCheckout(t.Context(), someone, "sms-"); err != nil || !reflect.DeepEqual(last, refused) {
		t.Errorf("last %+v, %v", last, err)
	}
	if _, err := s.LastCheckout(t.Context(), someone+1, "sms-"); !errors.Is(err, customer.ErrNotFound) {
		t.Errorf("another's last: %v", err)
	}
	if err := s.DropCheckouts(t.Context(), dawn+3); err != nil {
		t.Fatal(err)
	}
	if due, _, err := s.DueCheckouts(t.Context(), dawn+9, 10); err != nil || len(due) != 2 {
		t.Errorf("what is under way was dropped: %v, %v", due, err)
	}
	if _, err := s.Checkout(t.Context(), refused.Key, someone); !errors.Is(err, customer.ErrNotFound) {
		t.Errorf("what is over stays: %v", err)
	}
}

func customersChoose(t *testing.T, s DatabaseSubject) {
	if c, err := s.Choices(t.Context(), someone); err != nil || c != (customer.Choices{}) {
		t.Errorf("chosen by nobody: %+v, %v", c, err)
	}
	for _, want := range []customer.Choices{{Language: "en", Muted: purchase.FactSet(0).With(purchase.FactPending)}, {Language: "fr"}} {
		if err := s.SetChoices(t.Context(), someone, want, dawn); err != nil {
			t.Fatal(err)
		}
		if c, err := s.Choices(t.Context(), someone); err != nil || c != want {
			t.Errorf("chosen %+v, %v", c, err)
		}
	}
	const most = 3
	var together sync.WaitGroup
	var full atomic.Int64
	for i := range 10 {
		together.Go(func() {
			err := s.PutFavourite(t.Context(), someone, customer.Favourite{Recipient: purchase.MSISDN(22670000000 + i), Name: fmt.Sprintf("n%d", i)}, dawn, most)
			if errors.Is(err, customer.ErrFull) {
				full.Add(1)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
	together.Wait()
	all, err := s.Favourites(t.Context(), someone)
	if err != nil || len(all) != most || full.Load() != 10-most {
		t.Fatalf("favourites %+v, %d too many, %v", all, full.Load(), err)
	}
	renamed := customer.Favourite{Recipient: all[2].Recipient, Name: "A " + hostile}
	if err := s.PutFavourite(t.Context(), someone, renamed, dawn, most); err != nil {
		t.Errorf("rename: %v", err)
	}
	if all, err := s.Favourites(t.Context(), someone); err != nil || len(all) != most || all[0].Name != "A "+kept {
		t.Errorf("by name: %+v, %v", all, err)
	}
	for range 2 {
		if err := s.DropFavourite(t.Context(), someone, renamed.Recipient); err != nil {
			t.Error(err)
		}
	}
	if all, err := s.Favourites(t.Context(), someone); err != nil || len(all) != most-1 {
		t.Errorf("after a drop: %+v, %v", all, err)
	}
	if none, err := s.Favourites(t.Context(), someone+1); err != nil || len(none) != 0 {
		t.Errorf("another's: %v, %v", none, err)
	}
}

func sessionsEnd(t *testing.T, s DatabaseSubject) {
	read := func(token string, now purchase.Instant, want string) {
		t.Helper()
		if data, err := s.Session(t.Context(), token, now); err != nil || string(data) != want {
			t.Errorf("%s at %s: %q, %v", token, now, data, err)
		}
	}
	for _, data := range []string{"a\x00b", "c"} {
		if err := s.PutSession(t.Context(), "token", []byte(data), dawn+10); err != nil {
			t.Fatal(err)
		}
		read("token", dawn+9, data)
	}
	read("token", dawn+10, "")
	read("none", dawn, "")
	if err := s.PutSession(t.Context(), "other", []byte("d"), dawn.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if err := s.Tidy(t.Context(), dawn+10); err != nil {
		t.Fatal(err)
	}
	read("token", dawn, "")
	read("other", dawn, "d")
	for range 2 {
		if err := s.DropSession(t.Context(), "other"); err != nil {
			t.Error(err)
		}
	}
	read("other", dawn, "")
}
