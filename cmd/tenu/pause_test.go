package main

import (
	"encoding/json"
	"errors"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"tenu/internal/api"
	"tenu/internal/incident"
	"tenu/internal/partner"
	"tenu/internal/partner/house"
	"tenu/internal/purchase"
	"tenu/internal/sale"
	"tenu/internal/store"
)

const shutText = "Momentanément indisponible, rien n'a été débité."

// withIncidents adds a section to the demonstration's configuration.
func withIncidents(section string) func(string) string {
	return func(text string) string { return text + "incidents: " + section + "\n" }
}

// soon waits until something holds.
func soon(t *testing.T, what string, within time.Duration, holds func() bool) {
	t.Helper()
	for late := time.Now().Add(within); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(late) {
			t.Fatalf("not within %s: %s", within, what)
		}
	}
}

// quoted is what a customer is told who asks for airtime on a channel.
func (s *site) quoted(channel string) error {
	_, err := s.node.desk.Quote(sale.Wish{Channel: channel, Number: "70112233", Product: "airtime", Amount: "1050", PayWith: "wallet"})
	return err
}

// Sales are paused and opened by commands; a running node obeys within a second, says so
// on every channel before the payment, and goes on with what is under way.
func TestPauseCommand(t *testing.T) {
	s := startSite(t, nil)
	file := filepath.Join(s.Dir, "tenu.yaml")
	command := func(args ...string) (int, string) {
		t.Helper()
		code, out, problems := tenu(t, noEnv, append(append([]string{"pause"}, args...), "--config", file)...)
		return code, out + problems
	}
	if code, out := command("list"); code != exitDone || out != "Nothing is paused.\n" {
		t.Fatalf("%d: %s", code, out)
	}
	under, _, err := s.node.desk.Buy(t.Context(), sale.Wish{Client: "app", ClientKey: "under-way", Channel: "app", Number: "70112233", Product: "airtime", Amount: "1050", PayWith: "wallet"})
	if err != nil {
		t.Fatal(err)
	}
	if code, out := command("add", "provider", "ocs", "--reason", "it credits nothing", "--login", "fatou"); code != exitDone || !strings.Contains(out, "Paused provider ocs, as pause 1.") {
		t.Fatalf("%d: %s", code, out)
	}
	var problem *sale.Problem
	soon(t, "the node sells on", time.Second, func() bool { return errors.As(s.quoted("app"), &problem) && problem.Code == sale.CodePaused })
	s.everyChannelSays(t)
	if records, err := s.node.store.Load(t.Context(), under.ID); err != nil || len(records) != 1 {
		t.Fatal(err)
	}
	soon(t, "what was under way is not credited", 20*time.Second, func() bool {
		records, err := s.node.store.Load(t.Context(), under.ID)
		return err == nil && records[0].Purchase.State == purchase.Credited
	})
	var lines []pauseLine
	code, out := command("list", "--json")
	if err := json.Unmarshal([]byte(out), &lines); code != exitDone || err != nil || len(lines) != 1 {
		t.Fatalf("%d: %s", code, out)
	}
	if l := lines[0]; l.ID != 1 || l.By != "provider" || l.Name != "ocs" || l.PerMille != 0 || !l.Held || l.Reason != "it credits nothing" || l.Staff != "fatou" || l.EndedAt != "" {
		t.Errorf("listed %+v", l)
	}
	for want, args := range map[string][]string{
		"provider ocs is paused already":                       {"add", "provider", "ocs", "--reason", "x"},
		`there is no provider "osc"; there are: `:              {"add", "provider", "osc", "--reason", "x"},
		`there is no channel "fax"; there are: app, sms, ussd`: {"add", "channel", "fax", "--reason", "x"},
		"--reason: 1 to 500 characters":                        {"add", "payer", "wallet", "--reason", " "},
		"missing flags: --reason":                              {"end", "1"},
		"no pause 9 lasts":                                     {"end", "9", "--reason", "x"},
		`nobody has the login "nobody"`:                        {"end", "1", "--reason", "x", "--login", "nobody"},
		"must be one of":                                       {"add", "region", "nord", "--reason", "x"},
	} {
		if code, out := command(args...); code == exitDone || !strings.Contains(out, want) {
			t.Errorf("%v: %d: %s, want %s", args, code, out, want)
		}
	}
	if code, out := command("end", "1", "--reason", "it credits again"); code != exitDone || !strings.Contains(out, "Pause 1 is over: provider ocs is sold again.") {
		t.Fatalf("%d: %s", code, out)
	}
	soon(t, "the node still refuses", time.Second, func() bool { return s.quoted("app") == nil })
	if code, out := command("end", "1", "--reason", "x"); code == exitDone || !strings.Contains(out, "pause 1 is over already") {
		t.Errorf("%d: %s", code, out)
	}
	if code, out := command("list", "--all"); code != exitDone || !strings.Contains(out, "over since") || !strings.Contains(out, "ended: it credits again") {
		t.Errorf("%d: %s", code, out)
	}
}

