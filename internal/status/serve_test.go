package status_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"tenu/internal/auth"
	"tenu/internal/incident"
	"tenu/internal/money"
	"tenu/internal/notify/gsm7"
	"tenu/internal/purchase"
	"tenu/internal/status"
	"tenu/internal/store"
)

var noon = purchase.At(time.Date(2024, 7, 9, 14, 32, 5, 0, time.UTC))

const awa purchase.MSISDN = 22670112233

var ocs = incident.Series{By: incident.ByProvider, Name: "ocs"}

// rig is a server on a real store.
type rig struct {
	t      *testing.T
	store  *store.Store
	desk   *status.Desk
	server *status.Server
	keys   *purchase.Keyring

	mu       sync.Mutex
	now      purchase.Instant
	sent     map[purchase.MSISDN]string // the last message with a code
	affected map[purchase.ID][]incident.ID
	broken   error
	failed   []error
}

func (r *rig) Now() purchase.Instant { r.mu.Lock(); defer r.mu.Unlock(); return r.now }

func (*rig) After(d time.Duration) <-chan time.Time { return time.After(d) }

func (*rig) Snapshot(_ context.Context, now purchase.Instant) (status.Snapshot, error) {
	return status.Snapshot{At: now, Currency: money.XOF, Components: []status.Component{{Series: ocs,
		Name: map[purchase.Language]string{"fr": "Unités"}, State: status.Paused},
		{Series: incident.Series{By: incident.ByChannel, Name: "app"}, State: status.Operational}},
		Incidents: []status.Incident{{Incident: incidentOf("Crédit en retard")}}}, nil
}

func incidentOf(title string) incident.Incident {
	return incident.Incident{ID: 12, Series: ocs, Status: incident.Ongoing, Since: noon - 1e9, SeenAt: noon,
		Title: map[purchase.Language]string{"fr": title, "en": title}}
}

func (r *rig) Load(ctx context.Context, ids ...purchase.ID) ([]purchase.Record, error) {
	if r.broken != nil {
		return nil, r.broken
	}
	return r.store.Load(ctx, ids...)
}

func (r *rig) Affects(_ context.Context, p purchase.ID) ([]incident.ID, error) {
	return r.affected[p], nil
}

