package partnertest

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// mischief is what happens to a request on its way to the partner, or to the
// answer on its way back.
type mischief string

const (
	none        mischief = ""
	loseRequest mischief = "request lost"        // cut before the partner sees it
	holdRequest mischief = "request held"        // never forwarded, never answered
	loseReply   mischief = "reply lost"          // executed, then cut
	holdReply   mischief = "reply held"          // executed, never answered
	halfReply   mischief = "half a reply"        // executed, cut inside the body
	serverError mischief = "server error"        // executed, answered 500
	badGateway  mischief = "gateway error"       // not forwarded, answered 502 with a page
	garbage     mischief = "garbage"             // executed, answered with nonsense
	emptyReply  mischief = "empty reply"         // executed, answered with nothing
	hugeReply   mischief = "huge reply"          // executed, answered without end
	dripReply   mischief = "slow drip"           // executed, answered by a blank and no more
	redirection mischief = "redirect"            // not forwarded, sent elsewhere
	notFound    mischief = "page of a 404"       // not forwarded, answered by somebody else
	wrongLength mischief = "answer of no length" // executed, and the length is a lie
)

// mischiefs lists all that must leave the outcome of a try unknown, and whether
// the partner executed it.
var mischiefs = map[mischief]bool{
	loseRequest: false, holdRequest: false, loseReply: true, holdReply: true, halfReply: true, serverError: true,
	badGateway: false, garbage: true, emptyReply: true, hugeReply: true, dripReply: true, redirection: false,
	notFound: false, wrongLength: true,
}

// middleman stands between the adapter and the partner.
type middleman struct {
	url     string
	partner *url.URL
	picks   func(*http.Request, []byte) bool
	client  *http.Transport
	does    atomic.Value // mischief
	all     atomic.Bool  // does it to every request, not only to those picked
	hits    atomic.Int64
	sent    atomic.Int64  // bytes of huge replies
	arrived chan struct{} // one per request that is held
}

func newMiddleman(t testing.TB, partner string, picks func(*http.Request, []byte) bool) *middleman {
	t.Helper()
	target, err := url.Parse(partner)
	if err != nil {
		t.Fatal(err)
	}
	m := &middleman{partner: target, picks: picks, client: &http.Transport{MaxIdleConnsPerHost: 16}, arrived: make(chan struct{}, 64)}
	m.does.Store(none)
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: m, ReadHeaderTimeout: time.Minute}
	var served sync.WaitGroup
	served.Go(func() { _ = server.Serve(listener) })
	m.url = "http://" + listener.Addr().String() + target.Path
	t.Cleanup(func() {
		_ = server.Close()
		served.Wait()
		m.client.CloseIdleConnections()
	})
	return m
}

// untilHeld is a context that ends, as a caller's patience does, once a request
// is held that will never be answered.
func (m *middleman) untilHeld(t testing.TB) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	var waiting sync.WaitGroup
	waiting.Go(func() {
		select {
		case <-m.arrived:
			cancel()
		case <-ctx.Done():
		}
	})
	t.Cleanup(func() { cancel(); waiting.Wait() })
	return ctx
}

// misbehave switches a mischief on, for the requests that move money or for all.
func (m *middleman) misbehave(does mischief, all bool) {
	m.all.Store(all)
	m.does.Store(does)
}

// ServeHTTP forwards a request, or does mischief.
func (m *middleman) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	does, _ := m.does.Load().(mischief)
	if does == none || !m.all.Load() && !m.picks(r, body) {
		does = none
	} else {
		m.hits.Add(1)
	}
	var status int
	var header http.Header
	var answer []byte
	if does == none || mischiefs[does] {
		status, header, answer = m.forward(r, body)
	}
	switch does {
	case none:
		for name, values := range header {
			w.Header()[name] = values
		}
		w.WriteHeader(status)
		_, _ = w.Write(answer)
	case holdRequest, holdReply:
		m.arrived <- struct{}{}
		<-r.Context().Done()
	case loseRequest, loseReply:
		panic(http.ErrAbortHandler)
	default:
		m.spoil(w, r, does, status, answer)
	}
}

// spoil answers with something that is not the partner's answer.
func (m *middleman) spoil(w http.ResponseWriter, r *http.Request, does mischief, status int, answer []byte) {
	switch does { //nolint:exhaustive // the others never come here
	case serverError:
		http.Error(w, "internal error", http.StatusInternalServerError)
	case badGateway:
		http.Error(w, "<html><h1>502 Bad Gateway</h1></html>", http.StatusBadGateway)
	case notFound:
		http.Error(w, "<html><h1>404 Not Found</h1></html>", http.StatusNotFound)
	case redirection:
		http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
	case garbage:
		w.WriteHeader(status)
		_, _ = w.Write([]byte("\x00\xff{[<a>&%&*\"}"))
	case emptyReply:
		w.WriteHeader(status)
	case halfReply:
		w.WriteHeader(status)
		_, _ = w.Write(answer[:len(answer)/2])
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	case wrongLength:
		w.Header().Set("Content-Length", "100000")
		w.WriteHeader(status)
		_, _ = w.Write(answer)
	case hugeReply:
		w.WriteHeader(status)
		blanks := bytes.Repeat([]byte(" "), 64<<10)
		for m.sent.Load() < 1<<30 {
			n, err := w.Write(blanks)
			m.sent.Add(int64(n))
			if err != nil {
				return
			}
		}
	case dripReply:
		m.drip(w, r, status)
	}
}

// drip begins an answer and never ends it.
func (m *middleman) drip(w http.ResponseWriter, r *http.Request, status int) {
	w.WriteHeader(status)
	_, _ = w.Write([]byte(" "))
	_ = http.NewResponseController(w).Flush()
	m.arrived <- struct{}{}
	<-r.Context().Done()
}

func (m *middleman) forward(r *http.Request, body []byte) (int, http.Header, []byte) {
	to := *r.URL
	to.Scheme, to.Host = m.partner.Scheme, m.partner.Host
	onward, err := http.NewRequestWithContext(context.WithoutCancel(r.Context()), r.Method, to.String(), bytes.NewReader(body))
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	onward.Header = r.Header.Clone()
	response, err := m.client.RoundTrip(onward)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	return response.StatusCode, response.Header, answer
}
