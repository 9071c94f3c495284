package line

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emiago/sipgo"
	"github.com/emiago/sipgo/sip"
	"github.com/icholy/digest"

	"tenu/internal/voice/media"
	"tenu/internal/voice/sound"
)

// trunk is a far end that is not ours in all that matters: it answers requests as a test says.
type trunk struct {
	at    netip.AddrPort
	agent *sipgo.UserAgent
	mu    sync.Mutex
	got   []*sip.Request
}

func newTrunk(t *testing.T, answer func(req *sip.Request, tx sip.ServerTransaction)) *trunk {
	t.Helper()
	k := &trunk{at: netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), freePort(t))}
	quiet := slog.New(slog.DiscardHandler)
	var err error
	if k.agent, err = sipgo.NewUA(sipgo.WithUserAgentTransportLayerOptions(sip.WithTransportLayerLogger(quiet)),
		sipgo.WithUserAgentTransactionLayerOptions(sip.WithTransactionLayerLogger(quiet))); err != nil {
		t.Fatal(err)
	}
	server, err := sipgo.NewServer(k.agent, sipgo.WithServerLogger(quiet))
	if err != nil {
		t.Fatal(err)
	}
	server.OnNoRoute(func(req *sip.Request, tx sip.ServerTransaction) {
		k.mu.Lock()
		k.got = append(k.got, req)
		k.mu.Unlock()
		if !req.IsAck() {
			answer(req, tx)
		}
	})
	ready := make(chan struct{})
	listened := make(chan struct{})
	ctx := t.Context()
	go func() {
		defer close(listened)
		_ = server.ListenAndServe(contextWithReady(ctx, ready), "udp", k.at.String())
	}()
	<-ready
	t.Cleanup(func() { _ = k.agent.Close(); <-listened })
	return k
}

// count is how many requests of a method came.
func (k *trunk) count(method sip.RequestMethod) (n int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, req := range k.got {
		if req.Method == method {
			n++
		}
	}
	return n
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for late := time.Now().Add(30 * time.Second); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(late) {
			t.Fatalf("never: %s", what)
		}
	}
}

func answer(req *sip.Request, tx sip.ServerTransaction, code int, headers ...sip.Header) {
	res := sip.NewResponseFromRequest(req, code, "Answer", nil)
	for _, h := range headers {
		res.AppendHeader(h)
	}
	_ = tx.Respond(res)
}

var challenge = digest.Challenge{Realm: "trunk", Nonce: "n", Algorithm: "MD5", QOP: []string{"auth"}}

// proven reports whether a request has the password in it.
func proven(req *sip.Request, header string) bool {
	h := req.GetHeader(header)
	if h == nil {
		return false
	}
	given, err := digest.ParseCredentials(h.Value())
	if err != nil {
		return false
	}
	want, err := digest.Digest(&challenge, digest.Options{Method: string(req.Method), URI: given.URI, Username: "tenu", Password: "secret", Cnonce: given.Cnonce, Count: given.Nc})
	return err == nil && want.Response == given.Response
}

// A trunk is told where we are, again before that is over, and no longer when the line closes.
func TestRegister(t *testing.T) {
	var mu sync.Mutex
	brief := 0
	var lasted []string
	k := newTrunk(t, func(req *sip.Request, tx sip.ServerTransaction) {
		mu.Lock()
		defer mu.Unlock()
		expires := value(req, "Expires")
		switch {
		case !proven(req, "Authorization"):
			answer(req, tx, 401, sip.NewHeader("WWW-Authenticate", challenge.String()))
		case expires == "600" && brief == 0:
			brief++
			answer(req, tx, 423, sip.NewHeader("Min-Expires", "900"))
		default:
			lasted = append(lasted, expires)
			answer(req, tx, 200, sip.NewHeader("Contact", req.Contact().Value()+";expires=40"))
		}
	})
	t.Run("line", func(t *testing.T) {
		r := newRig(t, func(cfg *Config) {
			cfg.Clock = fast{}
			cfg.Trunks = append(cfg.Trunks, Trunk{Name: "k", Address: k.at.String(), User: "tenu", Password: "secret", Register: true})
		})
		eventually(t, "registered twice", func() bool { mu.Lock(); defer mu.Unlock(); return len(lasted) > 1 && r.line.Registered()["k"] })
	})
	mu.Lock()
	defer mu.Unlock()
	if n := len(lasted); lasted[0] != "900" || lasted[n-1] != "0" {
		t.Errorf("%v", lasted)
	}
	var last uint32
	for _, req := range k.got {
		if number := req.CSeq().SeqNo; number <= last || req.To().Address.User != "tenu" || req.CallID().Value() != k.got[0].CallID().Value() {
			t.Errorf("%v", req)
		} else {
			last = number
		}
	}
}

// A trunk that does not take it is asked again, and its state is known.
func TestRegisterRefused(t *testing.T) {
	k := newTrunk(t, func(req *sip.Request, tx sip.ServerTransaction) { answer(req, tx, 403) })
	r := newRig(t, func(cfg *Config) {
		cfg.Clock = fast{}
		cfg.Trunks = append(cfg.Trunks, Trunk{Name: "k", Address: k.at.String(), User: "tenu", Register: true})
	})
	eventually(t, "asked again", func() bool { return k.count(sip.REGISTER) > 2 })
	if is, known := r.line.Registered()["k"]; is || !known {
		t.Errorf("%v", r.line.Registered())
	}
}

