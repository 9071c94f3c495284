package e2e

import (
	"bufio"
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"tenu/internal/purchase"
)

// The most resident memory of the server, and how much a sender of a gigabyte
// may get rid of: what the two kernels' buffers hold, and nothing else.
const (
	memoryLimit = 512 << 20
	gigabyte    = 1 << 30
	bufferLimit = 32 << 20
)

// TestHostile lays siege to a server from both sides. Clients and forged
// partners send gigabytes, drip, nest, and hold connections; a wallet, a
// charging system and a message centre answer with the like. Meanwhile ordinary
// purchases are answered and credited, and memory stays within its bound.
func TestHostile(t *testing.T) {
	r := newRig(t, "")
	s := &siege{r: r, n: r.node("n1", "  retry_first: 200ms\n  retry_most: 1s"), counts: map[string]int{}}
	s.besiege()
	refs := r.sell(0, 50, 10, s.n) // the traps are laid, nobody attacks yet
	ctx, end := context.WithCancel(context.Background())
	t.Cleanup(func() { end(); s.wg.Wait() })
	s.attack(ctx)
	deadline := time.Now().Add(3 * time.Minute)
	for from := 50; !s.weathered(deadline); from += 50 {
		refs = append(refs, r.sell(from, 50, 10, s.n)...)
	}
	peak := s.peak()
	end()
	s.wg.Wait()
	records := r.records(refs, time.Minute)
	for i := range records {
		if p := &records[i].Purchase; p.State != purchase.Credited {
			t.Errorf("purchase %d is %s", p.ID, p.State)
		}
	}
	s.n.stop()
	t.Logf("%d purchases, peak of memory %d MB, attacks %v, states %v", len(records), peak>>20, s.counts, r.audit(records))
	if peak > memoryLimit {
		t.Errorf("the server held %d MB at its peak, %d are allowed", peak>>20, memoryLimit>>20)
	}
}

// siege is a server with attackers all around.
type siege struct {
	r  *rig
	n  *node
	wg sync.WaitGroup

	mu     sync.Mutex
	counts map[string]int // attacks that were seen through, by kind
	key    string         // X-CorrelationID of the last request to the trap's wallet
}

const callbackSecret = "0123456789abcdef0123456789abcdef"

