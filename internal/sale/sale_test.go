package sale_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"
	_ "time/tzdata"

	"go.uber.org/goleak"

	"tenu/internal/catalogue"
	"tenu/internal/money"
	"tenu/internal/notify"
	"tenu/internal/numbering"
	"tenu/internal/partner/house"
	"tenu/internal/purchase"
	"tenu/internal/sale"
	"tenu/internal/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type clock struct{}

func (clock) Now() purchase.Instant                  { return purchase.At(time.Now()) }
func (clock) After(d time.Duration) <-chan time.Time { return time.After(d) }

// partner executes whatever it is asked, once per key, and knows some balances.
type partner struct {
	name     string
	mu       sync.Mutex
	orders   []purchase.Order
	balances map[purchase.MSISDN]int64
}

func (p *partner) Name() string { return p.name }
func (p *partner) Capability(purchase.Leg) purchase.Capability {
	return purchase.Capability{Supported: true, Idempotent: true, KeyLife: time.Hour, Query: true, Timeout: time.Second}
}

func (p *partner) Do(_ context.Context, o purchase.Order) purchase.Outcome {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.orders = append(p.orders, o)
	out := purchase.Outcome{Kind: purchase.Done, Ref: p.name + "-" + o.Key.UUID(), Amount: o.Amount, Account: o.Account}
	if o.Leg == purchase.Credit {
		out.Balance, out.HasBalance = 1234, true
	}
	return out
}

func (p *partner) Query(context.Context, purchase.Order) purchase.Outcome {
	return purchase.Outcome{Kind: purchase.Absent}
}

func (p *partner) Cancel(context.Context, purchase.Order) purchase.Outcome {
	return purchase.Outcome{Kind: purchase.Unknown}
}

func (p *partner) Balance(_ context.Context, m purchase.MSISDN) (purchase.Balances, error) {
	minor, known := p.balances[m]
	if !known {
		return purchase.Balances{}, purchase.ErrUnknownLine
	}
	return purchase.Balances{Main: money.Amount{Minor: minor, Currency: money.XOF}}, nil
}

const goods = `currency: XOF
languages: [fr, en]
wallets:
  - name: wallet
    names: {fr: Mobile Money, en: Mobile Money}
operators:
  - {code: orange, providers: [ocs, spare]}
  - {code: moov, providers: [hub]}
products:
  - code: airtime
    kind: airtime
    names: {fr: Unités, en: Airtime}
    operators: [orange, moov]
    payers: [wallet]
    offers:
      - {version: 1, from: 2024-01-01T00:00:00Z, min: 100, max: 10000, step: 50, units: less_fee, fee: {fixed: 50}}
  - code: data
    kind: bundle
    names: {fr: Internet jour, en: Internet day}
    operators: [orange, moov]
    payers: [wallet, balance]
    offers:
      - {version: 4, from: 2024-01-01T00:00:00Z, price: 500, validity: 24h, contains: {fr: 1 Go, en: 1 GB}}
  - code: voice
    kind: bundle
    names: {fr: Appels, en: Calls}
    operators: [moov]
    payers: [wallet]
    offers:
      - {version: 1, from: 2024-01-01T00:00:00Z, price: 300, validity: 24h, contains: {fr: 30 min, en: 30 min}}
  - code: future
    kind: bundle
    names: {fr: Demain, en: Tomorrow}
    operators: [moov]
    payers: [wallet]
    offers:
      - {version: 1, from: 2124-01-01T00:00:00Z, price: 300, validity: 24h, contains: {fr: Rien, en: Nothing}}
`

// shop is a desk before a real engine with a store in memory.
type shop struct {
	*sale.Desk
	engine *purchase.Engine
	store  *store.Memory
	keys   *purchase.Keyring
	lines  *numbering.Directory
	wallet *partner
	ocs    *partner
	refuse atomic.Pointer[error]                         // what admission says
	shut   atomic.Pointer[func(*purchase.Request) error] // what admission says before the sale
}

