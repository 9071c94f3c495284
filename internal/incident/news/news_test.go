package news_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"mime/quotedprintable"
	"net"
	"net/http"
	"net/http/httptest"
	netmail "net/mail"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"tenu/internal/auth"
	"tenu/internal/hook"
	"tenu/internal/incident"
	"tenu/internal/incident/news"
	"tenu/internal/mail"
	"tenu/internal/purchase"
	"tenu/internal/store"
)

var noon = purchase.At(time.Date(2027, 7, 9, 12, 0, 0, 0, time.UTC))

// world is a real store, a desk, a courier, a mail server and another system over HTTPS.
type world struct {
	t       *testing.T
	store   *store.Store
	desk    *incident.Desk
	courier *hook.Courier
	cfg     hook.Config
	chief   auth.StaffID

	mu     sync.Mutex
	now    purchase.Instant
	finds  []incident.Finding
	mails  []*netmail.Message
	bodies []map[string]any
	refuse bool // mails
	url    string
}

func (w *world) Now() purchase.Instant                { w.mu.Lock(); defer w.mu.Unlock(); return w.now }
func (*world) After(d time.Duration) <-chan time.Time { return time.After(d) }

// The mail server.

type session struct {
	w *world
	smtp.Session
}

func (s session) Mail(string, *smtp.MailOptions) error { return nil }
func (s session) Rcpt(string, *smtp.RcptOptions) error {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	if s.w.refuse {
		return &smtp.SMTPError{Code: 451, Message: "later"}
	}
	return nil
}

func (s session) Data(r io.Reader) error {
	m, err := netmail.ReadMessage(r)
	if err != nil {
		return err
	}
	text, err := io.ReadAll(quotedprintable.NewReader(m.Body))
	if err != nil {
		return err
	}
	m.Body = bytes.NewReader(text)
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	s.w.mails = append(s.w.mails, m)
	return nil
}
func (session) Reset()        {}
func (session) Logout() error { return nil }

// NewSession is smtp.Backend.
func (w *world) NewSession(*smtp.Conn) (smtp.Session, error) { return session{w: w}, nil }

// ServeHTTP is the other system.
func (w *world) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	var body map[string]any
	data, _ := io.ReadAll(r.Body)
	if err := json.Unmarshal(data, &body); err != nil || body["id"] != r.Header.Get(hook.HeaderEvent) || body["type"] != r.Header.Get(hook.HeaderType) {
		w.t.Errorf("%v: %q", err, data)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.bodies = append(w.bodies, body)
}

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func begin(t *testing.T, duties ...incident.Duty) *world {
	t.Helper()
	dsn := "sqlite:" + filepath.Join(t.TempDir(), "tenu.db")
	if _, _, err := store.Migrate(t.Context(), dsn, store.Options{}); err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, now: noon, store: must[*store.Store](t)(store.Open(t.Context(), dsn, store.Options{}))}
	t.Cleanup(func() { _ = w.store.Close() })
	w.desk = must[*incident.Desk](t)(incident.New(incident.Config{Store: w.store, Clock: w, Duties: duties,
		Find: func(purchase.Instant) []incident.Finding { return w.finds }}))
	w.chief = must[auth.StaffID](t)(w.store.AddStaff(t.Context(), auth.Staff{Version: 1, Login: "awa", Name: "Awa", Role: auth.Supervisor, Language: "fr"}, auth.Secrets{}, auth.StaffChange{At: noon, By: "test"}))
	web := httptest.NewTLSServer(w)
	t.Cleanup(web.Close)
	w.url = web.URL
	roots := x509.NewCertPool()
	roots.AddCert(web.Certificate())
	server := smtp.NewServer(w)
	server.TLSConfig = &tls.Config{Certificates: web.TLS.Certificates, MinVersion: tls.VersionTLS12}
	listener := must[net.Listener](t)((&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0"))
	over := make(chan struct{})
	go func() { defer close(over); _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close(); <-over })
	post := must[*mail.Sender](t)(mail.New(mail.Config{Address: listener.Addr().String(), Security: mail.STARTTLS, Roots: roots, From: "tenu@tenu.example"}))
	told := must[*news.News](t)(news.New(news.Config{Desk: w.desk, Record: w.store, Post: post, Page: func(id incident.ID) string { return "https://console.example/incidents/" + id.String() }}))
	targets := must[*hook.Targets](t)(hook.NewTargets([]hook.Target{{Host: strings.TrimPrefix(web.URL, "https://"), Secrets: [][]byte{[]byte("a secret of at least 32 bytes, it is")}, Private: true}}))
	w.cfg = hook.Config{Store: w.store.IncidentEvents(), Targets: targets, Clock: w, Log: slog.New(slog.DiscardHandler), Roots: roots, Timeout: time.Minute, Patience: time.Minute,
		Write: told.Write, Carry: told.Carry, Taken: told.Taken}
	return w
}

// listen starts a courier anew, as a process does, with these listeners.
func (w *world) listen(all ...hook.Listener) {
	w.t.Helper()
	w.courier = must[*hook.Courier](w.t)(hook.NewCourier(w.cfg))
	if err := w.courier.Configure(w.t.Context(), all); err != nil {
		w.t.Fatal(err)
	}
}

