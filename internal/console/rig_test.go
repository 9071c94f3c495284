package console

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"html"
	"io"
	"log/slog"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	_ "time/tzdata"

	"golang.org/x/crypto/argon2"
	"golang.org/x/mod/sumdb/note"

	"tenu/internal/auth"
	"tenu/internal/care"
	"tenu/internal/catalogue"
	"tenu/internal/incident"
	"tenu/internal/money"
	"tenu/internal/numbering"
	"tenu/internal/purchase"
	"tenu/internal/reconcile"
	"tenu/internal/sale"
	"tenu/internal/seal"
	"tenu/internal/store"
	"tenu/internal/voice/centre"
)

// The customers of the tests; nobody's is one that the staff declared.
const (
	adama purchase.MSISDN = 22670112233
	binta purchase.MSISDN = 22676445566
)

func must[T any](t testing.TB) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// clock is the machine's, put forward by as much as a test says.
type clock struct{ by atomic.Int64 }

func (c *clock) Now() purchase.Instant {
	return purchase.At(time.Now()).Add(time.Duration(c.by.Load()))
}
func (c *clock) After(d time.Duration) <-chan time.Time { return time.After(d) }

// partner does what it is asked to, or says nothing.
type partner struct {
	name string
	mu   sync.Mutex
	mute bool // says nothing to what it is asked to do
	told bool // answers queries
}

func (p *partner) Name() string { return p.name }
func (p *partner) Capability(purchase.Leg) purchase.Capability {
	return purchase.Capability{Supported: true, Idempotent: true, KeyLife: time.Hour, Query: true, Timeout: time.Second}
}

func (p *partner) silence(is bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mute = is
}

func (p *partner) Do(_ context.Context, o purchase.Order) purchase.Outcome {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mute {
		return purchase.Outcome{Kind: purchase.Unknown, Detail: "silence"}
	}
	return purchase.Outcome{Kind: purchase.Done, Ref: p.name + "-" + o.Key.UUID(), Amount: o.Amount, Account: o.Account}
}

func (p *partner) Query(ctx context.Context, o purchase.Order) purchase.Outcome {
	p.mu.Lock()
	told := p.told
	p.mu.Unlock()
	if !told {
		return purchase.Outcome{Kind: purchase.Unknown, Detail: "silence"}
	}
	return p.Do(ctx, o)
}

// tell lets a partner answer queries.
func (p *partner) tell() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.told = true
}

func (p *partner) Cancel(context.Context, purchase.Order) purchase.Outcome {
	return purchase.Outcome{Kind: purchase.Unknown}
}

func (p *partner) Balance(context.Context, purchase.MSISDN) (purchase.Balances, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mute {
		return purchase.Balances{}, purchase.ErrUnavailable
	}
	return purchase.Balances{Main: money.Amount{Minor: 4250, Currency: money.XOF}, Bundles: []purchase.BundleBalance{{Code: "data-day", Unit: "MB", Left: 120}}}, nil
}

type wording struct{}

func (wording) Notice(fact purchase.Fact, _ *purchase.Purchase, ref purchase.Reference, _ purchase.Outcome) string {
	return fact.String() + " " + ref.String()
}

type house struct{}

func (house) Give(context.Context, care.Request) (purchase.ID, error) {
	return 0, errors.New("no house")
}

// series are what can be paused there.
func series(by incident.Dimension) []string {
	return map[incident.Dimension][]string{incident.ByProvider: {"ocs"}, incident.ByPayer: {"ocs", "wallet"}, incident.ByProduct: {"airtime"}}[by]
}

func known(s incident.Series) bool { return slices.Contains(series(s.By), s.Name) }

// rig is the console over a real database, before a real engine.
type rig struct {
	*Console
	t         testing.TB
	store     *store.Store
	engine    *purchase.Engine
	elsewhere *care.Desk // of another node
	pauses    *incident.Switch
	dsn       string

	elsewhereIncidents *incident.Desk

	breaks *reconcile.Desk
	late   *clock // the clock of breaks
	sign   note.Signer

	queue *centre.Queue // of the telephone line

	keys    *purchase.Keyring
	clock   *clock
	ocs     *partner
	server  *httptest.Server
	staff   map[string]auth.Staff
	cookies map[string]string // of a login that is signed in
	sold    int
}

const password = "a password of the tests"