func parse(t testing.TB, text string) *catalogue.Catalogue {
	t.Helper()
	c, err := catalogue.Parse("goods.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func open(t *testing.T) *shop {
	t.Helper()
	plan, err := numbering.ParsePlan("bf.yaml", numbering.BurkinaFaso)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := purchase.NewKeyring([]byte("a secret of the tests"))
	if err != nil {
		t.Fatal(err)
	}
	s := &shop{store: store.NewMemory(), keys: keys, lines: numbering.NewDirectory(plan),
		wallet: &partner{name: "wallet"}, ocs: &partner{name: "ocs", balances: map[purchase.MSISDN]int64{22676000001: 777}}}
	hub := &partner{name: "hub"}
	forSale := parse(t, goods)
	products, payers := forSale.Labels()
	wording, err := notify.NewWording(notify.WordingConfig{Products: products, Payers: payers, House: house.Name, Format: plan.Format, Location: time.UTC})
	if err != nil {
		t.Fatal(err)
	}
	s.engine, err = purchase.New(purchase.Config{Store: s.store, Keys: keys, Clock: clock{}, Wording: wording, Node: "test",
		Rules: purchase.DefaultRules(), Log: slog.New(slog.DiscardHandler),
		Partners: []purchase.Member{{Partner: s.wallet, Concurrency: 4}, {Partner: s.ocs, Concurrency: 4},
			{Partner: hub, Concurrency: 4}, {Partner: &partner{name: "spare"}, Concurrency: 4}, {Partner: house.House{}, Concurrency: 4}},
		Admit: func(*purchase.Request) error {
			if why := s.refuse.Load(); why != nil {
				return *why
			}
			return nil
		}})
	if err != nil {
		t.Fatal(err)
	}
	s.Desk, err = sale.New(sale.Config{Directory: s.lines, Catalogue: forSale, Engine: s.engine, Archive: s.store, Clock: clock{},
		Reference: keys.Reference, Partners: []string{"wallet", "ocs", "spare", "hub"},
		Readers: map[string]purchase.BalanceReader{"ocs": s.ocs}, Admit: func(r *purchase.Request) error {
			if shut := s.shut.Load(); shut != nil {
				return (*shut)(r)
			}
			return nil
		}})
	if err != nil {
		t.Fatal(err)
	}
	s.run(t)
	return s
}

// run starts the engine, waits until it admits purchases, and stops it with the test.
func (s *shop) run(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan error, 1)
	go func() { over <- s.engine.Run(ctx, time.Second) }()
	t.Cleanup(func() {
		cancel()
		if err := <-over; err != nil {
			t.Errorf("engine: %v", err)
		}
	})
	for s.engine.Ready() != nil {
		select {
		case err := <-over:
			t.Fatalf("engine: %v", err)
		case <-time.After(time.Millisecond):
		}
	}
}

// settled waits for the purchase's final state.
func (s *shop) settled(t *testing.T, id purchase.ID) purchase.Record {
	t.Helper()
	updates, stop := s.engine.Watch(id)
	defer stop()
	for {
		records, err := s.store.Load(t.Context(), id)
		if err != nil || len(records) != 1 {
			t.Fatalf("load: %v", err)
		}
		if records[0].Purchase.State.Final() {
			return records[0]
		}
		if _, ok := <-updates; !ok {
			updates = nil
		}
	}
}

func story(key string) sale.Wish {
	return sale.Wish{Client: "app", ClientKey: key, Channel: "app", Language: "fr", Number: "76 00 00 01", Product: "airtime", Amount: "1050"}
}

func buy(t *testing.T, s *shop, w sale.Wish) purchase.Purchase {
	t.Helper()
	p, replay, err := s.Buy(t.Context(), w)
	if err != nil || replay {
		t.Fatalf("%+v: replay %v, %v", w, replay, err)
	}
	return p
}

// The story's purchase, from what the customer wrote to what he reads.
func TestBuyTheStory(t *testing.T) {
	s := open(t)
	p := buy(t, s, story("k1"))
	want := purchase.Request{Client: "app", ClientKey: "k1", Digest: p.Digest, Channel: "app", Language: "fr",
		PayerNumber: 22676000001, Recipient: 22676000001, Payer: "wallet", Provider: "ocs",
		Product: "airtime", Offer: 1, Total: 1050, Fee: 50, Units: 1000, Currency: money.XOF}
	if p.Request != want || p.Digest == [16]byte{} {
		t.Errorf("request:\n got %+v\nwant %+v", p.Request, want)
	}
	record := s.settled(t, p.ID)
	text := "C'est crédité : 1 000 F CFA d'unités pour le 76 00 00 01. Payé 1 050 F CFA. Nouveau solde : 1 234 F CFA. Merci. Réf " + s.keys.Reference(p.ID).String()
	if len(record.Notices) != 1 || record.Notices[0].Text != text {
		t.Errorf("notices %+v, want %s", record.Notices, text)
	}
}

