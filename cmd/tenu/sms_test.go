package main

import (
	"encoding/hex"
	"encoding/json"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"tenu/internal/notify"
	"tenu/internal/testpeer"
)

// phone is what a customer's phone has of an SMS centre that is not ours.
type phone struct {
	t      *testing.T
	centre *testpeer.Node
	number string // without plus
	read   int    // messages to it that were looked at
	opened int    // messages that came by themselves, of a case that was opened
}

// got waits for the phone's next message.
func (p *phone) got() string {
	p.t.Helper()
	for late := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		var all []struct{ To, Text string }
		if err := json.Unmarshal([]byte(p.centre.Ask(`{"messages": true}`)), &all); err != nil {
			p.t.Fatal(err)
		}
		n := 0
		for _, m := range all {
			if m.To != p.number {
				continue
			}
			if n++; n > p.read {
				p.read++
				return m.Text
			}
		}
		if time.Now().After(late) {
			p.t.Fatalf("no message came to %s", p.number)
		}
	}
}

// send writes to the short code, and returns the status that the centre was answered.
func (p *phone) send(text string) string {
	p.t.Helper()
	ask, err := json.Marshal(map[string]any{"deliver": map[string]any{
		"source_addr": p.number, "source_addr_ton": 1, "destination_addr": "1210", "short_message": text}})
	if err != nil {
		p.t.Fatal(err)
	}
	return p.centre.Ask(string(ask))
}

// asks writes, and returns what comes back. What is told of a case comes by itself, at
// any time: it is no answer.
func (p *phone) asks(text string) string {
	p.t.Helper()
	if status := p.send(text); status != "0" {
		p.t.Fatalf("%q gets status %s", text, status)
	}
	for {
		text := p.got()
		if !strings.HasPrefix(text, "Dossier D-") {
			return text
		}
		if strings.Contains(text, " ouvert ") {
			p.opened++
		}
	}
}

// smppSite is an installation whose messages go over SMPP.
func smppSite(t *testing.T) (*site, *testpeer.Node) {
	t.Helper()
	centre := testpeer.RunNode(t, "test/smpp", "server.js", "0", filepath.Join(t.TempDir(), "journal"))
	port := centre.Line()
	s := startSite(t, func(text string) string {
		return regexp.MustCompile(`(?m)^sms: .*$`).ReplaceAllString(text,
			`sms: {smpp: {name: peer, address: "127.0.0.1:`+port+`", system_id: tenu, password: "file:api-key", sender: "1210", binds: 2}}`)
	})
	for late := time.Now().Add(30 * time.Second); s.node.smpp.Bound() < 2; time.Sleep(time.Millisecond) {
		if time.Now().After(late) {
			t.Fatal("not bound")
		}
	}
	return s, centre
}