// pass lets time pass with a look every two seconds at least, and everything delivered that can be.
func (w *world) pass(d time.Duration) {
	w.t.Helper()
	for end := w.Now().Add(d); w.Now() < end; {
		w.mu.Lock()
		w.now = min(w.now.Add(max(d/20, 2*time.Second)), end)
		w.mu.Unlock()
		if _, err := w.desk.Step(w.t.Context(), w.Now()); err != nil {
			w.t.Fatal(err)
		}
		w.deliver()
	}
}

func (w *world) deliver() {
	w.t.Helper()
	for range 50 {
		next, err := w.courier.Step(w.t.Context(), w.Now())
		if err != nil {
			w.t.Fatal(err)
		}
		if next > w.Now() {
			return
		}
	}
	w.t.Fatal("it never rests")
}

func (w *world) fail(fails bool) {
	w.finds = nil
	if fails {
		w.finds = []incident.Finding{{Series: incident.Series{By: incident.ByProvider, Name: "ocs"}, Rule: incident.RuleAbsolute, Since: w.now, At: w.now, Detail: "20 paid, none credited"}}
	}
}

// reopen sells all again.
func (w *world) reopen() {
	w.t.Helper()
	for _, p := range must[[]incident.Pause](w.t)(w.store.Pauses(w.t.Context(), 0)) {
		if p.EndedAt == 0 {
			p.Version++
			p.Share, p.EndedAt = 1000, w.now
			must[incident.Pause](w.t)(w.store.ChangePause(w.t.Context(), p))
		}
	}
}

func (w *world) only() incident.Incident {
	w.t.Helper()
	all := must[[]incident.Incident](w.t)(w.store.Incidents(w.t.Context(), incident.Query{}))
	if len(all) != 1 {
		w.t.Fatalf("%d incidents", len(all))
	}
	return all[0]
}

func (w *world) types() (types []string) {
	for _, b := range w.bodies {
		types = append(types, fmt.Sprint(b["type"]))
	}
	return types
}

// text is the nth mail's, from the end when negative.
func (w *world) text(n int) string {
	w.t.Helper()
	if n < 0 {
		n += len(w.mails)
	}
	m := w.mails[n]
	text := must[[]byte](w.t)(io.ReadAll(m.Body))
	m.Body = bytes.NewReader(text)
	return strings.ReplaceAll(string(text), "\r\n", "\n")
}

var (
	owed  = incident.Duty{Name: "own-regulator", Kind: incident.TellRegulator, Lasts: 20 * time.Minute, Within: time.Hour, Source: "the operator's own target"}
	users = incident.Duty{Name: "tg-users", Kind: incident.TellUsers, Lasts: 30 * time.Minute, Source: "decision 068"}
)

// An incident from its first second to its end, as other systems and operations hear of it: in order, one mail for each turn, one
// thread, nothing twice after a restart.
func TestNews(t *testing.T) {
	w := begin(t, owed, users)
	all := []hook.Listener{hook.Configured("noc", "", w.url+"/", ""), news.Mailbox("noc@operator.example", false)}
	w.listen(all...)
	w.fail(true)
	w.pass(10 * time.Minute)
	if got := w.types(); !slices.Equal(got, []string{news.TypeOpened, news.TypePaused}) {
		t.Fatalf("told %q", got)
	}
	if len(w.mails) != 1 || w.mails[0].Header.Get("Message-Id") != "<I-1@tenu.example>" || w.mails[0].Header.Get("Subject") != "tenu I-1: provider ocs" {
		t.Fatalf("%d mails, %v", len(w.mails), w.mails[0].Header)
	}
	text := w.text(0)
	fr, en := strings.Index(text, "I-1, incident ouvert : "), strings.Index(text, "I-1, incident opened: ")
	if fr != 0 || en < fr || !strings.Contains(text, "20 paid, none credited") || !strings.Contains(text, "https://console.example/incidents/I-1") {
		t.Errorf("the first mail:\n%s", text)
	}
	in, _ := w.bodies[0]["incident"].(map[string]any)
	if w.bodies[0]["detail"] != "20 paid, none credited" || in["name"] != "ocs" || in["status"] != "ongoing" || in["since"] != "2027-07-09T12:00:00Z" || in["sold_per_thousand"] != 0.0 {
		t.Errorf("body %v", w.bodies[0])
	}

	// What staff write for the house stays there.
	i := w.only()
	if _, err := w.desk.Act(t.Context(), i.ID, i.Version, w.chief, incident.Deed{Do: incident.EventNote, Text: "call 70 00 00 01"}); err != nil {
		t.Fatal(err)
	}
	w.pass(15 * time.Minute)
	if got := w.types()[2:]; !slices.Equal(got, []string{news.TypeNotice}) {
		t.Errorf("told %q", got)
	}
	notice, _ := w.bodies[2]["notice"].(map[string]any)
	texts, _ := notice["text"].(map[string]any)
	french, _ := texts["fr"].(string)
	if notice["duty"] != owed.Name || notice["due"] != "2027-07-09T13:20:00Z" || !strings.Contains(french, "Notification d'un incident") {
		t.Errorf("notice %v", notice)
	}
	if len(w.mails) != 2 || !strings.Contains(w.text(1), "> Notice of a service incident.") || !strings.Contains(w.text(1), "À faire : notifier le régulateur, avant le 09/07 13:20:00") {
		t.Fatalf("%d mails:\n%s", len(w.mails), w.text(-1))
	}
	for k, m := range w.mails {
		if strings.Contains(w.text(k), "70 00 00 01") {
			t.Error("a note left the house")
		}
		if k > 0 && (m.Header.Get("References") != "<I-1@tenu.example>" || m.Header.Get("Subject") != "Re: tenu I-1: provider ocs" || m.Header.Get("Message-Id") == "<I-1@tenu.example>") {
			t.Errorf("mail %d is of no thread: %v", k, m.Header)
		}
	}

	// After a restart nothing is told again.
	mails, bodies := len(w.mails), len(w.bodies)
	w.listen(all...)
	w.deliver()
	if len(w.mails) != mails || len(w.bodies) != bodies {
		t.Errorf("after a restart %d mails, %d events", len(w.mails), len(w.bodies))
	}

	// The mail server is away while it recovers, and is resolved: one mail tells of both.
	w.mu.Lock()
	w.refuse = true
	w.mu.Unlock()
	w.fail(false)
	w.reopen()
	w.pass(4 * time.Minute)
	if got := w.types()[bodies:]; !slices.Contains(got, news.TypeRecovering) || got[len(got)-1] != news.TypeResolved {
		t.Errorf("told %q", got)
	}
	w.mu.Lock()
	w.refuse = false
	w.mu.Unlock()
	w.pass(15 * time.Minute)
	if text := w.text(-1); len(w.mails) != mails+1 || !strings.Contains(text, "it works again") || !strings.Contains(text, "I-1, all is sold again") {
		t.Errorf("%d mails after %d, the last\n%s", len(w.mails), mails, text)
	}
}

