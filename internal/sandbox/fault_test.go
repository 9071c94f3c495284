package sandbox

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"strings"
	"testing"
)

var testOffer = map[string][]Kind{"charge": {LoseReply, Refuse, SlowAnswer}, "query": {NotFound, LoseReply}}

func TestDraw(t *testing.T) {
	for _, c := range []struct {
		name  string
		fault Fault
		want  string // of eight calls for one account, who was hit
	}{
		{"every call", Fault{Operation: "charge", Kind: LoseReply}, "xxxxxxxx"},
		{"next", Fault{Operation: "charge", Kind: LoseReply, Next: 3}, "xxx....."},
		{"skip", Fault{Operation: "charge", Kind: LoseReply, Skip: 2}, "..xxxxxx"},
		{"skip and next", Fault{Operation: "charge", Kind: LoseReply, Skip: 2, Next: 2}, "..xx...."},
		{"any operation", Fault{Operation: AnyOperation, Kind: LoseReply, Next: 1}, "x......."},
		{"other operation", Fault{Operation: "query", Kind: LoseReply}, "........"},
		{"this account", Fault{Operation: "charge", Kind: LoseReply, Account: "1", Skip: 1, Next: 1}, ".x......"},
		{"other account", Fault{Operation: "charge", Kind: LoseReply, Account: "2"}, "........"},
		{"kind of another operation", Fault{Operation: AnyOperation, Kind: NotFound}, "........"},
	} {
		f := NewFaults(1, testOffer)
		if _, err := f.Add(c.fault); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		got := ""
		for range 8 {
			if hits := f.Draw("charge", "1"); hits.Has(c.fault.Kind) {
				got += "x"
			} else {
				got += "."
			}
		}
		if got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
		hits := int64(strings.Count(got, "x"))
		if left := f.List(); c.fault.Next == 0 && (len(left) != 1 || left[0].Hits != hits) || c.fault.Next == hits && hits > 0 && len(left) != 0 {
			t.Errorf("%s: %+v is left", c.name, left)
		}
	}
}

func TestRateIsRepeatable(t *testing.T) {
	draw := func(seed uint64) (hits string) {
		f := NewFaults(seed, testOffer)
		if _, err := f.Add(Fault{Operation: "charge", Kind: LoseReply, Rate: 0.2}); err != nil {
			t.Fatal(err)
		}
		for range 2000 {
			hits += fmt.Sprint(len(f.Draw("charge", "")))
		}
		return hits
	}
	if n := strings.Count(draw(1), "1"); n < 300 || n > 500 {
		t.Errorf("%d of 2000 calls are hit at a rate of 0.2", n)
	}
	if one, again := draw(1), draw(1); one != again || one == draw(2) {
		t.Error("hits do not follow from the seed")
	}
}

