package smpp

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"tenu/internal/notify"
	"tenu/internal/purchase"
	"tenu/internal/testpeer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// smsc is the SMS centre of test/smpp, which can be killed and started again.
type smsc struct {
	t       testing.TB
	journal string
	files   []string // key and certificate, for TLS
	port    string
	node    *testpeer.Node
}

func newSMSC(t testing.TB, files ...string) *smsc {
	t.Helper()
	s := &smsc{t: t, journal: filepath.Join(t.TempDir(), "journal"), files: files, port: "0"}
	s.start()
	return s
}

func (s *smsc) start() {
	s.t.Helper()
	s.node = testpeer.RunNode(s.t, "test/smpp", "server.js", append([]string{s.port, s.journal}, s.files...)...)
	s.port = s.node.Line()
}

func (s *smsc) address() string { return net.JoinHostPort("127.0.0.1", s.port) }

// taken is a message as the centre took it.
type taken struct {
	ID, To, From, Text string
	Coding             int
	Reference          int
	Resend             bool
	Op                 *int
	Session            string
}

// ask asks the centre something, and reads its answer into to.
func (s *smsc) ask(what string, to any) {
	s.t.Helper()
	if answer := s.node.Ask(what); to != nil {
		if err := json.Unmarshal([]byte(answer), to); err != nil {
			s.t.Fatalf("the centre answers %q: %v", answer, err)
		}
	}
}

func (s *smsc) messages() (all []taken) {
	s.t.Helper()
	s.ask(`{"messages": true}`, &all)
	return all
}

func (s *smsc) set(ways string) { s.t.Helper(); s.ask(`{"set": `+ways+`}`, nil) }

// deliver brings a message to the client and returns the status of its answer.
func (s *smsc) deliver(fields map[string]any) (status int) {
	s.t.Helper()
	text, err := json.Marshal(map[string]any{"deliver": fields})
	if err != nil {
		s.t.Fatal(err)
	}
	s.ask(string(text), &status)
	return status
}

// clock is the machine's.
type clock struct{}

func (clock) Now() purchase.Instant                  { return purchase.At(time.Now()) }
func (clock) After(d time.Duration) <-chan time.Time { return time.After(d) }

// heard gathers what a client is brought.
type heard struct {
	mu       sync.Mutex
	texts    []Inbound
	receipts []notify.Delivery
	fails    int           // so many texts are not taken
	changed  chan struct{} // has room for one
}

func (h *heard) note(change func()) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	defer func() {
		select {
		case h.changed <- struct{}{}:
		default:
		}
	}()
	if h.fails > 0 {
		h.fails--
		return errors.New("not now")
	}
	change()
	return nil
}

// wait waits until enough was heard.
func (h *heard) wait(t testing.TB, what string, enough func() bool) {
	t.Helper()
	late := time.After(time.Minute)
	for {
		h.mu.Lock()
		ok := enough()
		h.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-h.changed:
		case <-late:
			t.Fatalf("%s: %d texts and %d receipts came", what, len(h.texts), len(h.receipts))
		}
	}
}

// run runs a client until the test ends, and returns it once it is bound.
func run(t testing.TB, cfg Config) (*Client, *heard) {
	t.Helper()
	h := &heard{changed: make(chan struct{}, 1)}
	if cfg.SystemID == "" {
		cfg.SystemID, cfg.Password = "tenu", "secret"
	}
	cfg.Clock, cfg.Log = clock{}, slog.New(slog.DiscardHandler)
	cfg.Inbound = func(_ context.Context, in Inbound) error { return h.note(func() { h.texts = append(h.texts, in) }) }
	cfg.Receipt = func(_ context.Context, r notify.Delivery) error {
		return h.note(func() { h.receipts = append(h.receipts, r) })
	}
	if cfg.RetryFirst == 0 {
		cfg.RetryFirst = 20 * time.Millisecond
	}
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); c.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	bound(t, c, max(cfg.Binds, 1))
	return c, h
}