func TestBuyRoutes(t *testing.T) {
	s := open(t)
	ported, err := s.lines.ReadPorted("ported.csv", strings.NewReader("70112233,orange\n76000009,moov\n"))
	if err != nil {
		t.Fatal(err)
	}
	s.lines.SetPorted(ported)
	for name, c := range map[string]struct {
		wish sale.Wish
		want purchase.Request
	}{
		"by prefix": {sale.Wish{Number: "70 11 22 34", Product: "airtime", Amount: "100"},
			purchase.Request{Recipient: 22670112234, PayerNumber: 22670112234, Payer: "wallet", Provider: "hub", Total: 100, Fee: 50, Units: 50, Offer: 1}},
		"ported": {sale.Wish{Number: "70 11 22 33", Product: "airtime", Amount: "100"},
			purchase.Request{Recipient: 22670112233, PayerNumber: 22670112233, Payer: "wallet", Provider: "ocs", Total: 100, Fee: 50, Units: 50, Offer: 1}},
		"a gift": {sale.Wish{Number: "+226 76 00 00 01", Payer: "0022670112235", Product: "data"},
			purchase.Request{Recipient: 22676000001, PayerNumber: 22670112235, Payer: "wallet", Provider: "ocs", Bundle: true, Total: 500, Units: 500, Offer: 4}},
		"by the balance": {sale.Wish{Number: "76 00 00 02", Product: "data", Amount: "500", PayWith: "balance", Currency: "XOF"},
			purchase.Request{Recipient: 22676000002, PayerNumber: 22676000002, Payer: "ocs", Provider: "ocs", Bundle: true, Total: 500, Units: 500, Offer: 4}},
		"a gift by the payer's balance": {sale.Wish{Number: "70 11 22 36", Payer: "76 00 00 03", Product: "data", PayWith: "balance"},
			purchase.Request{Recipient: 22670112236, PayerNumber: 22676000003, Payer: "ocs", Provider: "hub", Bundle: true, Total: 500, Units: 500, Offer: 4}},
		"a gift by a ported payer's balance": {sale.Wish{Number: "76 00 00 04", Payer: "76 00 00 09", Product: "data", PayWith: "balance"},
			purchase.Request{Recipient: 22676000004, PayerNumber: 22676000009, Payer: "hub", Provider: "ocs", Bundle: true, Total: 500, Units: 500, Offer: 4}},
	} {
		c.wish.Client, c.wish.ClientKey, c.wish.Channel, c.wish.Language = "app", strings.ReplaceAll(name, " ", "-"), "ussd", "en-GB"
		p := buy(t, s, c.wish)
		c.want.Client, c.want.ClientKey, c.want.Channel, c.want.Language = "app", c.wish.ClientKey, "ussd", "en"
		c.want.Digest, c.want.Product, c.want.Currency = p.Digest, c.wish.Product, money.XOF
		if p.Request != c.want {
			t.Errorf("%s:\n got %+v\nwant %+v", name, p.Request, c.want)
		}
		s.settled(t, p.ID)
	}
	if got := s.Alternates(&purchase.Purchase{Request: purchase.Request{Product: "airtime", Recipient: 22670112233}}); !slices.Equal(got, []string{"ocs", "spare"}) {
		t.Errorf("alternates: %v", got)
	}
	for _, gone := range []purchase.Request{{Product: "gone", Recipient: 22670112233}, {Product: "airtime", Recipient: 33612345678}} {
		if got := s.Alternates(&purchase.Purchase{Request: gone}); len(got) != 0 {
			t.Errorf("alternates of %+v: %v", gone, got)
		}
	}
}