// crew are who works there. Mia speaks English, and declared a number as her own.
var crew = []auth.Staff{
	{Login: "anna", Name: "Anna A.", Role: auth.Agent, Language: "fr"},
	{Login: "mia", Name: "Mia M.", Role: auth.Agent, Language: "en", Numbers: []purchase.MSISDN{22670000001}},
	{Login: "carol", Name: "Carol <b>C.</b>", Role: auth.Supervisor, Language: "fr"},
	{Login: "emil", Name: "Emil E.", Role: auth.Administrator, Language: "en"},
	{Login: "fania", Name: "Fania F.", Role: auth.Auditor, Language: "fr"},
}

func start(t testing.TB) *rig {
	t.Helper()
	dsn := "sqlite:" + filepath.Join(t.TempDir(), "tenu.db")
	if _, _, err := store.Migrate(t.Context(), dsn, store.Options{}); err != nil {
		t.Fatal(err)
	}
	identity, recipient, err := seal.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	sealing := &store.Sealing{Keeper: must[*seal.Keeper](t)(seal.NewKeeper([]string{recipient}, identity)), Now: func() purchase.Instant { return 1 }}
	db := must[*store.Store](t)(store.Open(t.Context(), dsn, store.Options{Sealing: sealing}))
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	r := &rig{t: t, dsn: dsn, store: db, clock: &clock{}, ocs: &partner{name: "ocs"}, staff: map[string]auth.Staff{}, cookies: map[string]string{}}
	secret := []byte("a secret of the tests")
	r.keys = must[*purchase.Keyring](t)(purchase.NewKeyring(secret))
	files := must[*purchase.Keyring](t)(purchase.NewKeyring([]byte("another secret of the tests")))
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	r.engine = must[*purchase.Engine](t)(purchase.New(purchase.Config{Store: db, Keys: r.keys, Clock: r.clock, Wording: wording{}, Node: "n1", Rules: purchase.DefaultRules(),
		Log: log, Partners: []purchase.Member{{Partner: &partner{name: "wallet"}, Concurrency: 4}, {Partner: r.ocs, Concurrency: 4}}}))
	numbers := numbering.NewDirectory(must[*numbering.Plan](t)(numbering.ParsePlan("bf.yaml", numbering.BurkinaFaso)))
	sales := must[*sale.Desk](t)(sale.New(sale.Config{Directory: numbers, Catalogue: must[*catalogue.Catalogue](t)(catalogue.Parse("demo.yaml", catalogue.Demo)), Engine: r.engine,
		Archive: db, Clock: r.clock, Reference: r.keys.Reference, Partners: []string{"wallet", "ocs"}, Readers: map[string]purchase.BalanceReader{"ocs": r.ocs}}))
	cares := care.Config{Store: db, Clock: r.clock, Engine: r.engine, House: house{}, References: r.keys, Files: files, Policy: care.DefaultPolicy(),
		Format: numbers.Format, Hours: care.Hours{Closes: 24 * time.Hour, Location: time.UTC, PerWindow: 10}}
	r.elsewhere = must[*care.Desk](t)(care.New(cares))
	cares.Changed = func(x care.Changed) { r.Changed(x) }
	desk := must[*care.Desk](t)(care.New(cares))
	people := must[*auth.StaffDesk](t)(auth.NewStaffDesk(auth.StaffConfig{Store: db, Clock: r.clock, Random: rand.Reader, Secret: secret, Issuer: "tenu", PasswordAlone: true,
		Limits: auth.SessionLimits{Life: 12 * time.Hour, Idle: 2 * time.Hour}}))
	r.pauses = must[*incident.Switch](t)(incident.NewSwitch(incident.SwitchConfig{Store: db, Clock: r.clock, Known: known, Changed: func(incident.Pause) { r.IncidentChanged() }}))
	record := incident.Config{Store: db, Clock: r.clock, Known: known, Engine: r.engine, Paused: func(p incident.Pause) { r.pauses.Apply(p) }}
	r.elsewhereIncidents = must[*incident.Desk](t)(incident.New(record))
	record.Changed = func(incident.ID) { r.IncidentChanged() }
	incidents := must[*incident.Desk](t)(incident.New(record))
	r.late = &clock{}
	r.late.by.Store(int64(3 * time.Hour))
	r.breaks = must[*reconcile.Desk](t)(reconcile.NewDesk(reconcile.Config{Store: db, Keys: r.keys, Clock: r.late, Dir: t.TempDir(), Grants: r.engine.Grants,
		Bounds: map[auth.Role]reconcile.Bounds{auth.Agent: {Single: 5000, Unchecked: 500}, auth.Supervisor: {Single: 5000, Unchecked: 500, Approve: 5000},
			auth.Administrator: {Approve: 5000}},
		Known: []reconcile.Known{{Partner: reconcile.Partner{Name: "ocs", Undone: true, Skew: time.Second}, Settlement: &reconcile.Settlement{Account: "bank"}},
			{Partner: reconcile.Partner{Name: "bank"}}}}))
	r.queue = centre.New(centre.Config{Store: db, Clock: r.clock, Log: log, RingFor: time.Hour, WrapFor: time.Minute, Changed: func(a centre.Agent) { r.AgentChanged(a) }})
	private, public, err := note.GenerateKey(rand.Reader, "tenu.example")
	if err != nil {
		t.Fatal(err)
	}
	r.sign = must[note.Signer](t)(note.NewSigner(private))
	verify := note.VerifierList(must[note.Verifier](t)(note.NewVerifier(public)))
	r.Console = must[*Console](t)(New(Config{Breaks: r.breaks, Verify: verify, Incidents: incidents, Pauses: r.pauses, Record: db, Series: series, Line: &Line{Agents: r.queue, Record: db}, Brand: "tenu", Staff: people, Care: desk, Store: db, Purchases: db, Engine: r.engine, Sales: sales, Numbers: numbers, References: r.keys,
		Partners: map[string]map[string]string{"wallet": {"fr": "Portefeuille", "en": "Wallet"}, "ocs": {"fr": "OCS"}}, Location: time.UTC, Clock: r.clock, Random: rand.Reader, Secret: secret, Log: log}))
	salt := []byte("salt of the tests")
	cheap := fmt.Sprintf("$argon2id$v=%d$m=8,t=1,p=1$%s$%s", argon2.Version, base64.RawStdEncoding.EncodeToString(salt),
		base64.RawStdEncoding.EncodeToString(argon2.IDKey([]byte(password), salt, 1, 8, 1, 32)))
	for _, s := range crew {
		s.Version = 1
		s.ID = must[auth.StaffID](t)(db.AddStaff(t.Context(), s, auth.Secrets{Password: cheap}, auth.StaffChange{At: r.clock.Now(), By: "test", What: "added"}))
		r.staff[s.Login] = s
	}
	r.run()
	return r
}