// bound waits until so many binds are up.
func bound(t testing.TB, c *Client, n int) {
	t.Helper()
	for late := time.Now().Add(30 * time.Second); c.Bound() < n; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(late) {
			t.Fatalf("%d of %d binds are up", c.Bound(), n)
		}
	}
}

func message(i int) notify.Message {
	return notify.Message{ID: fmt.Sprintf("K7M2Q4XD9T-%d", i), To: purchase.MSISDN(22670000000 + i), Text: fmt.Sprintf("Crédité : 1 050 F CFA, achat %d.", i)}
}

// A message arrives as it was written, from whom it was to come, under a stable name.
func TestSend(t *testing.T) {
	centre := newSMSC(t)
	c, h := run(t, Config{Address: centre.address(), Sender: "TENU"})
	long := strings.Repeat("Votre achat de 1 050 F CFA est crédité. ", 10)
	for i, text := range []string{"Crédité : 1 050 F CFA @ 14:02 {ok} €", "l'œil d'août, 50 % — « çà »", long, strings.Repeat("ê", 150)} {
		m := message(i)
		m.Text, m.Resend = text, i == 1
		if _, err := c.Send(t.Context(), m); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
	}
	all := centre.messages()
	if len(all) != 2+3+3 {
		t.Fatalf("%d messages: %+v", len(all), all)
	}
	if m := all[0]; m.Text != "Crédité : 1 050 F CFA @ 14:02 {ok} €" || m.Coding != 0 || m.From != "TENU" || m.To != "22670000000" || m.Resend {
		t.Errorf("first is %+v", m)
	}
	if m := all[1]; m.Text != "l'œil d'août, 50 % — « çà »" || m.Coding != 8 || !m.Resend || m.Reference == all[0].Reference {
		t.Errorf("second is %+v", m)
	}
	if joined := all[2].Text + all[3].Text + all[4].Text; joined != long {
		t.Errorf("the parts say %q", joined)
	}
	if joined := all[5].Text + all[6].Text + all[7].Text; joined != strings.Repeat("ê", 150) {
		t.Errorf("the parts say %q", joined)
	}
	h.wait(t, "receipts", func() bool { return len(h.receipts) == 8 })
}

// A thousand notices through two binds: each is there once, and each receipt is of one of them.
func TestThousandNotices(t *testing.T) {
	centre := newSMSC(t)
	centre.set(`{"backwards": true, "hex": true}`)
	c, h := run(t, Config{Address: centre.address(), Binds: 2, Window: 50, IDs: HexThenDecimal})
	refs := sendAll(t, c, 0, 1000, 100)
	h.wait(t, "receipts", func() bool { return len(h.receipts) == 2000 })
	best := map[string]notify.Delivery{}
	for i := range h.receipts {
		r := best[h.receipts[i].Ref]
		r.Merge(&h.receipts[i])
		best[h.receipts[i].Ref] = r
	}
	for i, ref := range refs {
		if r := best[ref]; r.State != notify.Delivered || r.Detail != "000" || r.ToldAt == 0 {
			t.Fatalf("message %d, %q, is %+v", i, ref, r)
		}
	}
	if all := centre.messages(); len(all) != 1000 || len(refs) != 1000 {
		t.Errorf("%d messages taken, %d names", len(all), len(refs))
	}
}

// sendAll sends messages, so many at once, each until it is taken, and returns their names.
func sendAll(t testing.TB, c *Client, from, till, atOnce int) map[int]string {
	t.Helper()
	var mu sync.Mutex
	refs := map[int]string{}
	var senders sync.WaitGroup
	next := make(chan int)
	for range atOnce {
		senders.Go(func() {
			for i := range next {
				m := message(i)
				for {
					names, err := c.Send(t.Context(), m)
					if err == nil {
						mu.Lock()
						refs[i] = names[0]
						mu.Unlock()
						break
					}
					m.Resend = m.Resend || !errors.Is(err, notify.ErrNotTaken) && !errors.Is(err, notify.ErrRefused)
					time.Sleep(5 * time.Millisecond)
				}
			}
		})
	}
	for i := from; i < till; i++ {
		next <- i
	}
	close(next)
	senders.Wait()
	return refs
}

