package notify

import (
	"io/fs"
	"math"
	"strings"
	"testing"
	"testing/fstest"
	"time"
	_ "time/tzdata"

	"pgregory.net/rapid"

	"tenu/internal/catalogue"
	"tenu/internal/money"
	"tenu/internal/notify/gsm7"
	"tenu/internal/numbering"
	"tenu/internal/purchase"
)

func config(t testing.TB) WordingConfig {
	t.Helper()
	plan, err := numbering.ParsePlan("bf.yaml", numbering.BurkinaFaso)
	if err != nil {
		t.Fatal(err)
	}
	goods, err := catalogue.Parse("demo.yaml", catalogue.Demo)
	if err != nil {
		t.Fatal(err)
	}
	ouaga, err := time.LoadLocation("Africa/Ouagadougou")
	if err != nil {
		t.Fatal(err)
	}
	products, payers := goods.Labels()
	return WordingConfig{Products: products, Payers: payers, House: "house", Format: plan.Format, Location: ouaga}
}

func wording(t testing.TB, cfg WordingConfig) *Wording {
	t.Helper()
	w, err := NewWording(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// story is the purchase of 9 July 2024.
func story() purchase.Purchase {
	at := purchase.At(time.Date(2024, 7, 9, 13, 45, 0, 0, time.UTC))
	return purchase.Purchase{
		Request: purchase.Request{Language: "fr", PayerNumber: 22670112233, Recipient: 22670112233, Payer: "wallet", Provider: "ocs",
			Product: "airtime", Total: 1050, Fee: 50, Units: 1000, Currency: money.XOF},
		State: purchase.Crediting, CreatedAt: at, ChargedAt: at, DeliverBy: at.Add(time.Minute), ResolveBy: at.Add(24 * time.Hour),
		Charged: money.Amount{Minor: 1050, Currency: money.XOF},
	}
}

const reference = purchase.Reference("K7M2Q4XD9T")

func TestNotice(t *testing.T) {
	w := wording(t, config(t))
	credited := purchase.Outcome{Kind: purchase.Done, Amount: money.Amount{Minor: 1000, Currency: money.XOF}, Balance: 1234, HasBalance: true}
	bundle := func(p *purchase.Purchase) { p.Bundle, p.Product, p.Units = true, "data-week", 1000 }
	gift := func(p *purchase.Purchase) { p.Recipient = 22601020304 }
	english := func(p *purchase.Purchase) { p.Language = "en" }
	with := func(m purchase.Matter) func(*purchase.Purchase) {
		return func(p *purchase.Purchase) { p.Opened = p.Opened.With(m) }
	}
	refused := func(r purchase.Reason) purchase.Outcome { return purchase.Outcome{Kind: purchase.Refused, Reason: r} }
	for _, c := range []struct {
		fact   purchase.Fact
		change []func(*purchase.Purchase)
		out    purchase.Outcome
		want   string
	}{
		{purchase.FactCredited, nil, credited,
			"C'est crédité : 1 000 F CFA d'unités pour le 70 11 22 33. Payé 1 050 F CFA. Nouveau solde : 1 234 F CFA. Merci. Réf K7M2-Q4XD-9T"},
		{purchase.FactCredited, nil, purchase.Outcome{Kind: purchase.Done},
			"C'est crédité : 1 000 F CFA d'unités pour le 70 11 22 33. Payé 1 050 F CFA. Merci. Réf K7M2-Q4XD-9T"},
		// The recipient's balance is nobody else's business.
		{purchase.FactCredited, []func(*purchase.Purchase){gift}, credited,
			"C'est crédité : 1 000 F CFA d'unités pour le 01 02 03 04. Payé 1 050 F CFA. Merci. Réf K7M2-Q4XD-9T"},
		{purchase.FactReceived, []func(*purchase.Purchase){gift}, credited,
			"Bonne nouvelle : 1 000 F CFA d'unités sur votre compte, payé par un numéro finissant par 33. Nouveau solde : 1 234 F CFA. Réf K7M2-Q4XD-9T"},
		{purchase.FactCredited, []func(*purchase.Purchase){bundle, english}, credited,
			"Credited: Internet week 1 GB bundle for 70 11 22 33. Paid 1 050 F CFA. New balance: 1 234 F CFA. Thank you. Ref K7M2-Q4XD-9T"},
		{purchase.FactCredited, []func(*purchase.Purchase){bundle, func(p *purchase.Purchase) { p.Product = "gone" }}, credited,
			"C'est crédité : forfait pour le 70 11 22 33. Payé 1 050 F CFA. Nouveau solde : 1 234 F CFA. Merci. Réf K7M2-Q4XD-9T"},
		{purchase.FactPending, []func(*purchase.Purchase){with(purchase.MatterPendingCredit)}, purchase.Outcome{},
			"Payé 1 050 F CFA, pas encore crédité : 1 000 F CFA d'unités. Excusez-nous. Crédit ou remboursement avant le 10/07 à 13:45. Dossier ouvert. Réf K7M2-Q4XD-9T"},
		{purchase.FactPending, []func(*purchase.Purchase){english, func(p *purchase.Purchase) { p.ResolveBy = p.DeliverBy.Add(time.Hour) }}, purchase.Outcome{},
			"Paid 1 050 F CFA, not yet credited: 1 000 F CFA of airtime. We are sorry. Credit or refund before 14:46. Ref K7M2-Q4XD-9T"},
		{purchase.FactUnconfirmed, []func(*purchase.Purchase){func(p *purchase.Purchase) { p.Charged = money.Amount{} }}, purchase.Outcome{},
			"Paiement de 1 050 F CFA pas encore confirmé. Si l'argent a été pris, il sera crédité ou rendu. Ne payez pas deux fois. Réf K7M2-Q4XD-9T"},
		{purchase.FactRefunded, nil, purchase.Outcome{Kind: purchase.Done},
			"C'est remboursé : 1 050 F CFA sur Mobile Money (70 11 22 33), pour votre achat : 1 000 F CFA d'unités. Excusez-nous. Réf K7M2-Q4XD-9T"},
		{purchase.FactRefunded, []func(*purchase.Purchase){func(p *purchase.Purchase) { p.Payer = "ocs" }}, purchase.Outcome{Kind: purchase.Done},
			"C'est remboursé : 1 050 F CFA sur le solde principal (70 11 22 33), pour votre achat : 1 000 F CFA d'unités. Excusez-nous. Réf K7M2-Q4XD-9T"},
		// A charge of another amount is given back as it was taken.
		{purchase.FactRefunded, []func(*purchase.Purchase){english, func(p *purchase.Purchase) { p.Charged.Minor = 2000 }}, purchase.Outcome{Kind: purchase.Done},
			"Refunded: 2 000 F CFA to Mobile Money (70 11 22 33), for your purchase: 1 000 F CFA of airtime. We are sorry. Ref K7M2-Q4XD-9T"},
		{purchase.FactDeclined, nil, refused(purchase.ReasonFunds),
			"Rien n'a été débité : votre solde ne suffit pas. Achat non fait : 1 000 F CFA d'unités pour le 70 11 22 33. Réf K7M2-Q4XD-9T"},
		{purchase.FactDeclined, []func(*purchase.Purchase){english}, refused("a reason of tomorrow"),
			"Nothing was taken: the payment was refused. Not bought: 1 000 F CFA of airtime for 70 11 22 33. Ref K7M2-Q4XD-9T"},
		{purchase.FactDeclined, nil, purchase.Outcome{Kind: purchase.Unsent},
			"Rien n'a été débité : le service de paiement ne répond pas. Achat non fait : 1 000 F CFA d'unités pour le 70 11 22 33. Réf K7M2-Q4XD-9T"},
		{purchase.FactDeclined, nil, purchase.Outcome{},
			"Rien n'a été débité : le paiement n'a pas abouti. Achat non fait : 1 000 F CFA d'unités pour le 70 11 22 33. Réf K7M2-Q4XD-9T"},
		// Taken and undone by the wallet: "nothing was taken" would not be true.
		{purchase.FactDeclined, nil, purchase.Outcome{Kind: purchase.Reversed},
			"Achat annulé : le service de paiement a annulé votre paiement de 1 050 F CFA (1 000 F CFA d'unités pour le 70 11 22 33). Réf K7M2-Q4XD-9T"},
		{purchase.FactTakenBack, nil, purchase.Outcome{Kind: purchase.Reversed},
			"Correction : l'opérateur a annulé le crédit (1 000 F CFA d'unités). Remboursement de 1 050 F CFA en cours. Excusez-nous. Réf K7M2-Q4XD-9T"},
		{purchase.FactChargedLate, []func(*purchase.Purchase){with(purchase.MatterOrphanCharge)}, purchase.Outcome{Kind: purchase.Done},
			"Correction : 1 050 F CFA ont bien été pris. Achat non fait (1 000 F CFA d'unités), remboursement en cours. Excusez-nous. Dossier ouvert. Réf K7M2-Q4XD-9T"},
		// A late credit is told as it is, not as it was ordered.
		{purchase.FactCreditedLate, nil, purchase.Outcome{Kind: purchase.Done, Amount: money.Amount{Minor: 700, Currency: money.XOF}},
			"Correction : un crédit est arrivé après le remboursement de 1 050 F CFA : 700 F CFA d'unités. Réf K7M2-Q4XD-9T"},
		{purchase.FactCreditedLate, nil, purchase.Outcome{Kind: purchase.Done},
			"Correction : un crédit est arrivé après le remboursement de 1 050 F CFA : unités. Réf K7M2-Q4XD-9T"},
		{purchase.FactCreditedLate, []func(*purchase.Purchase){bundle}, purchase.Outcome{Kind: purchase.Done, Product: "data-day"},
			"Correction : un crédit est arrivé après le remboursement de 1 050 F CFA : forfait. Réf K7M2-Q4XD-9T"},
		{purchase.FactRefundUndone, []func(*purchase.Purchase){english}, purchase.Outcome{Kind: purchase.Reversed},
			"Correction: the payment service cancelled the refund of 1 050 F CFA. We are taking care of it. We are sorry. Ref K7M2-Q4XD-9T"},
		{purchase.FactReversed, nil, purchase.Outcome{Kind: purchase.Done},
			"Comme demandé, c'est repris sur le 70 11 22 33 : 1 000 F CFA d'unités. Remboursement de 1 050 F CFA en cours. Réf K7M2-Q4XD-9T"},
		{purchase.FactReversed, []func(*purchase.Purchase){english}, purchase.Outcome{Kind: purchase.Done},
			"As you asked, taken back from 70 11 22 33: 1 000 F CFA of airtime. Refund of 1 050 F CFA under way. Ref K7M2-Q4XD-9T"},
		// Who received it learns no more of who paid than before.
		{purchase.FactReclaimed, nil, purchase.Outcome{Kind: purchase.Done, Balance: 5000, HasBalance: true},
			"Repris sur votre compte à la demande du payeur (numéro finissant par 33), envoyé par erreur : 1 000 F CFA d'unités. Réf K7M2-Q4XD-9T"},
		{purchase.FactReclaimed, []func(*purchase.Purchase){english}, purchase.Outcome{Kind: purchase.Done},
			"Taken back from your account, as asked by who paid (number ending in 33) and sent it by mistake: 1 000 F CFA of airtime. Ref K7M2-Q4XD-9T"},
	} {
		p := story()
		for _, change := range c.change {
			change(&p)
		}
		if got := w.Notice(c.fact, &p, reference, c.out); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.fact, got, c.want)
		}
	}
}