// everyChannelSays checks that API, pages, menus and SMS say that nothing is sold, in the
// list and in the quote, and that nothing is charged.
func (s *site) everyChannelSays(t *testing.T) {
	t.Helper()
	var list struct{ Products []api.Product }
	if err := s.remote.call(t.Context(), http.MethodGet, "/v1/products?number=70112233", nil, nil, &list); err != nil || len(list.Products) == 0 ||
		slices.ContainsFunc(list.Products, func(p api.Product) bool { return !p.Paused || len(p.PausedWith) != len(p.PayWith) }) {
		t.Errorf("API: %+v, %v", list, err)
	}
	var problem *api.Problem
	body := map[string]any{"product": "airtime", "number": "70112233", "amount": 2000, "language": "fr"}
	err := s.remote.call(t.Context(), http.MethodPost, "/v1/purchases", http.Header{"Idempotency-Key": {"paused-1"}, "Accept-Language": {"fr"}}, body, nil)
	if !errors.As(err, &problem) || problem.Status != http.StatusServiceUnavailable || string(problem.Code) != string(sale.CodePaused) {
		t.Errorf("API: %v", err)
	}

	v := s.visitor(t, "70 11 22 33").signIn()
	if page := v.get("/").body; !strings.Contains(page, "momentanément indisponible, rien n&#39;est débité") {
		t.Errorf("the home page says nothing:\n%s", page)
	}
	page := v.get("/buy").body
	if got := strings.Count(page, "Momentanément indisponible, rien n&#39;a été débité."); got < len(list.Products) {
		t.Errorf("the page of products says it %d times for %d products", got, len(list.Products))
	}
	a := v.post("/buy", "for", "+22670112233", "product", "airtime", "amount", "2000", "pay_with", "wallet")
	if a.status != http.StatusUnprocessableEntity || !strings.Contains(a.body, "Momentanément indisponible") {
		t.Errorf("the form: %d", a.status)
	}

	g := dialAt(t, s)
	if screen := g.turn("70112233", "paused-1", "1*1"); !strings.HasPrefix(screen, "END "+shutText) {
		t.Errorf("USSD: %s", screen)
	}
	for text, want := range map[string]string{"FORFAITS": ": indisponible", "ACHAT 2000": shutText, "ACHAT DATA-DAY": shutText} {
		want = strings.TrimPrefix(want, ":")
		if got, err := s.node.texts.Answer(t.Context(), 22670112233, text); err != nil || !strings.Contains(got, want) {
			t.Errorf("SMS %s: %s, %v", text, got, err)
		}
	}
	if n := s.count(t, "purchase"); n != 1 { // the one that was under way
		t.Errorf("%d purchases", n)
	}
}

// noFaults heals a partner of the sandbox.
func (s *site) noFaults(t *testing.T, partner string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, partner+"/faults", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
}

// tried asks after a probe until it is answered.
func tried(t *testing.T, c canary, p incident.Pause) incident.ProbeResult {
	t.Helper()
	p.TryAt = c.app.clock.Now()
	var res incident.ProbeResult
	soon(t, "the probe is answered", 20*time.Second, func() bool {
		var err error
		res, err = c.Try(t.Context(), p, c.app.clock.Now())
		if err != nil {
			t.Fatal(err)
		}
		return res.Answer != incident.ProbePending
	})
	return res
}