// A centre that is killed, cut off, silent and throttled: none is lost, and none is
// taken twice but for a marked resend.
func TestKilledCentre(t *testing.T) {
	centre := newSMSC(t)
	centre.set(`{"silent": 97}`)
	c, _ := run(t, Config{Address: centre.address(), Binds: 2, Window: 20, Within: time.Second})
	sent := make(chan map[int]string)
	go func() { sent <- sendAll(t, c, 0, 1000, 60) }()
	after := func(n int) {
		for len(centre.messages()) < n {
			time.Sleep(time.Millisecond)
		}
	}
	after(200)
	centre.ask(`{"drop": true}`, nil)
	after(400)
	centre.node.Kill()
	centre.start()
	bound(t, c, 1)
	centre.set(`{"throttle": 5}`)
	after(700)
	centre.node.Kill()
	centre.start()
	if refs := <-sent; len(refs) != 1000 {
		t.Errorf("%d were taken", len(refs))
	}
	first, again := map[string]bool{}, 0
	for _, m := range centre.messages() {
		if first[m.To] && !m.Resend {
			t.Errorf("%s came again without a mark", m.To)
		}
		if first[m.To] {
			again++
		}
		first[m.To] = true
	}
	if len(first) != 1000 || again == 0 {
		t.Errorf("%d of 1000 arrived, %d again", len(first), again)
	}
}

// What the centre answers says whether it has the message.
func TestAnswers(t *testing.T) {
	centre := newSMSC(t)
	c, _ := run(t, Config{Address: centre.address(), Within: 300 * time.Millisecond})
	for status, want := range map[int]error{
		0x0B: notify.ErrRefused, 0x14: notify.ErrNotTaken, 0x58: notify.ErrNotTaken, 0x08: notify.ErrNotTaken, 0x45: notify.ErrRefused,
	} {
		to := 22670000000 + status
		centre.set(fmt.Sprintf(`{"status": {"%d": %d}}`, to, status))
		m := message(status)
		if _, err := c.Send(t.Context(), m); !errors.Is(err, want) {
			t.Errorf("status %#x: %v", status, err)
		} else if strings.Contains(err.Error(), strconv.Itoa(to)) {
			t.Errorf("the error holds the number: %v", err)
		}
	}
	centre.set(`{"silent": 1, "status": {}}`)
	if _, err := c.Send(t.Context(), message(1)); err == nil || errors.Is(err, notify.ErrRefused) || errors.Is(err, notify.ErrNotTaken) {
		t.Errorf("no answer: %v", err)
	}
	if _, err := c.Send(t.Context(), notify.Message{ID: "x", To: 22670000001}); !errors.Is(err, notify.ErrRefused) {
		t.Errorf("no text: %v", err)
	}
	centre.node.Kill()
	for c.Bound() > 0 {
		time.Sleep(time.Millisecond)
	}
	if _, err := c.Send(t.Context(), message(2)); !errors.Is(err, notify.ErrNotTaken) {
		t.Errorf("no bind: %v", err)
	}
}