// In another time zone the hour and the day are those of the customer's clock.
func TestNoticeTellsLocalTime(t *testing.T) {
	cfg := config(t)
	var err error
	if cfg.Location, err = time.LoadLocation("Africa/Lagos"); err != nil {
		t.Fatal(err)
	}
	p := story()
	p.DeliverBy = purchase.At(time.Date(2024, 7, 9, 22, 30, 0, 0, time.UTC)) // 23:30 in Lagos
	p.ResolveBy = p.DeliverBy.Add(time.Hour)
	if got := wording(t, cfg).Notice(purchase.FactPending, &p, reference, purchase.Outcome{}); !strings.Contains(got, "avant le 10/07 à 00:30") {
		t.Errorf("got %s", got)
	}
}

func TestEveryCorrectionSaysSo(t *testing.T) {
	w := wording(t, config(t))
	for _, language := range w.book.Languages() {
		for _, fact := range []purchase.Fact{purchase.FactTakenBack, purchase.FactChargedLate, purchase.FactCreditedLate, purchase.FactRefundUndone} {
			p := story()
			p.Language = purchase.Language(language)
			if got := w.Notice(fact, &p, reference, purchase.Outcome{}); !strings.HasPrefix(got, "Correction") {
				t.Errorf("%s: %s", fact, got)
			}
		}
		for _, fact := range []purchase.Fact{purchase.FactTakenBack, purchase.FactCreditedLate} { // the house takes nothing
			p := story()
			p.Language, p.Payer = purchase.Language(language), "house"
			if got := w.Notice(fact, &p, reference, purchase.Outcome{}); !strings.HasPrefix(got, "Correction") {
				t.Errorf("%s of a gift: %s", fact, got)
			}
		}
	}
}