// The same wish under the same key is the same purchase, however it is written;
// another wish under it changes nothing.
func TestBuyAgainUnderTheSameKey(t *testing.T) {
	s := open(t)
	first := buy(t, s, story("k1"))
	s.settled(t, first.ID)
	same := []func(*sale.Wish){
		func(*sale.Wish) {},
		func(w *sale.Wish) { w.Number = "+226 76-00-00-01" },
		func(w *sale.Wish) { w.Payer = "76000001" },
		func(w *sale.Wish) { w.Amount = " 01050 " },
		func(w *sale.Wish) { w.Currency = "XOF" },
		func(w *sale.Wish) { w.Language = "FR" },
		func(w *sale.Wish) { w.Again = true },
	}
	for i, change := range same {
		w := story("k1")
		change(&w)
		if p, replay, err := s.Buy(t.Context(), w); err != nil || !replay || p.ID != first.ID || p.State != purchase.Credited {
			t.Errorf("same wish %d: %d replay %v, %v", i, p.ID, replay, err)
		}
	}
	other := []func(*sale.Wish){
		func(w *sale.Wish) { w.Number = "76000002" },
		func(w *sale.Wish) { w.Payer = "70112233" },
		func(w *sale.Wish) { w.Amount = "1100" },
		func(w *sale.Wish) { w.Product, w.Amount = "data", "" },
		func(w *sale.Wish) { w.PayWith = "wallet" },
		func(w *sale.Wish) { w.Language = "en" },
		func(w *sale.Wish) { w.Amount = "-5" }, // not even a wish that can be granted
		func(w *sale.Wish) { w.Number = "25301122" },
	}
	for i, change := range other {
		w := story("k1")
		change(&w)
		var problem *sale.Problem
		if _, _, err := s.Buy(t.Context(), w); !errors.As(err, &problem) || problem.Code != sale.CodeKeyReused || problem.Status != 409 {
			t.Errorf("other wish %d: %v", i, err)
		}
	}
	if page, err := s.store.List(t.Context(), purchase.Page{Number: 22676000001, Limit: 10}); err != nil || len(page) != 1 {
		t.Errorf("%d purchases, %v", len(page), err)
	}
}

// A purchase is found again even when it could not be bought any more.
func TestReplayAfterTheCatalogueChanged(t *testing.T) {
	s := open(t)
	first := buy(t, s, story("k1"))
	cut := goods[:strings.Index(goods, "  - code: airtime\n")] + goods[strings.Index(goods, "  - code: data\n"):]
	if err := s.SetCatalogue(parse(t, cut)); err != nil {
		t.Fatal(err)
	}
	if p, replay, err := s.Buy(t.Context(), story("k1")); err != nil || !replay || p.ID != first.ID {
		t.Errorf("replay: %d %v %v", p.ID, replay, err)
	}
	var problem *sale.Problem
	if _, _, err := s.Buy(t.Context(), story("k2")); !errors.As(err, &problem) || problem.Code != sale.CodeProductUnknown {
		t.Errorf("new key: %v", err)
	}
}

// Each wish of a batch is answered as Buy would answer it alone, in their order.
func TestBuyAll(t *testing.T) {
	s := open(t)
	first, _, err := s.Buy(t.Context(), story("k1"))
	if err != nil {
		t.Fatal(err)
	}
	bad, unkeyed, changed, other := story("k3"), story(""), story("k1"), story("k4")
	bad.Amount = "50"
	changed.Product, changed.Amount = "voice", "" // under a key that was used, and not for this line
	other.Amount = "2000"
	answers := s.BuyAll(t.Context(), []sale.Wish{bad, story("k1"), unkeyed, changed, other, story("k5")})
	for i, want := range []sale.Code{sale.CodeAmountBelow, "", sale.CodeKeyInvalid, sale.CodeKeyReused, "", sale.CodeAskFirst} {
		var problem *sale.Problem
		if errors.As(answers[i].Err, &problem) != (want != "") || problem != nil && problem.Code != want {
			t.Errorf("wish %d: %v, want %q", i, answers[i].Err, want)
		}
	}
	if answers[1].Purchase.ID != first.ID || !answers[1].Replay || answers[4].Purchase.Total != 2000 || answers[4].Replay {
		t.Errorf("got %+v and %+v", answers[1], answers[4])
	}
}