// A canary is a purchase of the cheapest airtime, or of the product, at the house's
// expense, through what is paused, once per try; only one that is credited in time is good.
func TestCanary(t *testing.T) {
	s := startSite(t, withIncidents(`{expected: 1s, canaries: [{number: "70 00 00 01", operator: moov}]}`))
	c := canary{s.node}
	provider := incident.Series{By: incident.ByProvider, Name: "ocs"}
	if _, err := s.node.pauses.Pause(t.Context(), incident.Actor{}, provider, "a test", true); err != nil {
		t.Fatal(err)
	}
	for i, k := range []struct {
		series  incident.Series
		product string
	}{{provider, "airtime-full"}, {incident.Series{By: incident.ByOperator, Name: "moov"}, "airtime-full"}, {incident.Series{By: incident.ByProduct, Name: "data-day"}, "data-day"}} {
		p := incident.Pause{ID: 1, Series: k.series, RampState: incident.RampState{Tries: int64(i + 1)}}
		for range 2 { // the second is the first again
			if res := tried(t, c, p); res.Answer != incident.ProbeGood || !strings.Contains(res.Said, "was credited after") {
				t.Errorf("%s: %+v", k.series, res)
			}
		}
		list, err := s.node.store.List(t.Context(), purchase.Page{Number: 22670000001, Limit: 10})
		if err != nil || len(list) != i+1 {
			t.Fatalf("%s: %d canaries, %v", k.series, len(list), err)
		}
		if made := list[0]; made.Product != k.product || made.Payer != house.Name || made.Provider != "ocs" || made.Client != "canary" || made.Fee != 0 || made.Total > 500 {
			t.Errorf("%s: bought %+v", k.series, made)
		}
	}
	for i, k := range []struct{ fault, want string }{
		{`{"operation":"credit","kind":"lose_request"}`, "is not credited after 1s"},
		{`{"operation":"credit","kind":"refuse","code":"102"}`, " is refund"},
	} {
		s.fault(t, s.sandbox.addresses().Charging, k.fault)
		p := incident.Pause{ID: 2, Series: provider, RampState: incident.RampState{Tries: int64(i)}}
		if res := tried(t, c, p); res.Answer != incident.ProbeBad || !strings.Contains(res.Said, k.want) {
			t.Errorf("%s: %+v", k.fault, res)
		}
		s.noFaults(t, s.sandbox.addresses().Charging)
	}
	late := purchase.Purchase{ID: 1, State: purchase.Credited, CreatedAt: 1, ClosedAt: 1_100_001, Request: purchase.Request{Provider: "ocs"}}
	if res := incident.Judge(&late, provider, "late", time.Second, 2_000_000); res.Answer != incident.ProbeBad || !strings.Contains(res.Said, "was credited after 1.1s") {
		t.Errorf("credited late: %+v", res)
	}
	late.ClosedAt = 2
	if res := incident.Judge(&late, incident.Series{By: incident.ByProvider, Name: "spare"}, "late", time.Second, 3); res.Answer != incident.ProbeBad {
		t.Errorf("credited by another: %+v", res)
	}
	// What only charges is asked after its health; what cannot be tried is not.
	wallet := incident.Pause{ID: 3, Series: incident.Series{By: incident.ByPayer, Name: "wallet"}}
	guard := s.node.parts.guards["wallet"]
	ask := func() incident.ProbeResult {
		wallet.TryAt = guard.State().AskedAt
		res, err := c.Try(t.Context(), wallet, s.app.clock.Now())
		if err != nil {
			t.Fatal(err)
		}
		return res
	}
	soon(t, "the wallet's health is asked", 10*time.Second, func() bool { return guard.State().AskedAt != 0 })
	if res := ask(); res.Answer != incident.ProbeGood {
		t.Errorf("a wallet that is well: %+v", res)
	}
	wallet.TryAt = s.app.clock.Now().Add(time.Hour)
	if res := c.askHealth(&wallet); res.Answer != incident.ProbePending {
		t.Errorf("before it is asked again: %+v", res)
	}
	s.fault(t, s.sandbox.addresses().Wallet, `{"operation":"heartbeat","kind":"degraded"}`)
	for hours := 1; guard.State().Health.Status != partner.Degraded && hours < 100; hours++ {
		if _, err := guard.Step(t.Context(), s.app.clock.Now().Add(time.Duration(hours)*time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	if res := ask(); res.Answer != incident.ProbeBad || !strings.Contains(res.Said, "degraded") {
		t.Errorf("a wallet that is not well: %+v", res)
	}
	for _, series := range []incident.Series{{By: incident.ByChannel, Name: "ussd"}, {By: incident.ByOperator, Name: "orange"}, {By: incident.ByPayer, Name: "gone"}} {
		if res := tried(t, c, incident.Pause{ID: 4, Series: series}); res.Answer != incident.ProbeNone {
			t.Errorf("%s: %+v", series, res)
		}
	}
	if found, err := s.node.store.Verify(t.Context(), store.Verification{}); err != nil || len(found) != 0 {
		t.Errorf("the books: %+v, %v", found, err)
	}
}

// A real outage: what is paused stays so while canaries fail, and is opened step by step,
// by any node, once they are credited.
func TestPauseReopens(t *testing.T) {
	s := startSite(t, withIncidents(`{enabled: false, expected: 1s, canaries: [{number: "70 00 00 01", operator: moov}]}`))
	var shares []int
	other, err := incident.NewSwitch(incident.SwitchConfig{Store: s.node.store, Clock: s.app.clock, Canary: canary{s.node}, Every: 5 * time.Millisecond,
		Known: func(incident.Series) bool { return true },
		Ramp: incident.Ramp{First: time.Millisecond, Every: 10 * time.Millisecond, Longest: 50 * time.Millisecond, Within: 5 * time.Second,
			Hold: 20 * time.Millisecond, Quiet: 40 * time.Millisecond},
		Changed: func(p incident.Pause) {
			if n := len(shares); n == 0 || shares[n-1] != p.Share {
				shares = append(shares, p.Share)
			}
		}})
	if err != nil {
		t.Fatal(err)
	}
	s.fault(t, s.sandbox.addresses().Charging, `{"operation":"credit","kind":"refuse","code":"102"}`)
	if _, err := other.Pause(t.Context(), incident.Actor{}, incident.Series{By: incident.ByProvider, Name: "ocs"}, "refusals", false); err != nil {
		t.Fatal(err)
	}
	step := func() incident.Pause {
		if _, err := other.Step(t.Context(), s.app.clock.Now()); err != nil {
			t.Fatal(err)
		}
		if all := other.Pauses(); len(all) == 1 {
			return all[0]
		}
		return incident.Pause{}
	}
	soon(t, "three canaries fail", 20*time.Second, func() bool { return step().Falls >= 3 })
	if _, err := other.Resume(t.Context(), incident.Actor{}, 1, 0, "I think so", false); !errors.Is(err, incident.ErrFailing) {
		t.Errorf("resumed while it fails: %v", err)
	}
	code, _, problems := tenu(t, noEnv, "pause", "end", "1", "--reason", "I think so", "--config", filepath.Join(s.Dir, "tenu.yaml"))
	if code == exitDone || !strings.Contains(problems, "provider ocs still fails (") || !strings.Contains(problems, "--force") {
		t.Errorf("%d: %s", code, problems)
	}
	s.noFaults(t, s.sandbox.addresses().Charging)
	soon(t, "it is open", 20*time.Second, func() bool { return step().ID == 0 })
	if !slices.Equal(shares, []int{0, 10, 100, 500, 1000}) {
		t.Errorf("opened by %v", shares)
	}
	soon(t, "the node still refuses", time.Second, func() bool { return s.quoted("app") == nil })
	if list, err := s.node.store.List(t.Context(), purchase.Page{Number: 22670000001, Limit: 100}); err != nil || len(list) < 9 {
		t.Errorf("%d canaries, %v", len(list), err)
	}
}
