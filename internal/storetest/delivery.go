package storetest

import (
	"slices"
	"testing"

	"tenu/internal/notify"
)

// What a centre calls a message and what it says became of it are one, in whatever
// order they come; a state never falls back.
func deliveriesMerge(t *testing.T, s DatabaseSubject) {
	put := func(all ...notify.Delivery) {
		t.Helper()
		if err := s.PutDeliveries(t.Context(), all); err != nil {
			t.Fatal(err)
		}
	}
	put()
	put(notify.Delivery{Centre: "c", Ref: "1", Message: "K7-credited", At: dawn},
		notify.Delivery{Centre: "c", Ref: "2", ToldAt: dawn + 1, State: notify.Delivered, Detail: "000"}, // before its name
		notify.Delivery{Centre: "d", Ref: "1", Message: "K7-refunded", At: dawn + 2})
	put(notify.Delivery{Centre: "c", Ref: "1", ToldAt: dawn + 3, State: notify.Enroute, Detail: "e\x00'\xff"})
	put(notify.Delivery{Centre: "c", Ref: "1", ToldAt: dawn + 4, State: notify.Expired, Detail: "late"},
		notify.Delivery{Centre: "c", Ref: "2", Message: "K8-credited", At: dawn + 4})
	put(notify.Delivery{Centre: "c", Ref: "1", ToldAt: dawn + 5, State: notify.Accepted})
	put(notify.Delivery{Centre: "d", Ref: "1", ToldAt: dawn + 5})
	want := []notify.Delivery{
		{Centre: "c", Ref: "1", Message: "K7-credited", At: dawn, ToldAt: dawn + 4, State: notify.Expired, Detail: "late"},
		{Centre: "d", Ref: "1", Message: "K7-refunded", At: dawn + 2, ToldAt: dawn + 5},
		{Centre: "c", Ref: "2", Message: "K8-credited", At: dawn + 4, ToldAt: dawn + 1, State: notify.Delivered, Detail: "000"},
	}
	if got, err := s.Deliveries(t.Context(), "K7-credited", "K7-refunded", "K8-credited", "none"); err != nil || !slices.Equal(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
	// The centre uses a name again: its state is that of the new message.
	put(notify.Delivery{Centre: "c", Ref: "2", Message: "K9-credited", At: dawn + 9})
	if got, err := s.Deliveries(t.Context(), "K9-credited"); err != nil || len(got) != 1 || got[0].State != notify.DeliveryUnknown || got[0].ToldAt != 0 {
		t.Errorf("got %+v, %v", got, err)
	}
	if got, err := s.Deliveries(t.Context(), "K8-credited"); err != nil || len(got) != 0 {
		t.Errorf("got %+v, %v", got, err)
	}
	const day = 24 * 3600 * 1_000_000
	if err := s.Tidy(t.Context(), dawn+80*day); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Deliveries(t.Context(), "K9-credited"); err != nil || len(got) != 1 {
		t.Errorf("after 80 days: %+v, %v", got, err)
	}
	if err := s.Tidy(t.Context(), dawn+91*day); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Deliveries(t.Context(), "K9-credited", "K7-credited"); err != nil || len(got) != 0 {
		t.Errorf("after 91 days: %+v, %v", got, err)
	}
}
