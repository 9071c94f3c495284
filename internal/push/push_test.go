package push_test

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"tenu/internal/customer"
	"tenu/internal/purchase"
	"tenu/internal/push"
	"tenu/internal/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// browser is what a browser has of a subscription.
type browser struct {
	key    *ecdh.PrivateKey
	secret []byte
	at     string
}

func newBrowser(t *testing.T, at string) *browser {
	t.Helper()
	key, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	b := &browser{key, make([]byte, 16), at}
	if _, err := rand.Read(b.secret); err != nil {
		t.Fatal(err)
	}
	return b
}

// subscription is what PushSubscription.toJSON gives.
func (b *browser) subscription() string {
	text, err := json.Marshal(map[string]any{"endpoint": b.at, "expirationTime": nil, "keys": map[string]string{
		"p256dh": base64.RawURLEncoding.EncodeToString(b.key.PublicKey().Bytes()), "auth": base64.RawURLEncoding.EncodeToString(b.secret)}})
	if err != nil {
		panic(err)
	}
	return string(text)
}

// read decrypts a message as RFC 8188 and RFC 8291 say.
func (b *browser) read(t *testing.T, body []byte) map[string]string {
	t.Helper()
	salt, rest := body[:16], body[16+4:]
	theirs, err := ecdh.P256().NewPublicKey(rest[1 : 1+rest[0]])
	if err != nil {
		t.Fatal(err)
	}
	shared, err := b.key.ECDH(theirs)
	if err != nil {
		t.Fatal(err)
	}
	derive := func(secret, salt []byte, info string, n int) []byte {
		key, err := hkdf.Key(sha256.New, secret, salt, info, n)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	ikm := derive(shared, b.secret, "WebPush: info\x00"+string(b.key.PublicKey().Bytes())+string(theirs.Bytes()), 32)
	block, err := aes.NewCipher(derive(ikm, salt, "Content-Encoding: aes128gcm\x00", 16))
	if err != nil {
		t.Fatal(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := gcm.Open(nil, derive(ikm, salt, "Content-Encoding: nonce\x00", 12), rest[1+rest[0]:], nil)
	if err != nil {
		t.Fatal(err)
	}
	plain = plain[:bytes.LastIndexByte(plain, 2)]
	var told map[string]string
	if err := json.Unmarshal(plain, &told); err != nil {
		t.Fatalf("%q: %v", plain, err)
	}
	return told
}

// service is a push service.
type service struct {
	*httptest.Server
	mu     sync.Mutex
	gone   bool
	came   chan []byte
	header http.Header
}

func newService(t *testing.T) *service {
	t.Helper()
	s := &service{came: make(chan []byte, 10)}
	s.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.header = r.Header
		if s.gone {
			w.WriteHeader(http.StatusGone)
		} else {
			w.WriteHeader(http.StatusCreated)
		}
		s.came <- body
	}))
	t.Cleanup(s.Close)
	return s
}

type clock struct{}

func (clock) Now() purchase.Instant                  { return purchase.At(time.Now()) }
func (clock) After(d time.Duration) <-chan time.Time { return time.After(d) }

func open(t *testing.T, s *service) (*push.Sender, *store.Store) {
	t.Helper()
	dsn := "sqlite:" + filepath.Join(t.TempDir(), "push.db")
	options := store.Options{Log: slog.New(slog.DiscardHandler)}
	if _, _, err := store.Migrate(t.Context(), dsn, options); err != nil {
		t.Fatal(err)
	}
	kept, err := store.Open(t.Context(), dsn, options)
	if err != nil {
		t.Fatal(err)
	}
	sender, err := push.New(push.Config{Store: kept, Clock: clock{}, Log: slog.New(slog.DiscardHandler), Secret: []byte("0123456789abcdef"), Brand: "tenu",
		Contact: "mailto:ops@example.com", Services: []string{s.Listener.Addr().String()}, Transport: s.Client().Transport,
		Reference: func(purchase.ID) purchase.Reference { return "K7M2Q4XD9T" }})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan struct{})
	go func() { defer close(over); sender.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		<-over
		if err := kept.Close(); err != nil {
			t.Error(err)
		}
	})
	return sender, kept
}

const number purchase.MSISDN = 22670112233