// A customer without data buys, asks and complains by SMS alone.
func TestSMSKeywords(t *testing.T) {
	s, centre := smppSite(t)
	asker := &phone{t: t, centre: centre, number: "22670445566"}
	for _, c := range []struct{ text, want string }{
		{"bonjour", "Envoyez SOLDE"},
		{"statut", "Pas encore d'achat"},
		{"Oui", "Rien à confirmer"},
		{"rappel non", "Pas de rappel promis"},
		{"dossier", "Pas de dossier"},
		{"Dossier D-K7M2-Q4XD-9T", "pas connu"},
		{"oui rendre", "Rien ne vous est demandé"},
		{"NON RENDRE", "Rien ne vous est demandé"},
		{"SOLDE", "Solde : "},
		{"forfaits", "DATA-DAY"},
		{"achat", "Envoyez ACHAT 1000"},
		{"achat trente", "Envoyez ACHAT 1000"},
		{"ACHAT 1", "montant"},
		{"ACHAT 1000 7011223", "numéro"},
		{"ACHAT 1 000", "950 F CFA pour le 70 44 55 66. Total 1 000"},
		{"non", "Annulé. Rien"},
		{"OUI", "Annulé. Rien"},
		{"ACHAT 500 F pour 70 11 22 33", "450 F CFA pour le 70 11 22 33"},
		{"ACHAT DATA-DAY", "forfait"},
	} {
		asker.asksFor(c.text, c.want)
	}
	p := &phone{t: t, centre: centre, number: "22670112233"}
	p.asksFor("ACHAT 1 050", "1 000 F CFA pour le 70 11 22 33. Total 1 050")
	first := p.asks("OUI")
	found := regexp.MustCompile(`[0-9A-Z]{4}-[0-9A-Z]{4}-[0-9A-Z]{2}`).FindString(first)
	if found == "" {
		t.Fatalf("OUI is answered %q", first)
	}
	receipt := ""
	for receipt == "" {
		if text := p.got(); strings.Contains(text, "crédité") {
			receipt = text
		}
	}
	if again := p.asks("oui"); !strings.Contains(again, found) {
		t.Errorf("OUI again is answered %q", again)
	}
	if status := p.asks("STATUT"); !strings.Contains(status, "crédité à") || !strings.Contains(status, found) {
		t.Errorf("STATUT is answered %q", status)
	}
	if told := p.asks("RECU " + found); !strings.Contains(told, "1 000 F CFA, 1 050 F CFA débités dont frais 50 F CFA. Crédité à") || !strings.Contains(told, found) || p.asks("reçu") != told {
		t.Errorf("RECU is answered %q", told)
	}
	stranger := &phone{t: t, centre: centre, number: "22670999999"}
	if status := stranger.asks("STATUT " + found); !strings.Contains(status, "n'est pas connue") {
		t.Errorf("a stranger is told %q", status)
	}
	if told := stranger.asks("recu " + found); !strings.Contains(told, "n'est pas connue") {
		t.Errorf("a stranger is told of a receipt: %q", told)
	}
	if answer := stranger.asks(receipt); strings.Contains(answer, "ouvert") {
		t.Errorf("a stranger opens a case: %q", answer)
	}
	// Forwarding the receipt opens the case, and again shows it; so does answering it.
	opened := p.asks("Fwd: " + receipt)
	if !strings.Contains(opened, "dossier "+found) {
		t.Errorf("the receipt is answered %q", opened)
	}
	if again := p.asks("je n'ai rien reçu !"); again != opened {
		t.Errorf("first %q, then %q", opened, again)
	}
	if s.count(t, "report") != 1 || s.count(t, "purchase") != 1 {
		t.Errorf("%d reports, %d purchases", s.count(t, "report"), s.count(t, "purchase"))
	}
	p.asksFor("RAPPEL", "Rappel promis ")
	p.asksFor("rappel", "Rappel promis ")
	p.asksFor("RAPPEL NON", "Rappel annulé")
	for p.opened == 0 { // or the customer was not told of the case
		if strings.Contains(p.got(), " ouvert ") {
			p.opened++
		}
	}
	if s.count(t, "callback") != 1 {
		t.Errorf("%d callbacks", s.count(t, "callback"))
	}
}

// Languages, and a machine that answers answers.
func TestSMSLanguageAndLimit(t *testing.T) {
	_, centre := smppSite(t)
	p := &phone{t: t, centre: centre, number: "22670112233"}
	p.asksFor("english", "in English")
	p.asksFor("status", "No purchase")
	answers := 2
	for range 40 {
		if status := p.send("This is an automatic answer"); status != "0" {
			t.Fatalf("status %s", status)
		}
	}
	other := &phone{t: t, centre: centre, number: "22670445566"}
	other.asksFor("SOLDE", "Solde")
	var all []struct{ To string }
	if err := json.Unmarshal([]byte(centre.Ask(`{"messages": true}`)), &all); err != nil {
		t.Fatal(err)
	}
	for _, m := range all {
		if m.To == p.number {
			answers++
		}
	}
	if answers -= 2; answers != 20 {
		t.Errorf("%d answers", answers)
	}
}