// besiege configures the traps beside the honest partners and starts the node.
func (s *siege) besiege() {
	t := s.r.t
	t.Helper()
	text, err := os.ReadFile(s.n.config)
	if err != nil {
		t.Fatal(err)
	}
	traps := fmt.Sprintf(`
  - name: trap-wallet
    url: http://%s
    timeout: 2s
    retry: {rate: 1000, burst: 1000}
    circuit: {failures: 1000, window: 1000}
    gsma:
      merchant: {key: organisationid, value: tenu}
      lateness: 5s
      callback: {url: "http://tenu.invalid/callbacks/trap-wallet", keys: ["file:secret"]}
  - name: trap-air
    url: http://%s/Air
    timeout: 2s
    retry: {rate: 1000, burst: 1000}
    circuit: {failures: 1000, window: 1000}
    ucip: {host_name: tenu, profile: AIRT, key_life: 24h, lateness: 5s}
catalogue: catalogue.yaml
`, s.trap("wallet", jsonAnswers()), s.trap("air", xmlAnswers()))
	config := strings.Replace(string(text), "    cgrates: {}\n", "    cgrates: {}"+traps, 1)
	config = strings.Replace(config, "sms: {url: \""+s.r.sms+"\"}", "sms: {url: \"http://"+s.trap("sms", jsonAnswers())+"\"}", 1)
	config = strings.Replace(config, "purchases:read]", "purchases:read, balance:read]", 1)
	for name, data := range map[string]string{s.n.config: config, "catalogue.yaml": hostileCatalogue, "secret": callbackSecret} {
		if !filepath.IsAbs(name) {
			name = filepath.Join(s.r.dir, name)
		}
		if err := os.WriteFile(name, []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s.n.start()
}

const hostileCatalogue = `currency: XOF
languages: [fr]
wallets:
  - {name: wallet, names: {fr: Mobile Money}}
  - {name: trap-wallet, names: {fr: Mobile Money}}
operators:
  - {code: moov, providers: [ocs]}
  - {code: orange, providers: [trap-air]}
products:
  - {code: airtime, kind: airtime, names: {fr: Unités}, operators: [moov], payers: [wallet], offers: [
      {version: 1, from: "2024-01-01T00:00:00Z", min: 200, max: 100000, step: 5, units: less_fee, fee: {fixed: 50}}]}
  - {code: trap-pay, kind: airtime, names: {fr: Unités}, operators: [moov], payers: [trap-wallet], offers: [
      {version: 1, from: "2024-01-01T00:00:00Z", min: 200, max: 100000, step: 5, units: total}]}
  - {code: trap-credit, kind: airtime, names: {fr: Unités}, operators: [orange], payers: [wallet], offers: [
      {version: 1, from: "2024-01-01T00:00:00Z", min: 200, max: 100000, step: 5, units: total}]}
`

// done notes that an attack of a kind was seen through.
func (s *siege) done(kind string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts[kind]++
}

// weathered reports whether every kind of attack was seen through often enough.
func (s *siege) weathered(deadline time.Time) bool {
	s.r.t.Helper()
	select {
	case <-s.n.done:
		s.r.t.Fatalf("the server ended: %s", s.n.output.tail())
	default:
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var missing []string
	for kind, times := range s.wanted() {
		if s.counts[kind] < times {
			missing = append(missing, fmt.Sprintf("%s %d of %d", kind, s.counts[kind], times))
		}
	}
	if len(missing) > 0 && time.Now().After(deadline) {
		s.r.t.Errorf("attacks that never came to their end: %s", strings.Join(missing, ", "))
		return true
	}
	return len(missing) == 0
}

// wanted is how often each kind of attack is seen through at least.
func (s *siege) wanted() map[string]int {
	all := map[string]int{}
	for trap, answers := range map[string][]hostileAnswer{"wallet": jsonAnswers(), "air": xmlAnswers(), "sms": jsonAnswers()} {
		for _, a := range answers {
			all[trap+" "+a.name] = 5
		}
	}
	for _, a := range assaults {
		all[a.name] = a.width
	}
	return all
}

// peak is the most memory that the server has held.
func (s *siege) peak() int64 {
	s.r.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.n.cmd.Process.Pid))
	if err != nil {
		s.r.t.Fatal(err)
	}
	_, line, _ := strings.Cut(string(status), "VmHWM:")
	line, _, _ = strings.Cut(line, " kB")
	kilobytes, err := strconv.ParseInt(strings.TrimSpace(line), 10, 64)
	if err != nil {
		s.r.t.Fatalf("VmHWM: %v", err)
	}
	return kilobytes << 10
}

// assault is an attack on the server's listener, made from so many connections
// at once, again and again.
type assault struct {
	name  string
	width int
	make  func(*siege, net.Conn) error
}

// assaults are fewer connections, all together, than the listener holds (4096).
var assaults = []assault{
	{"body of a gigabyte", 4, func(s *siege, c net.Conn) error {
		return pour(c, s.head("/v1/purchases", "Content-Length: 1073741824"), blanks)
	}},
	{"body of chunks", 4, func(s *siege, c net.Conn) error {
		return pour(c, s.head("/v1/purchases", "Transfer-Encoding: chunked"), chunk)
	}},
	{"stranger's gigabyte", 4, func(_ *siege, c net.Conn) error {
		return pour(c, "POST /v1/purchases HTTP/1.1\r\nHost: x\r\nContent-Length: 1073741824\r\n\r\n", blanks)
	}},
	{"callback of a gigabyte", 4, func(_ *siege, c net.Conn) error { return pour(c, callback("Content-Length: 1073741824"), blanks) }},
	{"callback of chunks", 4, func(_ *siege, c net.Conn) error { return pour(c, callback("Transfer-Encoding: chunked"), chunk) }},
	{"huge header", 4, func(_ *siege, c net.Conn) error { return pour(c, "GET / HTTP/1.1\r\nHost: x\r\nX-Header: ", blanks) }},
	{"many headers", 4, func(_ *siege, c net.Conn) error {
		return pour(c, "GET / HTTP/1.1\r\nHost: x\r\n", bytes.Repeat([]byte("A: b\r\n"), 1000))
	}},
	{"dripping headers", 500, func(_ *siege, c net.Conn) error {
		return drip(c, "GET /v1/products HTTP/1.1\r\nX: "+strings.Repeat("x", 15000), 4000)
	}},
	{"dripping body", 300, func(s *siege, c net.Conn) error {
		return drip(c, s.head("/v1/purchases", "Content-Length: 16000")+strings.Repeat(" ", 15000), 4000)
	}},
	{"dripping callback", 1000, func(_ *siege, c net.Conn) error {
		return drip(c, callback("Content-Length: 16000")+strings.Repeat(" ", 15000), 4000)
	}},
	{"nested JSON", 4, func(s *siege, c net.Conn) error {
		return s.send(c, "/v1/purchases", strings.Repeat(`{"product":`, 1400))
	}},
	{"nested lists", 4, func(s *siege, c net.Conn) error {
		return s.send(c, "/v1/purchases", `{"product":`+strings.Repeat("[", 8000)+strings.Repeat("]", 8000)+"}")
	}},
	{"signed callback, nested", 4, func(s *siege, c net.Conn) error {
		return s.sign(c, `{"transactionReference":`+strings.Repeat("[", 7000)+strings.Repeat("]", 7000)+"}")
	}},
	{"signed callback, XML", 4, func(s *siege, c net.Conn) error {
		return s.sign(c, `<!DOCTYPE b [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]><b>&b;</b>`)
	}},
	{"purchase through the wallet", 8, func(s *siege, c net.Conn) error { return s.lure(c, "trap-pay", "70") }},
	{"purchase through the charging system", 8, func(s *siege, c net.Conn) error { return s.lure(c, "trap-credit", "76") }},
	{"balance", 64, func(s *siege, c net.Conn) error {
		return s.ask(c, "GET /v1/lines/76000001/balance HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "+s.r.key+"\r\n\r\n", 503)
	}},
}

// idleCount is how many connections are held, half of them after an answer.
const idleCount = 1500

// attack begins every assault; they end with ctx.
func (s *siege) attack(ctx context.Context) {
	for i := range idleCount {
		s.wg.Go(func() { s.idle(ctx, i%2 == 0) })
	}
	for _, a := range assaults {
		for range a.width {
			s.wg.Go(func() {
				for ctx.Err() == nil {
					conn, err := s.dial(ctx)
					if err != nil {
						continue // the server is besieged
					}
					if err := a.make(s, conn); err != nil && ctx.Err() == nil {
						s.r.t.Errorf("%s: %v", a.name, err)
					}
					conn.Close()
					if ctx.Err() == nil {
						s.done(a.name)
					}
				}
			})
		}
	}
}

// dial connects to the server, until ctx ends.
func (s *siege) dial(ctx context.Context) (net.Conn, error) {
	conn, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "tcp", strings.TrimPrefix(s.n.url, "http://"))
	if err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, func() { conn.Close() })
	return conn, nil
}