// What customers write arrives whole, in every coding, and again when it was not taken.
func TestInbound(t *testing.T) {
	centre := newSMSC(t)
	_, h := run(t, Config{Address: centre.address()})
	from := map[string]any{"source_addr": "22670112233", "source_addr_ton": 1, "destination_addr": "1210"}
	bring := func(more map[string]any) int {
		fields := map[string]any{}
		for _, m := range []map[string]any{from, more} {
			for k, v := range m {
				fields[k] = v
			}
		}
		return centre.deliver(fields)
	}
	h.mu.Lock()
	h.fails = 1
	h.mu.Unlock()
	if status := bring(map[string]any{"short_message": "STATUT"}); status == 0 {
		t.Error("a text that was not taken is acknowledged")
	}
	ucs2 := hex.EncodeToString([]byte("\x00R\x00e\x00\xe7\x00u")) // Reçu
	for _, more := range []map[string]any{
		{"short_message": "STATUT"}, {"short_message": "Où est mon crédit ?"}, {"hex": ucs2, "data_coding": 8},
		{"hex": "53 4f 4c 44 45", "data_coding": 3}, {"message_payload": hex.EncodeToString([]byte("RAPPEL"))},
	} {
		if s, spaced := more["hex"].(string); spaced {
			more["hex"] = strings.ReplaceAll(s, " ", "")
		}
		if status := bring(more); status != 0 {
			t.Errorf("%v: status %d", more, status)
		}
	}
	// In parts, the last first: by user data header and by the sar parameters.
	for _, part := range []string{"0500032a0202" + hex.EncodeToString([]byte("7M2-Q4XD-9T")), "0500032a0201" + hex.EncodeToString([]byte("Achat K"))} {
		if status := bring(map[string]any{"hex": part, "esm_class": 0x40}); status != 0 {
			t.Errorf("part: status %d", status)
		}
	}
	for _, part := range []struct {
		n    int
		text string
	}{{1, "un "}, {2, "deux"}} {
		bring(map[string]any{"short_message": part.text, "sar_msg_ref_num": 7, "sar_total_segments": 2, "sar_segment_seqnum": part.n})
	}
	h.wait(t, "texts", func() bool { return len(h.texts) == 7 })
	var got []string
	for _, in := range h.texts {
		if in.From != "+22670112233" || in.To != "1210" || in.USSD != nil {
			t.Errorf("%+v", in)
		}
		got = append(got, in.Text)
	}
	if want := []string{"STATUT", "Où est mon crédit ?", "Reçu", "SOLDE", "RAPPEL", "Achat K7M2-Q4XD-9T", "un deux"}; !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

// A turn of a USSD session is answered in the same session.
func TestUSSD(t *testing.T) {
	centre := newSMSC(t)
	c, h := run(t, Config{Address: centre.address()})
	centre.deliver(map[string]any{"source_addr": "22670112233", "source_addr_ton": 1, "destination_addr": "*121#", "short_message": "*121#",
		"ussd_service_op": 1, "its_session_info": "2a00"})
	h.wait(t, "turn", func() bool { return len(h.texts) == 1 })
	in := h.texts[0]
	if in.USSD == nil || in.USSD.Op != USSDBegins || hex.EncodeToString(in.USSD.Session) != "2a00" || in.Text != "*121#" {
		t.Fatalf("%+v %+v", in, in.USSD)
	}
	if err := c.Answer(t.Context(), message(1), USSD{USSDAsks, in.USSD.Session}); err != nil {
		t.Fatal(err)
	}
	if all := centre.messages(); len(all) != 1 || all[0].Op == nil || *all[0].Op != int(USSDAsks) || all[0].Session != "2a00" {
		t.Errorf("%+v", all)
	}
}

// The bind survives what cannot be understood.
func TestMalformedPDUs(t *testing.T) {
	centre := newSMSC(t)
	c, h := run(t, Config{Address: centre.address()})
	for _, raw := range []string{
		"00000010000000050000000000000063",                                   // deliver_sm without a body
		"00000014000000050000000000000064ffffffff",                           // with rubbish for one
		"00000010000001230000000000000065",                                   // an unknown command
		"00000010800000040000000000007fff",                                   // an answer that nobody waits for
		"000000128000000400000000000000010000",                               // an answer too long
		"0000001080000000000000030000ffff",                                   // a nack
		"00000011000000050000000000000066" + "00",                            // cut
		"00000010000000020000000000000067",                                   // bind_transmitter, from a centre
		"0000002100000005000000000000006800000000000000000000000000000000ff", // says more than it holds
		"00000010000001020000000000000069",                                   // alert_notification without a body
	} {
		centre.ask(`{"raw": "`+raw+`"}`, nil)
	}
	if _, err := c.Send(t.Context(), message(1)); err != nil {
		t.Errorf("after malformed PDUs: %v", err)
	}
	if status := centre.deliver(map[string]any{"source_addr": "22670112233", "destination_addr": "1210", "short_message": "STATUT"}); status != 0 {
		t.Errorf("after malformed PDUs a text gets status %d", status)
	}
	h.wait(t, "text", func() bool { return slices.ContainsFunc(h.texts, func(in Inbound) bool { return in.Text == "STATUT" }) })
	if c.Bound() != 1 {
		t.Error("the bind did not survive")
	}
	centre.ask(`{"raw": "7fffffff000000050000000000000001"}`, nil) // the stream is lost, and bound anew
	h.wait(t, "again", func() bool { return true })
	for late := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if _, err := c.Send(t.Context(), message(2)); err == nil {
			break
		} else if time.Now().After(late) {
			t.Fatalf("after a lost stream: %v", err)
		}
	}
}