// run runs the engine, the hub and the server until the test is over.
func (r *rig) run() {
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan error, 1)
	go func() { over <- r.engine.Run(ctx, time.Second) }()
	hub := make(chan struct{})
	go func() { r.Console.Run(ctx); close(hub) }()
	line := make(chan struct{})
	go func() { r.queue.Run(ctx); close(line) }()
	r.server = httptest.NewServer(r.Console)
	r.t.Cleanup(func() {
		r.Drain()
		r.server.Close()
		cancel()
		<-hub
		<-line
		if err := <-over; err != nil {
			r.t.Errorf("engine: %v", err)
		}
	})
	for r.engine.Ready() != nil {
		select {
		case err := <-over:
			r.t.Fatalf("engine: %v", err)
		case <-time.After(time.Millisecond):
		}
	}
}

// sell sells airtime; silent: whether it was credited stays unknown.
func (r *rig) sell(payer, recipient purchase.MSISDN, silent bool) purchase.Purchase {
	r.t.Helper()
	r.ocs.silence(silent)
	defer r.ocs.silence(false)
	r.sold++
	bought := r.engine.BuyAll(r.t.Context(), []purchase.Request{{Client: "app", ClientKey: "key-" + strconv.Itoa(r.sold), Channel: "app", Language: "fr", PayerNumber: payer, Recipient: recipient,
		Payer: "wallet", Provider: "ocs", Product: "airtime", Total: 1050, Fee: 50, Units: 1000, Currency: money.XOF, Again: true}})[0]
	if bought.Err != nil {
		r.t.Fatal(bought.Err)
	}
	updates, stop := r.engine.Watch(bought.Purchase.ID)
	defer stop()
	for {
		p := must[[]purchase.Record](r.t)(r.store.Load(r.t.Context(), bought.Purchase.ID))[0].Purchase
		if p.State == purchase.Credited || silent && p.State == purchase.Crediting && p.Legs[purchase.Credit].Doubt {
			return p
		}
		select {
		case <-updates:
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// file opens a case about a purchase, or of a number alone.
func (r *rig) file(number purchase.MSISDN, about purchase.ID) (care.Case, string) {
	r.t.Helper()
	c, _, err := r.cfg.Care.Open(r.t.Context(), care.Actor{Kind: care.ByCustomer}, care.NewCase{Number: number, Purchase: about, Matter: care.MatterNotReceived,
		Detail: "<script>alert(1)</script> & “rien reçu”", Channel: "app", Language: "fr"})
	if err != nil {
		r.t.Fatal(err)
	}
	return c, r.cfg.Care.CaseReference(c.ID)
}

func (r *rig) reference(p *purchase.Purchase) string { return r.keys.Reference(p.ID).String() }

// answer is what a browser got.
type answer struct {
	status int
	header http.Header
	body   string
}

// ask asks as somebody who is signed in; as nobody when login is "".
func (r *rig) ask(login, method, path, kind string, body io.Reader) *answer {
	r.t.Helper()
	q := must[*http.Request](r.t)(http.NewRequestWithContext(r.t.Context(), method, r.server.URL+path, body))
	if kind != "" {
		q.Header.Set("Content-Type", kind)
	}
	q.Header.Set("Cookie", r.cookies[login])
	q.Header.Set("Accept-Language", "fr")
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	got, err := client.Do(q)
	if err != nil {
		r.t.Fatal(err)
	}
	defer got.Body.Close()
	text := must[[]byte](r.t)(io.ReadAll(got.Body))
	jar := r.cookies[login]
	for _, k := range got.Cookies() {
		if k.MaxAge >= 0 {
			jar = strings.TrimPrefix(jar+"; "+k.Name+"="+k.Value, "; ")
		}
	}
	r.cookies[login] = jar
	return &answer{got.StatusCode, got.Header, string(text)}
}

// main is a page's own part as it is read, with plain spaces.
func (a *answer) main() string {
	_, after, found := strings.Cut(a.body, "<main")
	if !found {
		after = a.body
	}
	return strings.NewReplacer("\u00a0", " ", "\u202f", " ").Replace(html.UnescapeString(after))
}

func (r *rig) get(login, path string) *answer {
	r.t.Helper()
	return r.ask(login, "GET", path, "", nil)
}

var tokenForm = regexp.MustCompile(`name="token" value="([^"]+)"`)

// token is what the forms of somebody bear.
func (r *rig) token(login string) string {
	r.t.Helper()
	path := "/account"
	if login == "" {
		path = "/signin"
	}
	m := tokenForm.FindStringSubmatch(r.get(login, path).body)
	if m == nil {
		r.t.Fatalf("%q sees no form: %+v with %q", login, r.get(login, path), r.cookies[login])
	}
	return m[1]
}

// post sends a form, pairs of names and values, with its token.
func (r *rig) post(login, path string, pairs ...string) *answer {
	r.t.Helper()
	form := url.Values{"token": {r.token(login)}}
	for i := 0; i+1 < len(pairs); i += 2 {
		form.Add(pairs[i], pairs[i+1])
	}
	return r.ask(login, "POST", path, "application/x-www-form-urlencoded", strings.NewReader(form.Encode()))
}

// upload sends a file.
func (r *rig) upload(login, path, name string, data []byte) *answer {
	r.t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	err := w.WriteField("token", r.token(login))
	part := must[io.Writer](r.t)(w.CreateFormFile("file", name))
	if err == nil {
		_, err = part.Write(data)
	}
	if err = errors.Join(err, w.Close()); err != nil {
		r.t.Fatal(err)
	}
	return r.ask(login, "POST", path, w.FormDataContentType(), &b)
}

// enter signs people in.
func (r *rig) enter(logins ...string) {
	r.t.Helper()
	for _, login := range logins {
		a := r.post("", "/signin", "login", login, "password", password)
		if a.status != http.StatusSeeOther {
			r.t.Fatalf("sign in %s: %d %s", login, a.status, a.main())
		}
		r.cookies[login], r.cookies[""] = r.cookies[""], ""
	}
}

func escape(text string) string { return url.QueryEscape(text) }

// look gives a reason for a customer.
func (r *rig) look(login string, number purchase.MSISDN) {
	r.t.Helper()
	if a := r.post(login, "/customers/"+number.String(), "reason", "call", "to", "/customers/"+number.String()); a.status != http.StatusSeeOther {
		r.t.Fatalf("look: %d %s", a.status, a.main())
	}
}

// shows fails the test unless an answer has a status and every text.
func shows(t testing.TB, a *answer, status int, texts ...string) {
	t.Helper()
	if a.status != status {
		t.Errorf("status %d, want %d: %s", a.status, status, a.main())
		return
	}
	for _, text := range texts {
		if !strings.Contains(a.main(), text) {
			t.Errorf("%q is not shown: %s", text, a.main())
		}
	}
}

// visitOf is a request of somebody's, in a language.
func (r *rig) visitOf(t testing.TB, q *http.Request, who auth.Staff, lang string) *visit {
	t.Helper()
	shared, err := r.site.Visit(httptest.NewRecorder(), q)
	if err != nil {
		t.Fatal(err)
	}
	shared.Who = who
	shared.Speak(lang)
	return r.visit(shared)
}