// idle holds a connection, and takes another when the server ends it.
func (s *siege) idle(ctx context.Context, answered bool) {
	for ctx.Err() == nil {
		conn, err := s.dial(ctx)
		if err != nil {
			continue
		}
		if answered {
			_, _ = io.WriteString(conn, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
		}
		_, _ = io.Copy(io.Discard, conn)
		conn.Close()
	}
}

// head begins a client's request with a body.
func (s *siege) head(path string, headers ...string) string {
	return "POST " + path + " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + s.r.key +
		"\r\nContent-Type: application/json\r\nIdempotency-Key: hostile\r\n" + strings.Join(headers, "\r\n") + "\r\n\r\n"
}

// callback begins a partner's, which nobody has signed.
func callback(headers ...string) string {
	return "PUT /callbacks/trap-wallet HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n" + strings.Join(headers, "\r\n") + "\r\n\r\n"
}

// ask sends a request and wants one of some answers.
func (s *siege) ask(c net.Conn, request string, wanted ...int) error {
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := io.WriteString(c, request); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	response, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return fmt.Errorf("no answer: %w", err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return fmt.Errorf("half an answer: %w", err)
	}
	for _, status := range wanted {
		if response.StatusCode == status {
			return nil
		}
	}
	return fmt.Errorf("%s: %s", response.Status, body)
}

// send sends a body that must be refused as none.
func (s *siege) send(c net.Conn, path, body string) error {
	return s.ask(c, s.head(path, fmt.Sprintf("Content-Length: %d", len(body)))+body, http.StatusBadRequest)
}

// lure buys something that falls into a trap. Once too many are open there, no
// more are taken.
func (s *siege) lure(c net.Conn, product, prefix string) error {
	time.Sleep(250 * time.Millisecond) // or everything falls into the traps
	key := strconv.FormatInt(time.Now().UnixNano(), 36)
	body := fmt.Sprintf(`{"product":%q,"number":"%s%06d","amount":1000}`, product, prefix, time.Now().UnixNano()/1000%1_000_000)
	head := strings.Replace(s.head("/v1/purchases", fmt.Sprintf("Content-Length: %d", len(body))), "Key: hostile", "Key: "+key, 1)
	return s.ask(c, head+body, http.StatusOK, http.StatusCreated, http.StatusConflict, http.StatusTooManyRequests, http.StatusServiceUnavailable)
}

// sign sends a callback as the trap's wallet, which knows the key, would.
func (s *siege) sign(c net.Conn, body string) error {
	s.mu.Lock()
	key := s.key
	s.mu.Unlock()
	date, sum := time.Now().UTC().Format(time.RFC3339), sha256.Sum256([]byte(body))
	hash := hex.EncodeToString(sum[:])
	mac := hmac.New(sha256.New, []byte(callbackSecret))
	_, _ = mac.Write([]byte("v1\n" + date + "\n" + key + "\n" + hash + "\n"))
	if key == "" { // nothing was asked of the wallet yet
		return nil
	}
	return s.ask(c, callback("X-Date: "+date, "X-CorrelationID: "+key, "X-Content-Hash: "+hash, "X-Signature: v1="+hex.EncodeToString(mac.Sum(nil)),
		fmt.Sprintf("Content-Length: %d", len(body)))+body, http.StatusBadRequest)
}