// Who is given something paid nothing: no text of it says that they did.
func TestGoodwillIsNoSale(t *testing.T) {
	w := wording(t, config(t))
	out := purchase.Outcome{Kind: purchase.Done, Balance: 1234, HasBalance: true}
	for language, want := range map[purchase.Language]string{
		"fr": "Geste commercial : 500 F CFA d'unités pour le 70 11 22 33, offert et crédité. Nouveau solde : 1 234 F CFA. Merci de votre patience. Réf K7M2-Q4XD-9T",
		"en": "Goodwill: 500 F CFA of airtime for 70 11 22 33, free of charge, is credited. New balance: 1 234 F CFA. Thank you for your patience. Ref K7M2-Q4XD-9T",
	} {
		p := story()
		p.Language, p.Payer, p.Total, p.Fee, p.Units, p.Charged.Minor = language, "house", 500, 0, 500, 500
		if got := w.Notice(purchase.FactCredited, &p, reference, out); got != want {
			t.Errorf("got %s\nwant %s", got, want)
		}
		for _, fact := range purchase.Facts {
			if fact == purchase.FactReceived || fact == purchase.FactReclaimed { // told to somebody else than who it is given to, which does not happen
				continue
			}
			got := strings.ToLower(w.Notice(fact, &p, reference, out))
			for _, word := range []string{"payé", "paiement", "rembours", "paid", "refund", "payment"} {
				if strings.Contains(got, word) {
					t.Errorf("%s: %s", fact, got)
				}
			}
			if !strings.Contains(got, "geste commercial") && !strings.Contains(got, "goodwill") {
				t.Errorf("%s does not say what it is: %s", fact, got)
			}
		}
	}
}