func TestHitsHoldOneOfAKind(t *testing.T) {
	f := NewFaults(1, testOffer)
	for _, fault := range []Fault{{Operation: "charge", Kind: SlowAnswer, DelayMS: 5, Next: 1}, {Operation: "charge", Kind: SlowAnswer, DelayMS: 9}, {Operation: "*", Kind: LoseReply}} {
		if _, err := f.Add(fault); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []int64{5, 9} {
		hits := f.Draw("charge", "")
		slow, _ := hits.Find(SlowAnswer)
		if len(hits) != 2 || slow.DelayMS != want || slow.Delay().Milliseconds() != want {
			t.Errorf("got %+v, want a delay of %d and a lost reply", hits, want)
		}
	}
}

// TestApart: of faults that are apart at most one hits a call, and their shares add up.
func TestApart(t *testing.T) {
	f := NewFaults(7, testOffer)
	for _, fault := range []Fault{{Operation: "charge", Kind: LoseReply, Rate: 0.5, Apart: true}, {Operation: "charge", Kind: Refuse, Apart: true},
		{Operation: "charge", Kind: SlowAnswer}} {
		if _, err := f.Add(fault); err != nil {
			t.Fatal(err)
		}
	}
	lost := 0
	for range 2000 {
		hits := f.Draw("charge", "")
		if len(hits) != 2 || hits.Has(LoseReply) == hits.Has(Refuse) || !hits.Has(SlowAnswer) {
			t.Fatalf("%+v", hits)
		}
		if hits.Has(LoseReply) {
			lost++
		}
	}
	if lost < 900 || lost > 1100 {
		t.Errorf("%d of 2000 lost", lost)
	}
}

func TestFaultsOverHTTP(t *testing.T) {
	mux := http.NewServeMux()
	f := NewFaults(1, testOffer)
	f.Routes(mux)
	s := serve(t, mux)
	for body, status := range map[string]int{
		`{"operation":"charge","kind":"lose_reply","rate":0.2,"next":9,"skip":1,"delay_ms":50,"code":"7","account":"22670112233"}`: 201,
		`{"operation":"*","kind":"not_found"}`: 201,
		``:                                     400,
		`[]`:                                   400,
		`{"operation":"charge"`:                400,
		`{"operation":"charge","kind":"lose_reply","rates":1}`:                                400,
		`{"operation":"charge","kind":"lose_reply"}{}`:                                        400,
		`{"operation":"charge","kind":"lose_reply","next":"3"}`:                               400,
		`{"operation":"charge","kind":"lose_reply","next":1.5}`:                               400,
		`{"operation":"` + strings.Repeat("x", maxFaultBody) + `"}`:                           400,
		`{"operation":"refund","kind":"lose_reply"}`:                                          422,
		`{"operation":"charge","kind":"lose_everything"}`:                                     422,
		`{"operation":"charge","kind":"not_found"}`:                                           422,
		`{"operation":"charge","kind":"lose_reply","rate":1.5}`:                               422,
		`{"operation":"charge","kind":"lose_reply","rate":-1}`:                                422,
		`{"operation":"charge","kind":"lose_reply","next":-1}`:                                422,
		`{"operation":"charge","kind":"lose_reply","skip":2000000000}`:                        422,
		`{"operation":"charge","kind":"lose_reply","delay_ms":999999999999}`:                  422,
		`{"operation":"charge","kind":"lose_reply","id":7}`:                                   422,
		`{"operation":"charge","kind":"lose_reply","code":"` + strings.Repeat("x", 65) + `"}`: 422,
	} {
		s.must(status, http.MethodPost, "/faults", body)
	}
	type listing struct {
		Faults []Fault
		Offer  map[string][]Kind
	}
	all := read[listing](t, s.must(200, http.MethodGet, "/faults", ""))
	if len(all.Faults) != 2 || len(all.Offer["charge"]) != 3 {
		t.Fatalf("got %+v", all)
	}
	s.must(204, http.MethodDelete, fmt.Sprintf("/faults/%d", all.Faults[0].ID), "")
	s.must(404, http.MethodDelete, fmt.Sprintf("/faults/%d", all.Faults[0].ID), "")
	s.must(404, http.MethodDelete, "/faults/x", "")
	if left := f.List(); len(left) != 1 || left[0].ID != all.Faults[1].ID {
		t.Errorf("%+v is left", left)
	}
	s.must(204, http.MethodDelete, "/faults", "")
	if all := read[listing](t, s.must(200, http.MethodGet, "/faults", "")); all.Faults == nil || len(all.Faults) != 0 {
		t.Errorf("got %+v", all)
	}
	for range maxFaults {
		s.must(201, http.MethodPost, "/faults", `{"operation":"charge","kind":"lose_reply"}`)
	}
	s.must(422, http.MethodPost, "/faults", `{"operation":"charge","kind":"lose_reply"}`)
}

// Every kind that is declared is offered by a server.
func TestEveryKindIsOffered(t *testing.T) {
	clock := newHandClock()
	wallet := newWalletBench(t, nil)
	sms, err := NewSMS(t.Context(), SMSConfig{Config: testConfig(t, clock)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sms.Close() })
	offered := map[Kind]bool{}
	for _, offer := range []map[string][]Kind{wallet.faults.offer, sms.faults.offer, chargingOffer()} {
		for _, kinds := range offer {
			for _, kind := range kinds {
				offered[kind] = true
			}
		}
	}
	file, err := parser.ParseFile(token.NewFileSet(), "fault.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	declared := 0
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if kind, ok := spec.Type.(*ast.Ident); ok && kind.Name == "Kind" {
			value, _ := spec.Values[0].(*ast.BasicLit)
			declared++
			if !offered[Kind(strings.Trim(value.Value, `"`))] {
				t.Errorf("%s is offered by no server", spec.Names[0])
			}
		}
		return true
	})
	if declared < 40 {
		t.Errorf("only %d kinds were found", declared)
	}
}
