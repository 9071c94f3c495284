package storetest

import (
	"errors"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"

	"tenu/internal/incident"
	"tenu/internal/purchase"
	"tenu/internal/status"
)

// The series ocs and wallet differ in their dimension only.
var ocs, wallet, allSeries = incident.Series{By: incident.ByProvider, Name: "ocs"}, incident.Series{By: incident.ByPayer, Name: "ocs"}, incident.Series{}

func subscriptionsAreKept(t *testing.T, s DatabaseSubject) {
	keep := func(number purchase.MSISDN, series incident.Series, at purchase.Instant, language purchase.Language) {
		t.Helper()
		if err := s.Subscribe(t.Context(), status.Subscription{Number: number, Language: language, Series: series, At: at}, 9); err != nil {
			t.Fatal(err)
		}
	}
	keep(someone, ocs, dawn, "fr")
	keep(someone, ocs, dawn+5, "en") // again, in another language: followed since before all the same
	keep(someone, allSeries, dawn+1, "fr")
	keep(someone+1, allSeries, dawn+2, "fr")
	keep(someone+2, wallet, dawn+3, "fr")
	keep(someone+3, incident.Series{By: incident.ByProduct, Name: hostile}, dawn+4, "fr")
	const late = dawn + 9
	want := []status.Subscription{{Number: someone, Language: "fr", At: dawn + 1}, {Number: someone, Language: "en", Series: ocs, At: dawn}}
	if got, err := s.SubscriptionsOf(t.Context(), someone); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("of one number: %+v, %v", got, err)
	}
	for _, c := range []struct {
		series incident.Series
		since  purchase.Instant
		after  purchase.MSISDN
		limit  int
		want   []purchase.MSISDN
	}{
		{ocs, late, 0, 10, []purchase.MSISDN{someone, someone + 1}}, {ocs, late, 0, 1, []purchase.MSISDN{someone}}, {ocs, late, someone, 10, []purchase.MSISDN{someone + 1}},
		{wallet, late, 0, 10, []purchase.MSISDN{someone, someone + 1, someone + 2}}, {allSeries, late, 0, 10, []purchase.MSISDN{someone, someone + 1}},
		{incident.Series{By: incident.ByProduct, Name: hostile}, late, someone + 1, 10, []purchase.MSISDN{someone + 3}},
		{incident.Series{By: incident.ByProduct, Name: "ocs"}, late, someone + 1, 10, nil},
		// What was before they subscribed is no news to them.
		{ocs, dawn - 1, 0, 10, nil}, {ocs, dawn, 0, 10, []purchase.MSISDN{someone}}, {ocs, dawn + 1, 0, 10, []purchase.MSISDN{someone}},
		{wallet, dawn, 0, 10, nil}, {wallet, dawn + 2, 0, 10, []purchase.MSISDN{someone, someone + 1}},
		{incident.Series{By: incident.ByProduct, Name: hostile}, dawn + 1, 0, 10, []purchase.MSISDN{someone}}, // by all, before their own
	} {
		got, err := s.Subscribers(t.Context(), c.series, c.since, c.after, c.limit)
		var who []purchase.MSISDN
		for _, g := range got {
			who = append(who, g.Number)
		}
		if err != nil || !reflect.DeepEqual(who, c.want) {
			t.Errorf("%+v after %d: %v, not %v, %v", c.series, c.after, who, c.want, err)
		}
	}
	if got, err := s.Subscribers(t.Context(), ocs, late, 0, 1); err != nil || len(got) != 1 || got[0] != want[1] {
		t.Errorf("who follows both is told as who follows the series: %+v, %v", got, err)
	}
	if n, err := s.Unsubscribe(t.Context(), someone, wallet); err != nil || n != 0 {
		t.Errorf("end what there is not: %d, %v", n, err)
	}
	if n, err := s.Unsubscribe(t.Context(), someone+2, wallet); err != nil || n != 1 {
		t.Errorf("end one: %d, %v", n, err)
	}
	if n, err := s.Unsubscribe(t.Context(), someone, allSeries); err != nil || n != 2 {
		t.Errorf("end all: %d, %v", n, err)
	}
	if got, err := s.Subscribers(t.Context(), wallet, late, 0, 10); err != nil || len(got) != 1 || got[0].Number != someone+1 {
		t.Errorf("who is left: %+v, %v", got, err)
	}
}

func subscriptionsAreBounded(t *testing.T, s DatabaseSubject) {
	var together sync.WaitGroup
	var kept, full atomic.Int64
	for i := range 12 {
		together.Go(func() {
			series := incident.Series{By: incident.ByProduct, Name: string(rune('a' + i))}
			switch err := s.Subscribe(t.Context(), status.Subscription{Number: someone, Language: "fr", Series: series, At: dawn}, 5); {
			case errors.Is(err, status.ErrFull) && !errors.Is(err, purchase.ErrUnavailable):
				full.Add(1)
			case err != nil:
				t.Error(err)
			default:
				kept.Add(1)
			}
		})
	}
	together.Wait()
	got, err := s.SubscriptionsOf(t.Context(), someone)
	if err != nil || kept.Load() != 5 || full.Load() != 7 || len(got) != 5 {
		t.Fatalf("%d kept, %d refused, %d there, %v", kept.Load(), full.Load(), len(got), err)
	}
	// One that there is changes; another number is its own.
	if err := s.Subscribe(t.Context(), status.Subscription{Number: someone, Language: "en", Series: got[2].Series, At: dawn + 1}, 5); err != nil {
		t.Errorf("change one: %v", err)
	}
	if err := s.Subscribe(t.Context(), status.Subscription{Number: someone + 1, Language: "en", At: dawn + 1}, 1); err != nil {
		t.Errorf("another number: %v", err)
	}
}