// With the longest values that a catalogue allows, every text says everything
// but the apology, for all facts, languages, reasons and kinds of product.
func TestLongestOrdinaryTexts(t *testing.T) {
	cfg := config(t)
	name := strings.Repeat("W", catalogue.MaxProductName)
	cfg.Products = map[string]map[string]string{"long": {"fr": name, "en": name}}
	cfg.Payers = map[string]map[string]string{"wallet": {"fr": strings.Repeat("M", catalogue.MaxWalletName)}}
	w := wording(t, cfg)
	most := money.Amount{Minor: catalogue.MaxMajor, Currency: money.XOF}
	longest := 0
	for _, language := range w.book.Languages() {
		v := voice{w.book.In(language), language, w}
		for _, fact := range purchase.Facts {
			for _, reason := range Reasons {
				for _, bundle := range []bool{false, true} {
					p := story()
					p.Language, p.Product, p.Bundle = purchase.Language(language), "long", bundle
					p.Total, p.Units, p.Charged = most.Minor, most.Minor, most
					p.Opened = p.Opened.With(purchase.MatterPendingCredit)
					out := purchase.Outcome{Kind: purchase.Refused, Reason: reason, Amount: most, Balance: most.Minor, HasBalance: true}
					full := v.values(fact.String(), fact, &p, reference, &out)
					full[sorryValue] = ""
					got := w.Notice(fact, &p, reference, out)
					want := string(v.phrases[fact.String()].Say(nil, full[:]))
					full[sorryValue] = v.say("sorry", &full)
					sorry := string(v.phrases[fact.String()].Say(nil, full[:]))
					if got != want && got != sorry {
						t.Errorf("%s %s:\n got %s\nwant %s", language, fact, got, want)
					}
					n, err := gsm7.Septets(got)
					if err != nil || n > gsm7.MaxSeptets {
						t.Errorf("%s %s: %d septets, %v: %s", language, fact, n, err, got)
					}
					longest = max(longest, n)
				}
			}
		}
	}
	if longest < 150 {
		t.Errorf("the longest text has %d characters: the test does not reach the limit", longest)
	}
}