func newRig(t *testing.T) *rig {
	t.Helper()
	dsn := "sqlite:" + filepath.Join(t.TempDir(), "tenu.db")
	if _, _, err := store.Migrate(t.Context(), dsn, store.Options{}); err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(t.Context(), dsn, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	r := &rig{t: t, store: s, now: noon, sent: map[purchase.MSISDN]string{}, affected: map[purchase.ID][]incident.ID{}}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	r.keys, err = purchase.NewKeyring([]byte("0123456789abcdef"))
	must(err)
	site, err := status.NewSite(status.Config{Brand: "Tenu", Public: "https://etat.example/", Location: time.UTC})
	must(err)
	codes, err := auth.NewCodes(s, r, rand.Reader, []byte("a secret of the status page"),
		auth.CodeLimits{Number: 3, NumberDaily: 10, Source: 8, Prefix: 30, PrefixDigits: 3, Daily: 100})
	must(err)
	r.desk, err = status.NewDesk(site, s, codes, func(number purchase.MSISDN, _, text string) error {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.sent[number] = text
		return nil
	}, r)
	must(err)
	w, err := status.NewWriter(site, r, "")
	must(err)
	_, err = w.Step(t.Context(), noon)
	must(err)
	r.server, err = status.NewServer(status.ServerConfig{Site: site, Writer: w, Desk: r.desk, Purchases: r, References: r.keys, Clock: r,
		Number: func(text string) (purchase.MSISDN, error) {
			n, err := strconv.ParseInt(strings.ReplaceAll(text, " ", ""), 10, 64)
			return purchase.MSISDN(n), err
		},
		Format: func(n purchase.MSISDN) string { return "+" + n.String() },
		Source: func(q *http.Request) string { return q.Header.Get("X-Source") }, Failed: func(err error) { r.failed = append(r.failed, err) },
		Limits: status.Limits{Source: 5, All: 1000}})
	must(err)
	return r
}

// get asks for a page, with headers as name, value.
func (r *rig) get(path string, headers ...string) *httptest.ResponseRecorder {
	q := httptest.NewRequestWithContext(r.t.Context(), http.MethodGet, path, nil)
	for i := 0; i < len(headers); i += 2 {
		q.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	r.server.ServeHTTP(w, q)
	return w
}

// post sends a form, as names and values.
func (r *rig) post(path string, pairs ...string) *httptest.ResponseRecorder {
	form := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	q := httptest.NewRequestWithContext(r.t.Context(), http.MethodPost, path, strings.NewReader(form.Encode()))
	q.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	r.server.ServeHTTP(w, q)
	return w
}

func (r *rig) says(w *httptest.ResponseRecorder, code int, wants ...string) {
	r.t.Helper()
	body := strings.NewReplacer("\u00a0", " ", "&#39;", "'", "&#43;", "+").Replace(w.Body.String())
	if w.Code != code || len(body) > status.Most {
		r.t.Errorf("%d with %d bytes, not %d", w.Code, len(body), code)
	}
	for _, want := range wants {
		if !strings.Contains(body, want) {
			_, main, _ := strings.Cut(body, "<main")
			r.t.Errorf("%q is not said in <main%s", want, main)
		}
	}
}

func TestServerServesFiles(t *testing.T) {
	r := newRig(t)
	first := r.get("/")
	r.says(first, 200, "Des ventes sont suspendues", `action="concerned"`, `href="subscribe?lang=fr"`)
	for path, kind := range map[string]string{"/index.en.html": "text/html; charset=utf-8", "/incident-12.html": "text/html; charset=utf-8",
		"/status.json": "application/json",
		"/feed.xml":    "application/rss+xml; charset=utf-8", "/history.html": "text/html; charset=utf-8"} {
		if w := r.get(path); w.Code != 200 || w.Header().Get("Content-Type") != kind || !strings.Contains(w.Header().Get("Cache-Control"), "max-age=10") {
			t.Errorf("%s: %d %v", path, w.Code, w.Header())
		}
	}
	tag := first.Header().Get("ETag")
	if w := r.get("/index.html", "If-None-Match", tag); w.Code != http.StatusNotModified || w.Body.Len() > 0 || tag == "" {
		t.Errorf("the same again: %d, tag %q", w.Code, tag)
	}
	zipped := r.get("/", "Accept-Encoding", "gzip")
	z, err := gzip.NewReader(zipped.Body)
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := io.ReadAll(z); err != nil || !bytes.Equal(plain, first.Body.Bytes()) || zipped.Header().Get("ETag") == tag {
		t.Errorf("compressed it is another page, or has the tag %s: %v", zipped.Header().Get("ETag"), err)
	}
	for _, path := range []string{"/nothing.html", "/../secret", "/incident-99.html", "/.tenu-status-index.html"} {
		if w := r.get(path); w.Code == 200 {
			t.Errorf("%s is there", path)
		}
	}
}

// sell keeps a purchase in a state.
func (r *rig) sell(sequence int64, state purchase.State) (purchase.ID, string) {
	r.t.Helper()
	lease, err := r.store.Acquire(r.t.Context(), "node")
	if err != nil {
		r.t.Fatal(err)
	}
	p := purchase.Purchase{ID: purchase.MakeID(1, sequence), Version: 1, Epoch: lease.Epoch, State: state, DueAt: noon, CreatedAt: noon - 9,
		ResolveBy: noon.Add(time.Hour), RefundBy: noon.Add(2 * time.Hour),
		ClosedAt: noon.Add(-time.Minute),
		Request: purchase.Request{ClientKey: fmt.Sprint(sequence), Again: true, Total: 987, Fee: 1, Units: 986, Currency: money.XOF, Recipient: awa,
			PayerNumber: awa}}
	if verdicts, err := r.store.Commit(r.t.Context(), lease.Epoch, []purchase.Change{{Now: p}}); err != nil || verdicts[0].Result != purchase.Written {
		r.t.Fatal(verdicts, err)
	}
	return p.ID, r.keys.Reference(p.ID).String()
}

func TestConcernedTellsNothingPersonal(t *testing.T) {
	r := newRig(t)
	for i, c := range []struct {
		state purchase.State
		says  string
	}{{purchase.Charging, "pas encore confirmé"}, {purchase.Crediting, "au plus tard le 09/07/2024 à 15:32"}, {purchase.Refunding,
		"au plus tard le 09/07/2024 à 16:32"},
		{purchase.Credited, "Crédité le 09/07/2024 à 14:31"}, {purchase.Refunded, "Remboursé le"}, {purchase.Declined, "Rien n'a été débité"}} {
		id, ref := r.sell(int64(i+1), c.state)
		source := fmt.Sprint("10.0.0.", i)
		free := r.get("/concerned?ref="+strings.ToLower(ref), "X-Source", source)
		r.says(free, 200, ref, "n'est concerné par aucun incident", c.says)
		r.affected[id] = []incident.ID{12}
		w := r.get("/concerned?ref="+url.QueryEscape(strings.ReplaceAll(ref, "-", " ")), "X-Source", source)
		r.says(w, 200, ref, "est concerné par l'incident I-12", c.says, `href="incident-12.html"`)
		r.says(r.get("/concerned?lang=en&ref="+ref, "X-Source", source), 200, "is affected by incident I-12")
		for _, secret := range []string{"70112233", "987", "986"} {
			if strings.Contains(w.Body.String(), secret) {
				t.Errorf("%s is told", secret)
			}
		}
		if got := w.Header().Get("Cache-Control"); got != "no-store" {
			t.Errorf("kept: %s", got)
		}
	}
	other := r.keys.Reference(purchase.MakeID(1, 77)).String() // well formed, of no purchase
	for i, bad := range []string{other, "K7M2", "<script>", strings.Repeat("9", 5000)} {
		w := r.get("/concerned?ref="+url.QueryEscape(bad), "X-Source", fmt.Sprint("10.1.0.", i))
		r.says(w, 404, "Aucun achat n'a cette référence")
		if strings.Contains(w.Body.String(), "<script>") {
			t.Error("a reference became part of the page")
		}
	}
	r.says(r.get("/concerned"), 200, "Référence de l'achat")
	r.broken = errors.New("no database")
	r.says(r.get("/concerned?ref="+other, "X-Source", "10.2.0.1"), 503, "Nous ne pouvons pas répondre")
	if len(r.failed) != 1 || !errors.Is(r.failed[0], r.broken) {
		t.Errorf("told: %v", r.failed)
	}
}

func TestConcernedIsBounded(t *testing.T) {
	r := newRig(t)
	_, ref := r.sell(1, purchase.Crediting)
	ask := func(source string) int { return r.get("/concerned?ref="+ref, "X-Source", source).Code }
	for i := range 5 {
		if got := ask("a"); got != 200 {
			t.Errorf("question %d: %d", i, got)
		}
	}
	w := r.get("/concerned?ref="+ref, "X-Source", "a")
	r.says(w, 429, "Trop de demandes")
	if w.Header().Get("Retry-After") == "" || strings.Contains(w.Body.String(), "Payé") {
		t.Error("the question too many is answered, or nothing says when to ask again")
	}
	if got := ask("b"); got != 200 {
		t.Errorf("another source: %d", got)
	}
	r.mu.Lock()
	r.now = r.now.Add(time.Minute)
	r.mu.Unlock()
	if got := ask("a"); got != 200 {
		t.Errorf("a minute later: %d", got)
	}
}

// code is the code that was last sent to a number.
func (r *rig) code(number purchase.MSISDN) string {
	r.t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for word := range strings.FieldsSeq(r.sent[number]) {
		if word = strings.Trim(word, ".,"); len(word) == auth.CodeDigits && strings.Trim(word, "0123456789") == "" {
			return word
		}
	}
	r.t.Fatalf("no code in %q", r.sent[number])
	return ""
}

func (r *rig) follows(number purchase.MSISDN) int {
	r.t.Helper()
	all, err := r.store.SubscriptionsOf(r.t.Context(), number)
	if err != nil {
		r.t.Fatal(err)
	}
	return len(all)
}

func TestSubscribing(t *testing.T) {
	r := newRig(t)
	r.says(r.get("/subscribe"), 200, "Tous les services", "Unités", `value="provider:ocs"`)
	r.says(r.post("/subscribe", "number", "abc", "series", "all"), 422, "pas valable")
	r.says(r.post("/subscribe", "number", awa.String(), "series", "provider:none"), 422, "Ce service n'existe pas")
	if len(r.sent) != 0 {
		t.Error("a code was sent for nothing")
	}
	r.says(r.post("/subscribe", "number", awa.String(), "series", "provider:ocs"), 200, "+22670112233", `name="series" value="provider:ocs"`)
	if text := r.sent[awa]; !gsm7.Fits(text) || !strings.HasPrefix(text, "Tenu : votre code") {
		t.Errorf("%q", text)
	}
	confirm := func(code, wish string) *httptest.ResponseRecorder {
		return r.post("/confirm", "number", awa.String(), "series", "provider:ocs", "code", code, "wish", wish)
	}
	code := r.code(awa)
	wrong := "000000"
	if code == wrong {
		wrong = "111111"
	}
	r.says(confirm(wrong, "on"), 422, "Ce code n'est pas le bon")
	if r.follows(awa) != 0 {
		t.Error("told without the code")
	}
	r.says(confirm(code, "on"), 200, "Vous serez prévenu")
	r.says(confirm(code, "on"), 422, "Ce code n'est pas le bon") // once only
	if r.follows(awa) != 1 {
		t.Errorf("follows %d", r.follows(awa))
	}
	// Nobody else ends it.
	r.says(r.post("/subscribe", "number", awa.String(), "series", "provider:ocs", "lang", "en"), 200, "An SMS with a code")
	r.says(confirm(wrong, "off"), 422)
	if r.follows(awa) != 1 {
		t.Error("a stranger ended it")
	}
	r.says(confirm(r.code(awa), "off"), 200, "plus ces SMS")
	if r.follows(awa) != 0 {
		t.Error("it goes on")
	}
	// A form of another site does nothing.
	q := httptest.NewRequestWithContext(r.t.Context(), http.MethodPost, "/subscribe", strings.NewReader("number="+awa.String()+"&series=all"))
	q.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	q.Header.Set("Sec-Fetch-Site", "cross-site")
	w := httptest.NewRecorder()
	if r.server.ServeHTTP(w, q); w.Code != http.StatusForbidden {
		t.Errorf("another site's form: %d", w.Code)
	}
}

// TestSubscriptionFlood: whoever asks for many is refused with the reason, and no message leaves.
func TestSubscriptionFlood(t *testing.T) {
	r := newRig(t)
	sent := 0
	for i := range 40 {
		w := r.post("/subscribe", "number", (awa + purchase.MSISDN(i%2)).String(), "series", "all")
		switch w.Code {
		case 200:
			sent++
		case 429:
			r.says(w, 429, "Trop de codes ont été demandés")
		default:
			t.Errorf("%d", w.Code)
		}
	}
	if sent != 6 { // three to each of two numbers
		t.Errorf("%d codes were sent", sent)
	}
	// And of numbers that stand together.
	for i := range 100 {
		if err := r.desk.Ask(t.Context(), awa+purchase.MSISDN(10+i), "fr", ""); err == nil {
			sent++
		} else if !errors.Is(err, auth.ErrTooMany) {
			t.Fatal(err)
		}
	}
	if sent != 30 {
		t.Errorf("%d codes were sent to numbers of one prefix", sent)
	}
}

func TestMessagesFit(t *testing.T) {
	r := newRig(t)
	for i, lang := range []purchase.Language{"fr", "en", "fr"} {
		if err := r.store.Subscribe(t.Context(), status.Subscription{Number: awa + purchase.MSISDN(i), Language: lang, Series: ocs, At: noon}, 5); err != nil {
			t.Fatal(err)
		}
	}
	for n := range 5 { // between the pages of two: no news to them
		sub := status.Subscription{Number: awa - purchase.MSISDN(n+1), Language: "fr", Series: ocs, At: noon + 11}
		if err := r.store.Subscribe(t.Context(), sub, 5); err != nil {
			t.Fatal(err)
		}
	}
	for _, title := range []string{"Crédit en retard", "", strings.Repeat("Très long ", 40), "日本 “x” [€] <b>", strings.Repeat("[", 200)} {
		in := incidentOf(title)
		in.ResolvedAt = noon + 10
		for event, word := range map[incident.Event]string{incident.EventOpened: "rachetez pas", incident.EventResolved: "rétabli"} {
			var all []string
			after := purchase.MSISDN(0)
			for {
				page, err := r.desk.Messages(t.Context(), &in, event, after, 2)
				if err != nil {
					t.Fatal(err)
				}
				if len(page) == 0 {
					break
				}
				for _, m := range page {
					if !gsm7.Fits(m.Text) || m.At != noon || m.To <= after {
						t.Errorf("%+v", m)
					}
					end := "/incident-12.html"
					if m.Language == "en" {
						end = "/incident-12.en.html"
					}
					if !strings.HasSuffix(m.Text, end) || m.Language == "fr" && !strings.Contains(m.Text, word) {
						t.Errorf("%q", m.Text)
					}
					after = m.To
					all = append(all, m.Key)
				}
			}
			once := map[incident.Event]string{incident.EventOpened: "opened", incident.EventResolved: fmt.Sprintf("resolved.%d", in.ResolvedAt)}[event]
			if want := fmt.Sprintf("[status/I-12/%s/22670112233 status/I-12/%[1]s/22670112234 status/I-12/%[1]s/22670112235]", once); fmt.Sprint(all) != want {
				t.Errorf("%v", all)
			}
		}
	}
	in := incidentOf("x")
	in.ResolvedAt = noon + 11
	if opened, err := r.desk.Messages(t.Context(), &in, incident.EventOpened, 0, 9); err != nil || len(opened) != 3 {
		t.Errorf("%d are told that it began, %v", len(opened), err)
	}
	if resolved, err := r.desk.Messages(t.Context(), &in, incident.EventResolved, 0, 9); err != nil || len(resolved) != 8 {
		t.Errorf("%d are told that it is over, %v", len(resolved), err)
	}
	// Opened again and resolved again, it is another message; that it is closed then is the same one.
	keys := map[string]int{}
	for _, end := range []struct {
		at   purchase.Instant
		what incident.Event
	}{{noon + 11, incident.EventResolved}, {noon + 11, incident.EventResolved}, {noon + 12, incident.EventResolved}, {noon + 12, incident.EventClosed}} {
		in.ResolvedAt = end.at
		all, err := r.desk.Messages(t.Context(), &in, end.what, 0, 9)
		if err != nil || len(all) == 0 {
			t.Fatalf("%d messages, %v", len(all), err)
		}
		keys[all[0].Key]++
	}
	if len(keys) != 2 {
		t.Errorf("two resolutions have the keys %v", keys)
	}
	if _, err := r.desk.Messages(t.Context(), &in, incident.EventNote, 0, 9); err == nil {
		t.Error("subscribers are told of a note")
	}
}