// A transmitter and a receiver do where there are no transceivers.
func TestPair(t *testing.T) {
	centre := newSMSC(t)
	centre.set(`{"transceivers": false}`)
	c, h := run(t, Config{Address: centre.address(), Pair: true, Binds: 1})
	bound(t, c, 2)
	if _, err := c.Send(t.Context(), message(1)); err != nil {
		t.Fatal(err)
	}
	h.wait(t, "receipt", func() bool { return len(h.receipts) == 1 })
}

func TestTLS(t *testing.T) {
	key, certificate, pool := selfSigned(t)
	centre := newSMSC(t, key, certificate)
	c, h := run(t, Config{Address: centre.address(), TLS: &tls.Config{RootCAs: pool, ServerName: "localhost", MinVersion: tls.VersionTLS12}})
	if _, err := c.Send(t.Context(), message(1)); err != nil {
		t.Fatal(err)
	}
	h.wait(t, "receipt", func() bool { return len(h.receipts) == 1 })
}

// selfSigned writes a key and its certificate, and returns who trusts it.
func selfSigned(t *testing.T) (key, certificate string, pool *x509.CertPool) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	key, certificate = filepath.Join(dir, "key.pem"), filepath.Join(dir, "certificate.pem")
	pool = x509.NewCertPool()
	both := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	pool.AppendCertsFromPEM(both)
	for path, text := range map[string][]byte{key: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded}), certificate: both} {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return key, certificate, pool
}

// A password that is wrong is tried again, slowly, and binds when the centre takes it.
func TestWrongPassword(t *testing.T) {
	centre := newSMSC(t)
	c, err := New(Config{Address: centre.address(), SystemID: "tenu", Password: "wrong", Clock: clock{}, Log: slog.New(slog.DiscardHandler),
		Inbound: func(context.Context, Inbound) error { return nil }, Receipt: func(context.Context, notify.Delivery) error { return nil }, RetryFirst: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	c.Run(ctx)
	if c.Bound() != 0 {
		t.Error("bound with a wrong password")
	}
}

func TestBadConfig(t *testing.T) {
	for _, sender := range []string{"123456789012", "+1234567890123456", "douze lettres", "café"} {
		if _, err := New(Config{Address: "a:1", SystemID: "x", Sender: sender, Clock: clock{}, Log: slog.New(slog.DiscardHandler),
			Inbound: func(context.Context, Inbound) error { return nil }, Receipt: func(context.Context, notify.Delivery) error { return nil }}); err == nil {
			t.Errorf("%q is taken for a sender", sender)
		}
	}
	if _, err := New(Config{}); err == nil {
		t.Error("an empty configuration is taken")
	}
}

// BenchmarkSend sends through one bind, 64 at once.
func BenchmarkSend(b *testing.B) {
	centre := newSMSC(b)
	centre.set(`{"receipts": true}`)
	c, h := run(b, Config{Address: centre.address(), Window: 64})
	began := time.Now()
	sendAll(b, c, 0, b.N, 64)
	b.ReportMetric(float64(b.N)/time.Since(began).Seconds(), "messages/s")
	h.wait(b, "receipts", func() bool { return len(h.receipts) >= b.N })
	b.ReportMetric(float64(b.N)/time.Since(began).Seconds(), "receipts/s")
}