// fast is a clock whose waits are short.
type fast struct{ clock }

func (fast) After(d time.Duration) <-chan time.Time { return time.After(d / 100) }

// talks answers a call and everything in it; session is what the answer says of refreshes.
func talks(t *testing.T, session string, in func(*sip.Request, sip.ServerTransaction)) *trunk {
	t.Helper()
	return newTrunk(t, func(req *sip.Request, tx sip.ServerTransaction) {
		if req.Method != sip.INVITE || req.To().Params.Has("tag") {
			in(req, tx)
			return
		}
		if !proven(req, "Proxy-Authorization") {
			answer(req, tx, 407, sip.NewHeader("Proxy-Authenticate", challenge.String()))
			return
		}
		if seconds, _ := expires(req); seconds < 2000 {
			answer(req, tx, 422, sip.NewHeader("Min-SE", "2000"))
			return
		}
		accept(req, tx, session)
	})
}

func accept(req *sip.Request, tx sip.ServerTransaction, session string) {
	body := media.Describe(netip.MustParseAddrPort("127.0.0.1:9"), 1, 1, &media.Session{Law: sound.MuLaw})
	res := sip.NewSDPResponseFromRequest(req, body)
	res.AppendHeader(sip.NewHeader("Contact", "<sip:far@"+req.Destination()+">"))
	if session != "" {
		res.AppendHeader(sip.NewHeader("Session-Expires", session))
	}
	_ = tx.Respond(res)
}

// Sessions are refreshed by whom it was left to, and end when they are not.
func TestSession(t *testing.T) {
	for _, c := range []struct {
		name, session string
		code          int // of the answer to an UPDATE
		want          error
	}{
		{"ours", "100;refresher=uac", 200, nil},
		{"ours, by another offer", "100;refresher=uac", 405, nil},
		{"ours, forgotten there", "100;refresher=uac", 481, errExpired},
		{"ours, refused", "100;refresher=uac", 503, errExpired},
		{"theirs, forgotten", "100;refresher=uas", 200, errExpired},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := talks(t, c.session, func(req *sip.Request, tx sip.ServerTransaction) {
				switch req.Method {
				case sip.UPDATE:
					answer(req, tx, c.code, sip.NewHeader("Session-Expires", c.session))
				case sip.INVITE:
					accept(req, tx, c.session)
				default:
					answer(req, tx, 200)
				}
			})
			r := newRig(t, func(cfg *Config) {
				cfg.Clock = fast{}
				cfg.Trunks = append(cfg.Trunks, Trunk{Name: "k", Address: k.at.String(), User: "tenu", Password: "secret"})
			})
			call, err := r.line.Dial(t.Context(), Outgoing{Trunk: "k", To: "121", Within: time.Hour})
			if err != nil {
				t.Fatal(err)
			}
			if c.want == nil {
				eventually(t, "refreshed twice", func() bool { return k.count(sip.UPDATE) > 1 })
				call.HangUp()
			}
			over(t, call, c.want)
			eventually(t, "a BYE", func() bool { return k.count(sip.BYE) == 1 })
		})
	}
}

// What the network says of a call that was not answered is understood.
func TestFailure(t *testing.T) {
	cases := []struct {
		code   int
		rang   bool
		reason string
		want   Why
	}{
		{486, false, "", Busy}, {600, false, "", Busy}, {408, false, "", NoAnswer}, {480, false, "", Unreachable}, {480, true, "", NoAnswer},
		{487, true, "", NoAnswer}, {603, false, "", Declined}, {403, false, "", Declined}, {404, false, "", Unreachable}, {410, false, "", Unreachable},
		{484, false, "", Unreachable}, {500, false, "", Unreachable}, {302, false, "", Unreachable}, {488, false, "", Unreachable},
		{603, false, `Q.850;cause=17;text="User, busy"`, Busy}, {480, false, `SIP;cause=480;text="a, b", q.850 ; cause=19`, NoAnswer},
		{503, true, "Q.850;cause=21", Declined}, {486, false, "Q.850;cause=16", Busy}, {486, false, "Q.850;cause=20", Unreachable},
	}
	rings := make(chan struct{})
	k := newTrunk(t, func(req *sip.Request, tx sip.ServerTransaction) {
		i, _ := strconv.Atoi(req.Recipient.User)
		c := cases[i]
		if c.rang {
			answer(req, tx, 180)
			<-rings
		}
		if c.reason == "" {
			answer(req, tx, c.code)
			return
		}
		answer(req, tx, c.code, sip.NewHeader("Reason", c.reason))
	})
	r := newRig(t, func(cfg *Config) { cfg.Trunks[0].Address = k.at.String() })
	for i, c := range cases {
		_, err := r.line.Dial(t.Context(), Outgoing{Trunk: "sbc", To: strconv.Itoa(i), Within: 20 * time.Second, Ringing: func() { rings <- struct{}{} }})
		var f *Failure
		if !errors.As(err, &f) || f.Why != c.want || f.Code != c.code || !strings.Contains(err.Error(), strconv.Itoa(c.code)) {
			t.Errorf("%d, rang %t, %q: %v, want %v", c.code, c.rang, c.reason, err, c.want)
		}
	}
}

func contextWithReady(ctx context.Context, ready chan struct{}) context.Context {
	return context.WithValue(ctx, sipgo.ListenReadyCtxKey, sipgo.ListenReadyFuncCtxValue(func(string, string) { close(ready) })) //nolint:staticcheck // the library's key
}