func TestAskFirst(t *testing.T) {
	s := open(t)
	first := buy(t, s, story("k1"))
	s.settled(t, first.ID)
	_, _, err := s.Buy(t.Context(), story("k2"))
	var problem *sale.Problem
	if !errors.As(err, &problem) || problem.Code != sale.CodeAskFirst || problem.Earlier != s.keys.Reference(first.ID) {
		t.Fatalf("a like purchase: %v", err)
	}
	if got := problem.Message("en"); !strings.Contains(got, problem.Earlier.String()) {
		t.Errorf("message: %s", got)
	}
	w := story("k2")
	w.Again = true
	if p := buy(t, s, w); p.ID == first.ID {
		t.Error("asked and confirmed, yet the same purchase")
	}
}

func TestBuyRefuses(t *testing.T) {
	s := open(t)
	long := strings.Repeat("k", 65)
	for name, c := range map[string]struct {
		change func(*sale.Wish)
		code   sale.Code
		field  string
		status int
		french string
	}{
		"no key":             {func(w *sale.Wish) { w.ClientKey = "" }, sale.CodeKeyInvalid, "", 400, "sa clé"},
		"long key":           {func(w *sale.Wish) { w.ClientKey = long }, sale.CodeKeyInvalid, "", 400, "sa clé"},
		"key with a space":   {func(w *sale.Wish) { w.ClientKey = "a b" }, sale.CodeKeyInvalid, "", 400, "sa clé"},
		"key not ASCII":      {func(w *sale.Wish) { w.ClientKey = "clé" }, sale.CodeKeyInvalid, "", 400, "sa clé"},
		"no number":          {func(w *sale.Wish) { w.Number = "" }, sale.CodeNumberMalformed, "number", 422, "pas complet"},
		"malformed":          {func(w *sale.Wish) { w.Number = "7600000" }, sale.CodeNumberMalformed, "number", 422, "pas complet"},
		"foreign":            {func(w *sale.Wish) { w.Number = "+33612345678" }, sale.CodeNumberForeign, "number", 422, "autre pays"},
		"fixed":              {func(w *sale.Wish) { w.Number = "25 30 11 22" }, sale.CodeNumberFixed, "number", 422, "ligne fixe"},
		"service":            {func(w *sale.Wish) { w.Number = "121" }, sale.CodeNumberService, "number", 422, "numéro de service"},
		"unassigned":         {func(w *sale.Wish) { w.Number = "59 00 00 00" }, sale.CodeNumberUnassigned, "number", 422, "Aucun opérateur"},
		"malformed payer":    {func(w *sale.Wish) { w.Payer = "76O00001" }, sale.CodeNumberMalformed, "payer", 422, "pas complet"},
		"foreign payer":      {func(w *sale.Wish) { w.Payer = "+33612345678" }, sale.CodeNumberForeign, "payer", 422, "autre pays"},
		"fixed payer":        {func(w *sale.Wish) { w.Payer = "25301122" }, sale.CodeNumberFixed, "payer", 422, "ligne fixe"},
		"operator unserved":  {func(w *sale.Wish) { w.Number = "78000000" }, sale.CodeProductLine, "number", 422, "pas vendu pour ce numéro"},
		"payer unserved":     {func(w *sale.Wish) { w.Product, w.Amount, w.PayWith, w.Payer = "data", "", "balance", "78000000" }, sale.CodePayWith, "pay_with", 422, "de cette manière"},
		"unknown product":    {func(w *sale.Wish) { w.Product = "car" }, sale.CodeProductUnknown, "product", 422, "n'existe pas"},
		"not on sale":        {func(w *sale.Wish) { w.Product, w.Number = "future", "70112233" }, sale.CodeProductOff, "product", 422, "pas en vente"},
		"not for this line":  {func(w *sale.Wish) { w.Product, w.Amount = "voice", "" }, sale.CodeProductLine, "number", 422, "pas vendu pour ce numéro"},
		"unknown wallet":     {func(w *sale.Wish) { w.PayWith = "bank" }, sale.CodePayWith, "pay_with", 422, "de cette manière"},
		"airtime by balance": {func(w *sale.Wish) { w.PayWith = "balance" }, sale.CodePayWith, "pay_with", 422, "de cette manière"},
		"currency":           {func(w *sale.Wish) { w.Currency = "EUR" }, sale.CodeCurrency, "currency", 422, "cette monnaie"},
		"no amount":          {func(w *sale.Wish) { w.Amount = "" }, sale.CodeAmountMissing, "amount", 422, "Indiquez"},
		"words":              {func(w *sale.Wish) { w.Amount = "mille" }, sale.CodeAmountMalformed, "amount", 422, "en chiffres"},
		"zero":               {func(w *sale.Wish) { w.Amount = "0" }, sale.CodeAmountZero, "amount", 422, "dépasser zéro"},
		"negative":           {func(w *sale.Wish) { w.Amount = "-1050" }, sale.CodeAmountNegative, "amount", 422, "dépasser zéro"},
		"fraction":           {func(w *sale.Wish) { w.Amount = "1050.5" }, sale.CodeAmountFraction, "amount", 422, "trop précis"},
		"below":              {func(w *sale.Wish) { w.Amount = "50" }, sale.CodeAmountBelow, "amount", 422, "minimum est de 100 F CFA"},
		"above":              {func(w *sale.Wish) { w.Amount = "10050" }, sale.CodeAmountAbove, "amount", 422, "maximum est de 10 000 F CFA"},
		"off step":           {func(w *sale.Wish) { w.Amount = "1049" }, sale.CodeAmountStep, "amount", 422, "multiple de 50 F CFA"},
		"not the price":      {func(w *sale.Wish) { w.Product, w.Amount = "data", "400" }, sale.CodeAmountPrice, "amount", 422, "prix est de 500 F CFA"},
	} {
		w := story("k-" + strings.ReplaceAll(name, " ", "-"))
		c.change(&w)
		p, replay, err := s.Buy(t.Context(), w)
		var problem *sale.Problem
		if !errors.As(err, &problem) || replay || p.ID != 0 {
			t.Errorf("%s: %+v %v %v", name, p, replay, err)
			continue
		}
		if problem.Code != c.code || problem.Field != c.field || problem.Status != c.status || problem.RetryAfter != 0 {
			t.Errorf("%s: got %s %q %d %s", name, problem.Code, problem.Field, problem.Status, problem.RetryAfter)
		}
		if got := problem.Message("fr"); !strings.Contains(got, c.french) {
			t.Errorf("%s: got %q, want %q", name, got, c.french)
		}
		for _, number := range []string{w.Number, w.Payer} {
			if len(number) > 4 && strings.Contains(problem.Error(), number) {
				t.Errorf("%s: the error holds a number: %v", name, problem)
			}
		}
		if _, err := s.store.FindKey(t.Context(), "app", w.ClientKey); !errors.Is(err, purchase.ErrNotFound) {
			t.Errorf("%s: something was written: %v", name, err)
		}
	}
	if n := s.engine.Stats(); n.Created != 0 || len(s.wallet.orders) != 0 {
		t.Errorf("%d purchases, %d charges", n.Created, len(s.wallet.orders))
	}
}