func (p *phone) asksFor(text, want string) {
	p.t.Helper()
	if answer := p.asks(text); !strings.Contains(answer, want) {
		p.t.Errorf("%q is answered %q, not %q", text, answer, want)
	}
}

// Receipts are matched to the notice that they are about.
func TestSMSReceipts(t *testing.T) {
	s, centre := smppSite(t)
	p := &phone{t: t, centre: centre, number: "22670112233"}
	p.asksFor("ACHAT 500", "500 F CFA")
	p.asks("OUI")
	text := p.got()
	found := regexp.MustCompile(`[0-9A-Z]{4}-[0-9A-Z]{4}-[0-9A-Z]{2}`).FindString(text)
	name := strings.ReplaceAll(found, "-", "") + "-credited"
	for late := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		all, err := s.node.store.Deliveries(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		if len(all) == 1 && all[0].State == notify.Delivered && all[0].Centre == "peer" {
			return
		}
		if time.Now().After(late) {
			t.Fatalf("%s: %+v", name, all)
		}
	}
}

// screen is a screen as the centre was given it.
type screen struct {
	To, Text, Session string
	Op                int
}

// dials brings a turn of a USSD session, and returns the screen that answers it.
func (p *phone) dials(op int, info, text string) screen {
	p.t.Helper()
	ask, err := json.Marshal(map[string]any{"deliver": map[string]any{"source_addr": p.number, "source_addr_ton": 1,
		"destination_addr": "121", "short_message": text, "ussd_service_op": op, "its_session_info": info}})
	if err != nil {
		p.t.Fatal(err)
	}
	var before, after []screen
	read := func(to *[]screen) {
		if err := json.Unmarshal([]byte(p.centre.Ask(`{"messages": true}`)), to); err != nil {
			p.t.Fatal(err)
		}
		*to = slices.DeleteFunc(*to, func(s screen) bool { return s.To != p.number || s.Op == 0 })
	}
	read(&before)
	if status := p.centre.Ask(string(ask)); status != "0" {
		p.t.Fatalf("%q gets status %s", text, status)
	}
	if read(&after); len(after) != len(before)+1 {
		p.t.Fatalf("%q brings %d screens", text, len(after)-len(before))
	}
	return after[len(after)-1]
}

// A USSD session over SMPP, in which the centre brings every turn twice, buys once.
func TestUSSDOverSMPP(t *testing.T) {
	s, centre := smppSite(t)
	p := &phone{t: t, centre: centre, number: "22670112233"}
	const asks, ends = 2, 17
	for i, turn := range []struct {
		op         int
		text, want string
		answers    int
	}{
		{1, "*121#", "1 Acheter", asks}, {18, "1", "Acheter pour qui", asks}, {18, "1", "Quoi ?", asks}, {18, "1", "Montant", asks},
		{18, "1050", "Total 1 050 F CFA", asks}, {18, "1", "code secret", ends},
	} {
		info := hex.EncodeToString([]byte{42, byte(i * 2)})
		first := p.dials(turn.op, info, turn.text)
		if !strings.Contains(first.Text, turn.want) || first.Op != turn.answers {
			t.Fatalf("turn %d, %q: %+v", i, turn.text, first)
		}
		if want := hex.EncodeToString([]byte{42, byte(i*2) | byte(turn.answers&1)}); first.Session != want {
			t.Errorf("turn %d: session %s, want %s", i, first.Session, want)
		}
		if again := p.dials(turn.op, info, turn.text); again != first {
			t.Errorf("turn %d: first %+v, again %+v", i, first, again)
		}
	}
	if n := s.count(t, "purchase"); n != 1 {
		t.Errorf("%d purchases", n)
	}
	if last := p.dials(1, "2b00", "*121*7#"); last.Op != ends || !strings.Contains(last.Text, "1 000 F CFA") {
		t.Errorf("where is my purchase: %+v", last)
	}
}