// Whatever a purchase holds, its text fits one SMS, and repeats itself.
func TestNoticeProperty(t *testing.T) {
	w := wording(t, config(t))
	amount := rapid.OneOf(rapid.Int64Range(0, 100_000), rapid.Int64(), rapid.SampledFrom([]int64{math.MinInt64, math.MaxInt64, 0}))
	instant := rapid.Map(rapid.Int64Range(0, 4_000_000_000_000_000), func(i int64) purchase.Instant { return purchase.Instant(i) })
	currency := rapid.SampledFrom([]money.Currency{money.XOF, money.XAF, money.GNF, money.NGN, money.GMD})
	number := rapid.OneOf(rapid.Int64Range(22650000000, 22679999999), rapid.Int64Range(1, 999_999_999_999_999))
	rapid.Check(t, func(t *rapid.T) {
		c := currency.Draw(t, "currency")
		p := purchase.Purchase{
			Request: purchase.Request{
				Language:    purchase.Language(rapid.SampledFrom([]string{"fr", "en", "", "mos"}).Draw(t, "language")),
				PayerNumber: purchase.MSISDN(number.Draw(t, "payer number")), Recipient: purchase.MSISDN(number.Draw(t, "recipient")),
				Payer:   rapid.SampledFrom([]string{"wallet", "ocs", "house", ""}).Draw(t, "payer"),
				Product: rapid.SampledFrom([]string{"airtime", "data-week", "voice-day", "gone"}).Draw(t, "product"),
				Bundle:  rapid.Bool().Draw(t, "bundle"), Total: amount.Draw(t, "total"), Units: amount.Draw(t, "units"), Currency: c},
			DeliverBy: instant.Draw(t, "deliver by"), ResolveBy: instant.Draw(t, "resolve by"),
			Charged: money.Amount{Minor: amount.Draw(t, "charged"), Currency: c},
			Opened:  purchase.MatterSet(rapid.Uint32Range(0, 1).Draw(t, "opened")),
		}
		out := purchase.Outcome{Kind: rapid.SampledFrom(purchase.Kinds).Draw(t, "kind"),
			Reason:  purchase.Reason(rapid.SampledFrom(append([]purchase.Reason{"", "new"}, Reasons...)).Draw(t, "reason")),
			Amount:  money.Amount{Minor: amount.Draw(t, "moved"), Currency: c},
			Balance: amount.Draw(t, "balance"), HasBalance: rapid.Bool().Draw(t, "has balance")}
		fact := rapid.SampledFrom(purchase.Facts).Draw(t, "fact")
		text := w.Notice(fact, &p, reference, out)
		if n, err := gsm7.Septets(text); err != nil || n > gsm7.MaxSeptets {
			t.Fatalf("%d septets, %v: %s", n, err, text)
		}
		if !strings.HasSuffix(text, reference.String()) {
			t.Fatalf("no reference at the end: %s", text)
		}
		if strings.ContainsAny(text, "{}<>") || strings.Contains(text, "  ") {
			t.Fatalf("something is missing in: %s", text)
		}
		if again := w.Notice(fact, &p, reference, out); again != text {
			t.Fatalf("said otherwise the second time: %s / %s", text, again)
		}
		payer := w.cfg.Format(p.PayerNumber)
		if fact == purchase.FactReceived && p.PayerNumber > 9_999_999 && strings.Contains(text, payer) {
			t.Fatalf("the recipient reads the payer's number: %s", text)
		}
	})
}

// The languages hold the same phrases, and no others: loading refuses the rest.
func TestNewWordingRefuses(t *testing.T) {
	french, err := fs.ReadFile(shipped, "phrases/fr.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ old, with, want string }{
		"missing":       {"bundle_short: forfait\n", "", "phrase \"bundle_short\" is missing"},
		"extra":         {"bundle_short:", "bundle_sort: x\nbundle_short:", "mos.yaml:9: bundle_sort: no such phrase"},
		"placeholder":   {"{{.Item}} pour le", "{{.Balance}} pour le", "credited: placeholder {{.Item}} is missing"},
		"cedilla":       {"Bonne nouvelle", "Bien reçu", "received in \"mos\", \"Bien reçu"},
		"typographic":   {"C'est remboursé", "C’est remboursé", "'’' is not in the GSM 7-bit alphabet"},
		"too long":      {"Ne payez pas deux fois.", "Ne payez surtout pas deux fois.", "up to 164 characters, 160 fit"},
		"unused reason": {"reason_refused:", "reason_refusal:", "reason_refusal: no such phrase"},
	} {
		text := strings.Replace(string(french), c.old, c.with, 1)
		if text == string(french) {
			t.Fatalf("%s: nothing replaced", name)
		}
		cfg := config(t)
		cfg.Languages = []fs.FS{fstest.MapFS{"mos.yaml": {Data: []byte(text)}}}
		if _, err := NewWording(cfg); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
	cfg := config(t)
	cfg.Languages = []fs.FS{fstest.MapFS{"mos.yaml": {Data: french}}}
	if w := wording(t, cfg); strings.Join(w.book.Languages(), " ") != "en fr mos" {
		t.Errorf("languages: %v", w.book.Languages())
	}
	for _, names := range []map[string]map[string]string{{"x": {"fr": "Forfait reçu"}}, {"x": {"en": ""}}} {
		cfg := config(t)
		cfg.Products = names
		if _, err := NewWording(cfg); err == nil || !strings.Contains(err.Error(), "cannot be sent") {
			t.Errorf("%v: got %v", names, err)
		}
	}
}

func BenchmarkNotice(b *testing.B) {
	w := wording(b, config(b))
	p := story()
	out := purchase.Outcome{Kind: purchase.Done, Balance: 1234, HasBalance: true}
	b.ReportAllocs()
	for b.Loop() {
		w.Notice(purchase.FactCredited, &p, reference, out)
	}
}