func TestEngineRefuses(t *testing.T) {
	s := open(t)
	for name, c := range map[string]struct {
		err    error
		code   sale.Code
		status int
		wait   time.Duration
		french string
	}{
		"paused":      {&purchase.PausedError{Partner: "ocs"}, sale.CodePaused, 503, 30 * time.Second, "Momentanément indisponible, rien n'a été débité."},
		"busy":        {purchase.ErrBusy, sale.CodeBusy, 503, time.Second, "rien n'a été débité"},
		"unavailable": {purchase.ErrUnavailable, sale.CodeUnavailable, 503, 5 * time.Second, "indisponible"},
		"fenced":      {purchase.ErrFenced, sale.CodeUnavailable, 503, 5 * time.Second, "indisponible"},
		"unknown":     {purchase.ErrCommitUnknown, sale.CodeUnavailable, 503, 5 * time.Second, "indisponible"},
		"bug":         {errors.New("nobody thought of this"), sale.CodeInternal, 500, 0, "Une erreur"},
	} {
		s.refuse.Store(&c.err)
		_, _, err := s.Buy(t.Context(), story("k1"))
		var problem *sale.Problem
		if !errors.As(err, &problem) || problem.Code != c.code || problem.Status != c.status || problem.RetryAfter != c.wait || !errors.Is(err, c.err) {
			t.Errorf("%s: %v %+v", name, err, problem)
			continue
		}
		got := problem.Message("fr")
		if !strings.Contains(got, c.french) || strings.Contains(got, "nobody") {
			t.Errorf("%s: %s", name, got)
		}
		// What may have been written must not be called untouched.
		if name == "unknown" && strings.Contains(got, "rien n'a été débité") {
			t.Errorf("%s: %s", name, got)
		}
	}
	s.refuse.Store(nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var problem *sale.Problem
	if _, _, err := s.Buy(ctx, story("k9")); !errors.As(err, &problem) || problem.Code != sale.CodeUnavailable {
		t.Errorf("ended context: %v", err)
	}
}

func TestBalance(t *testing.T) {
	s := open(t)
	line, err := s.Balance(t.Context(), "76 00 00 01")
	if err != nil || line.Number != 22676000001 || line.Operator != "orange" || line.Main.Minor != 777 {
		t.Errorf("%+v %v", line, err)
	}
	for number, want := range map[string]sale.Code{
		"76 00 00 02": sale.CodeLineUnknown, "70 11 22 33": sale.CodeUnavailable, "78 00 00 00": sale.CodeUnavailable,
		"25 30 11 22": sale.CodeNumberFixed, "x": sale.CodeNumberMalformed,
	} {
		var problem *sale.Problem
		if _, err := s.Balance(t.Context(), number); !errors.As(err, &problem) || problem.Code != want {
			t.Errorf("%s: %v, want %s", number, err, want)
		}
	}
}

func TestProducts(t *testing.T) {
	s := open(t)
	for number, want := range map[string]string{"": "airtime data:500 voice:300", "76 00 00 01": "airtime data:500", "70112233": "airtime data:500 voice:300", "78000000": ""} {
		wares, err := s.Products(number, "app")
		if err != nil {
			t.Errorf("%q: %v", number, err)
		}
		var got []string
		for _, w := range wares {
			text := w.Code
			if w.Bundle {
				text += ":" + money.Amount{Minor: w.Quote.Total, Currency: w.Quote.Currency}.Number()
			}
			got = append(got, text)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%q: %v, want %s", number, got, want)
		}
	}
	if _, err := s.Products("121", "app"); err == nil {
		t.Error("a service number has products")
	}
}

// What is paused is said in the list and in the quote, before anything is bought.
func TestProductsPaused(t *testing.T) {
	s := open(t)
	shut := func(when func(*purchase.Request) bool) {
		f := func(r *purchase.Request) error {
			if when(r) {
				return &purchase.PausedError{Partner: "x"}
			}
			return nil
		}
		s.shut.Store(&f)
	}
	list := func(number, channel string) string {
		wares, err := s.Products(number, channel)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, w := range wares {
			text := w.Code
			if w.Paused() {
				text += "!"
			}
			got = append(got, strings.Join(append([]string{text}, w.Closed...), "-"))
		}
		return strings.Join(got, " ")
	}
	for name, c := range map[string]struct {
		when                    func(*purchase.Request) bool
		orange, moov, everybody string
	}{
		"wallet":   {func(r *purchase.Request) bool { return r.Payer == "wallet" }, "airtime!-wallet data-wallet", "airtime!-wallet data-wallet voice!-wallet", "airtime!-wallet data-wallet voice!-wallet"},
		"ocs":      {func(r *purchase.Request) bool { return r.Provider == "ocs" }, "airtime!-wallet data!-wallet-balance", "airtime data voice", "airtime data voice"},
		"hub":      {func(r *purchase.Request) bool { return r.Provider == "hub" }, "airtime data", "airtime!-wallet data!-wallet-balance voice!-wallet", "airtime data voice!-wallet"},
		"balances": {func(r *purchase.Request) bool { return r.Payer == "ocs" }, "airtime data-balance", "airtime data voice", "airtime data voice"},
		"product":  {func(r *purchase.Request) bool { return r.Product == "data" && r.Bundle }, "airtime data!-wallet-balance", "airtime data!-wallet-balance voice", "airtime data!-wallet-balance voice"},
		"channel":  {func(r *purchase.Request) bool { return r.Channel == "sms" }, "airtime data", "airtime data voice", "airtime data voice"},
		"line":     {func(r *purchase.Request) bool { return r.Recipient == 22670112233 && r.PayerNumber == 22670112233 }, "airtime data", "airtime!-wallet data!-wallet-balance voice!-wallet", "airtime data voice"},
	} {
		shut(c.when)
		for number, want := range map[string]string{"76 00 00 01": c.orange, "70 11 22 33": c.moov, "": c.everybody} {
			if got := list(number, "app"); got != want {
				t.Errorf("%s, %q: %s, want %s", name, number, got, want)
			}
		}
	}
	shut(func(r *purchase.Request) bool { return r.Channel == "sms" })
	if got := list("76000001", "sms"); got != "airtime!-wallet data!-wallet-balance" {
		t.Errorf("on the channel that is paused: %s", got)
	}
	var problem *sale.Problem
	if _, err := s.Quote(sale.Wish{Channel: "sms", Number: "76000001", Product: "data"}); !errors.As(err, &problem) || problem.Code != sale.CodePaused {
		t.Errorf("quote: %v", err)
	}
	if len(s.wallet.orders) != 0 || s.engine.Stats().Created != 0 {
		t.Error("something was sold")
	}
}

// A pause with a known end says when to try again, within reason.
func TestPausedUntil(t *testing.T) {
	s := open(t)
	for until, want := range map[time.Duration]time.Duration{-time.Hour: 30 * time.Second, 10 * time.Minute: 10 * time.Minute, 48 * time.Hour: time.Hour} {
		var paused error = &purchase.PausedError{Operator: "moov", Until: purchase.At(time.Now().Add(until))}
		s.refuse.Store(&paused)
		_, _, err := s.Buy(t.Context(), story("k1"))
		var problem *sale.Problem
		if !errors.As(err, &problem) || problem.Code != sale.CodePaused || problem.RetryAfter > want || problem.RetryAfter < want-time.Minute || problem.RetryAfter < 30*time.Second {
			t.Errorf("%s: %v, %+v", until, err, problem)
		}
	}
}

func TestSetCatalogueRefuses(t *testing.T) {
	s := open(t)
	for name, c := range map[string]struct{ old, with, want string }{
		"operator":        {"code: moov", "code: vodafone", "operator \"vodafone\" is not in the numbering plan"},
		"provider":        {"[ocs, spare]", "[ocs, extra]", "provider \"extra\" of orange is no partner"},
		"wallet":          {"name: wallet", "name: purse", "wallet \"purse\" is no partner"},
		"changed version": {"price: 500", "price: 400", "product data: version 4 was changed"},
	} {
		text := strings.Replace(goods, c.old, c.with, 1)
		if name == "operator" {
			text = strings.NewReplacer("moov", "vodafone").Replace(goods)
		}
		if name == "wallet" {
			text = strings.NewReplacer("name: wallet", "name: purse", "[wallet", "[purse").Replace(goods)
		}
		if err := s.SetCatalogue(parse(t, text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := s.Catalogue().Products(); len(got) != 4 {
		t.Errorf("%d products", len(got))
	}
}

func TestNewRefuses(t *testing.T) {
	if _, err := sale.New(sale.Config{}); err == nil {
		t.Error("a desk without anything")
	}
	s := open(t)
	cfg := sale.Config{Directory: s.lines, Catalogue: s.Catalogue(), Engine: s.engine, Archive: s.store, Clock: clock{}, Reference: s.keys.Reference}
	if _, err := sale.New(cfg); err == nil || !strings.Contains(err.Error(), "is no partner") {
		t.Errorf("no partners: %v", err)
	}
	cfg.Partners = []string{"wallet", "ocs", "spare", "hub"}
	dir := fstest.MapFS{"mos.yaml": {Data: []byte("busy: x\n")}}
	cfg.Messages = append(cfg.Messages, dir)
	if _, err := sale.New(cfg); err == nil || !strings.Contains(err.Error(), "mos.yaml: phrase") {
		t.Errorf("incomplete language: %v", err)
	}
}