// What a browser receives is what the SMS says; what it muted it does not receive; one
// that is gone is forgotten.
func TestPush(t *testing.T) {
	s := newService(t)
	sender, kept := open(t, s)
	b := newBrowser(t, s.URL+"/send/abc")
	if err := sender.Subscribe(t.Context(), number, b.subscription()); err != nil {
		t.Fatal(err)
	}
	notice := purchase.Notice{Purchase: 1, To: number, Fact: purchase.FactCredited, Text: "C'est crédité : 1 000 F CFA."}
	sender.Tell([]purchase.Notice{{Purchase: 1, To: number + 1, Fact: purchase.FactCredited, Text: "of somebody else"}, notice})
	told := b.read(t, <-s.came)
	if told["text"] != notice.Text || told["title"] != "tenu" || told["path"] != "/purchases/K7M2-Q4XD-9T" || told["tag"] != "K7M2-Q4XD-9T" {
		t.Errorf("told %v", told)
	}
	if h := s.header; h.Get("Ttl") != "86400" || h.Get("Urgency") != "high" || !strings.HasPrefix(h.Get("Authorization"), "vapid t=") ||
		!strings.Contains(h.Get("Authorization"), "k="+sender.Key()) {
		t.Errorf("header %v", h)
	}
	if err := kept.SetChoices(t.Context(), number, customer.Choices{Muted: purchase.FactSet(0).With(purchase.FactPending)}, 1); err != nil {
		t.Fatal(err)
	}
	muted := notice
	muted.Fact, muted.Text = purchase.FactPending, "muted"
	sender.Tell([]purchase.Notice{muted})
	s.mu.Lock()
	s.gone = true
	s.mu.Unlock()
	sender.Tell([]purchase.Notice{notice})
	if told := b.read(t, <-s.came); told["text"] != notice.Text {
		t.Errorf("told %v", told)
	}
	for late := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		list, err := kept.Subscriptions(t.Context(), number)
		if err != nil || time.Now().After(late) {
			t.Fatalf("%v, %v", list, err)
		}
		if len(list) == 0 {
			break
		}
	}
}

// Of a number the newest browsers are kept, and each is its number's alone.
func TestSubscriptions(t *testing.T) {
	s := newService(t)
	sender, kept := open(t, s)
	var last *browser
	for _, name := range "abcdefg" {
		last = newBrowser(t, s.URL+"/"+string(name))
		if err := sender.Subscribe(t.Context(), number, last.subscription()); err != nil {
			t.Fatal(err)
		}
	}
	count := func(n purchase.MSISDN, want int) {
		t.Helper()
		if list, err := kept.Subscriptions(t.Context(), n); err != nil || len(list) != want {
			t.Errorf("%d has %d, %v, want %d", n, len(list), err, want)
		}
	}
	count(number, 5)
	if err := sender.Unsubscribe(t.Context(), number+1, last.subscription()); err != nil {
		t.Fatal(err)
	}
	count(number, 5)
	if err := sender.Subscribe(t.Context(), number+1, last.subscription()); err != nil { // another signed in there
		t.Fatal(err)
	}
	count(number, 4)
	if err := sender.Unsubscribe(t.Context(), number+1, last.subscription()); err != nil {
		t.Fatal(err)
	}
	count(number+1, 0)
}

// Nothing is sent to where no push service is.
func TestForeignEndpoints(t *testing.T) {
	s := newService(t)
	sender, _ := open(t, s)
	b := newBrowser(t, s.URL)
	for _, endpoint := range []string{"", "http://" + s.Listener.Addr().String(), "https://127.0.0.1:1/", "https://127.0.0.1/", "https://evil.example/?" + s.Listener.Addr().String(),
		"https://" + s.Listener.Addr().String() + "@evil.example/", "https://user@" + s.Listener.Addr().String() + "/", "file:///etc/passwd", s.URL + "/" + strings.Repeat("x", 2000)} {
		b.at = endpoint
		if err := sender.Subscribe(t.Context(), number, b.subscription()); !errors.Is(err, push.ErrSubscription) {
			t.Errorf("%.60q: %v", endpoint, err)
		}
	}
	b.at = s.URL
	for _, text := range []string{"", "null", "[]", `{"endpoint": 1}`, strings.Replace(b.subscription(), `"auth":"`, `"auth":"AAAA`, 1),
		strings.Replace(b.subscription(), `"p256dh":"B`, `"p256dh":"C`, 1), strings.Repeat("x", 10_000)} {
		if err := sender.Subscribe(t.Context(), number, text); !errors.Is(err, push.ErrSubscription) {
			t.Errorf("%.60q: %v", text, err)
		}
	}
}