// A regulator that has a mailbox is told once, and the incident says so; a webhook of theirs as well.
func TestRegulator(t *testing.T) {
	for name, listener := range map[string]func(*world) hook.Listener{
		"mail":    func(*world) hook.Listener { return news.Mailbox("incidents@regulator.example", true) },
		"webhook": func(w *world) hook.Listener { return hook.Configured("arcep", "", w.url+"/", news.Notices) },
	} {
		t.Run(name, func(t *testing.T) {
			w := begin(t, owed)
			w.listen(listener(w))
			w.fail(true)
			w.pass(15 * time.Minute)
			if len(w.mails)+len(w.bodies) != 0 {
				t.Error("told before the notice is due")
			}
			w.pass(15 * time.Minute)
			w.listen(listener(w))
			w.pass(15 * time.Minute)
			if len(w.mails)+len(w.bodies) != 1 {
				t.Fatalf("%d mails, %d events", len(w.mails), len(w.bodies))
			}
			i := w.only()
			if o := i.Owes(owed.Name); !o.Kept() || o.DoneBy != 0 {
				t.Errorf("owed %+v", o)
			}
			if name == "mail" && (!strings.HasPrefix(w.text(0), "Notification d'un incident de service.") || w.mails[0].Header.Get("References") != "") {
				t.Errorf("%v\n%s", w.mails[0].Header, w.text(0))
			}
		})
	}
}

// An incident that turns time and again is no flood.
func TestFlapping(t *testing.T) {
	w := begin(t)
	w.listen(news.Mailbox("noc@operator.example", false))
	w.cfg.Patience = time.Minute
	for range 12 {
		w.fail(true)
		w.pass(time.Minute)
		w.fail(false)
		w.reopen()
		w.pass(2 * time.Minute)
	}
	turns := 0
	for _, e := range must[[]incident.Entry](t)(w.store.Entries(t.Context(), w.only().ID)) {
		if e.Event == incident.EventAgain {
			turns++
		}
	}
	if turns < 10 || len(w.mails) > 24 {
		t.Errorf("%d mails of %d turns", len(w.mails), turns)
	}
	for k := range w.mails[1:] {
		if k > 8 && strings.Contains(w.text(k+1), "I-1, it fails again") {
			t.Errorf("mail %d says that it fails again", k+1)
		}
	}
}

// What a configuration may ask for.
func TestCheckQuery(t *testing.T) {
	for query, ok := range map[string]bool{"": true, "notices": true, "eventType=IncidentOpenedEvent,IncidentClosedEvent": true, "eventType=TroubleTicketCreateEvent": false,
		"x=y": false, "eventType=": false, "%zz": false, "eventType=" + strings.Repeat("IncidentOpenedEvent,", 40) + "IncidentOpenedEvent": false} {
		if err := news.CheckQuery(query); (err == nil) != ok {
			t.Errorf("%.40q: %v", query, err)
		}
	}
}
