package line

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/emiago/sipgo/sip"

	"tenu/internal/fuzztest"
	"tenu/internal/purchase"
	"tenu/internal/voice/media"
	"tenu/internal/voice/sound"
)

// raw is a caller that says what it likes, packet by packet.
type raw struct {
	t     *testing.T
	r     *rig
	conn  *net.UDPConn
	sound *net.UDPConn
	id    string
	to    string // the line's, with its tag once there is one
	last  string // request, which is sent again until it is answered: a packet may be lost
}

func (r *rig) raw() *raw {
	r.t.Helper()
	x := &raw{t: r.t, r: r, to: "<sip:121@127.0.0.1>"}
	for _, conn := range []**net.UDPConn{&x.conn, &x.sound} {
		var err error
		if *conn, err = net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}); err != nil {
			r.t.Fatal(err)
		}
	}
	x.id = rand.Text()
	return x
}

func (x *raw) close() {
	_ = x.conn.Close()
	_ = x.sound.Close()
}

func (x *raw) send(text string) {
	x.t.Helper()
	if _, err := x.conn.WriteToUDPAddrPort([]byte(text), x.r.address); err != nil {
		x.t.Fatal(err)
	}
}

// request sends one. What it lacks is taken out of it by its name.
func (x *raw) request(method string, number int, branch, body string, without ...string) {
	x.t.Helper()
	kind := ""
	if body != "" {
		kind = "Content-Type: application/sdp\r\n"
	}
	text := fmt.Sprintf("%s sip:121@%s SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=z9hG4bK%s\r\nFrom: <sip:x@127.0.0.1>;tag=x\r\nTo: %s\r\nCall-ID: %s\r\n"+
		"CSeq: %d %s\r\nContact: <sip:x@%s>\r\nMax-Forwards: 70\r\nP-Asserted-Identity: <tel:+22670112233>\r\n%sContent-Length: %d\r\n\r\n%s",
		method, x.r.address, x.conn.LocalAddr(), branch, x.to, x.id, number, method, x.conn.LocalAddr(), kind, len(body), body)
	for _, name := range without {
		at := strings.Index(text, name+":")
		end := at + strings.Index(text[at:], "\r\n") + 2
		text = text[:at] + text[end:]
	}
	x.last = text
	x.send(text)
}

// wants waits for an answer to a method, whatever else comes.
func (x *raw) wants(code int, method string) {
	x.t.Helper()
	data, late := make([]byte, 4096), time.Now().Add(20*time.Second)
	for {
		_ = x.conn.SetReadDeadline(time.Now().Add(sip.T1))
		n, err := x.conn.Read(data)
		switch {
		case err != nil && time.Now().After(late):
			x.t.Fatalf("%s of %s: no %d", method, x.id, code)
		case err != nil:
			x.send(x.last)
			continue
		}
		msg, err := sip.ParseMessage(bytes.Clone(data[:n]))
		if err != nil {
			x.t.Fatal(err)
		}
		res, is := msg.(*sip.Response)
		if !is || res.StatusCode == 100 || res.CSeq() == nil || string(res.CSeq().MethodName) != method {
			continue
		}
		if res.StatusCode != code {
			x.t.Fatalf("%s: %d, want %d", method, res.StatusCode, code)
		}
		if code == 200 && method == "INVITE" {
			x.to = res.To().Value()
		}
		return
	}
}

func (x *raw) sdp() string {
	at := netip.MustParseAddrPort(x.sound.LocalAddr().String())
	return string(media.Describe(at, 1, 1, &media.Session{Law: sound.ALaw, Keys: 101}))
}

// answered is a call that is.
func (x *raw) answered() {
	x.request("INVITE", 1, "i"+x.id, x.sdp())
	x.wants(200, "INVITE")
	x.request("ACK", 1, "a"+x.id, "")
}

// hostile are callers who do what they should not, or leave at any step.
var hostile = map[string]func(*raw){
	"nonsense": func(x *raw) {
		for _, text := range []string{"", "\r\n\r\n", "INVITE", "INVITE sip:121@x SIP/2.0\r\n\r\n", strings.Repeat("A", 60_000), "SIP/2.0 200 OK\r\n\r\n",
			"INVITE sip:121@x SIP/2.0\r\nContent-Length: 99999999\r\n\r\n", "\x00\x01\xff", "INVITE sip:121@x SIP/2.0\r\nVia: \r\nCSeq: x\r\nFrom: <\r\nTo: \"\r\n\r\n"} {
			x.send(text)
		}
	},
	"no contact":                 func(x *raw) { x.request("INVITE", 1, "i"+x.id, x.sdp(), "Contact"); x.wants(400, "INVITE") },
	"no call-ID":                 func(x *raw) { x.request("INVITE", 1, "i"+x.id, x.sdp(), "Call-ID"); x.wants(400, "INVITE") },
	"no from":                    func(x *raw) { x.request("INVITE", 1, "i"+x.id, x.sdp(), "From"); x.wants(400, "INVITE") },
	"no to":                      func(x *raw) { x.request("INVITE", 1, "i"+x.id, x.sdp(), "To"); x.wants(400, "INVITE") },
	"no description that is one": func(x *raw) { x.request("INVITE", 1, "i"+x.id, "v=what"); x.wants(488, "INVITE") },
	"a codec that is not spoken": func(x *raw) {
		x.request("INVITE", 1, "i"+x.id, strings.Replace(x.sdp(), "AVP 8", "AVP 18", 1))
		x.wants(488, "INVITE")
	},
	"an end of nothing":         func(x *raw) { x.to += ";tag=none"; x.request("BYE", 1, "b"+x.id, ""); x.wants(481, "BYE") },
	"a refresh of nothing":      func(x *raw) { x.to += ";tag=none"; x.request("UPDATE", 1, "u"+x.id, ""); x.wants(481, "UPDATE") },
	"an offer in nothing":       func(x *raw) { x.to += ";tag=none"; x.request("INVITE", 1, "i"+x.id, x.sdp()); x.wants(481, "INVITE") },
	"a cancellation of nothing": func(x *raw) { x.request("CANCEL", 1, "c"+x.id, ""); x.wants(481, "CANCEL") },
	"a method that is not one":  func(x *raw) { x.request("WHATEVER", 1, "w"+x.id, ""); x.wants(405, "WHATEVER") },
	"left before the ACK": func(x *raw) {
		x.request("INVITE", 1, "i"+x.id, x.sdp())
		x.wants(200, "INVITE")
		x.request("BYE", 2, "b"+x.id, "")
		x.wants(200, "BYE")
	},
	"left at once": func(x *raw) { x.answered(); x.request("BYE", 2, "b"+x.id, ""); x.wants(200, "BYE") },
	"left twice": func(x *raw) {
		x.answered()
		x.request("BYE", 2, "b"+x.id, "")
		x.wants(200, "BYE")
		x.request("BYE", 3, "c"+x.id, "")
	},
	"vanished": func(x *raw) { x.answered() },
	"vanished before an answer": func(x *raw) {
		x.request("INVITE", 1, "i"+x.id, "", "Max-Forwards")
		x.wants(200, "INVITE")
		x.request("ACK", 1, "a"+x.id, "nonsense")
	},
	"an old number": func(x *raw) {
		x.answered()
		x.request("UPDATE", 1, "u"+x.id, "")
		x.wants(500, "UPDATE")
		x.request("BYE", 2, "b"+x.id, "")
		x.wants(200, "BYE")
	},
	"an offer that is not one": func(x *raw) {
		x.answered()
		x.request("INVITE", 2, "j"+x.id, "v=what")
		x.wants(488, "INVITE")
		x.request("BYE", 3, "b"+x.id, "")
		x.wants(200, "BYE")
	},
	"keys and strangers, in floods": func(x *raw) {
		x.answered()
		other, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			x.t.Fatal(err)
		}
		defer func() { _ = other.Close() }()
		c := x.r.only(x.id)
		for i := range 3000 {
			key := []byte{0x80, 101, byte(i >> 8), byte(i), 0, byte(i >> 12), byte(i >> 4), byte(i << 4), 0, 0, 0, 1, 5, 0x8a, 3, 32}
			_, _ = x.sound.WriteToUDPAddrPort(key, c.stream.Local())
			_, _ = other.WriteToUDPAddrPort(key, c.stream.Local())
			_, _ = x.sound.WriteToUDPAddrPort(key[:i%16], c.stream.Local())
		}
		eventually(x.t, "strangers counted", func() bool { return c.stream.Strangers() > 0 })
		x.request("BYE", 2, "b"+x.id, "")
		x.wants(200, "BYE")
	},
}

// only is the call of a caller.
func (r *rig) only(id string) (c *Call) {
	eventually(r.t, "a call", func() bool {
		r.line.mu.Lock()
		defer r.line.mu.Unlock()
		for _, each := range r.line.calls {
			if each.dialog.callID.Value() == id {
				c = each
			}
		}
		return c != nil
	})
	return c
}

// Nothing is left of any of them: no call, no port, no goroutine.
func TestHostile(t *testing.T) {
	all := streams(t, 300*time.Millisecond)
	r := newRig(t, func(cfg *Config) {
		cfg.Media, cfg.Capacity = all, 1000
		cfg.Serve = func(ctx context.Context, c *Call) { _ = c.Say(ctx, "menu", nil); <-ctx.Done() }
	})
	before := runtime.NumGoroutine()
	for name, do := range hostile {
		t.Run(name, func(t *testing.T) {
			for range 10 {
				x := r.raw()
				x.t = t
				do(x)
				x.close()
			}
		})
	}
	eventually(t, "no call is open", func() bool { return r.line.Counts().Open == 0 })
	eventually(t, "no port is taken", func() bool { return all.Count() == 0 })
	eventually(t, "no goroutine is left", func() bool { return runtime.NumGoroutine() <= before })
	r.line.mu.Lock()
	defer r.line.mu.Unlock()
	if len(r.line.calls) != 0 || len(r.line.peers) != 0 {
		t.Errorf("%d calls and %d peers are kept", len(r.line.calls), len(r.line.peers))
	}
}

// A call that is cancelled before it is answered never was one.
func TestCancelled(t *testing.T) {
	asked, answered := make(chan struct{}), make(chan struct{})
	r := newRig(t, func(cfg *Config) {
		cfg.Number = func(string) (purchase.MSISDN, bool) { close(asked); <-answered; return 0, false }
		cfg.Serve = func(context.Context, *Call) { t.Error("served") }
	})
	x := r.raw()
	defer x.close()
	x.request("INVITE", 1, "i", x.sdp())
	<-asked
	x.request("CANCEL", 1, "i", "")
	x.wants(200, "CANCEL")
	close(answered)
	x.wants(487, "INVITE")
	x.request("ACK", 1, "i", "")
	eventually(t, "over", func() bool { return r.line.Counts().Open == 0 })
	if n := r.line.Counts(); n.Answered != 0 {
		t.Errorf("%+v", n)
	}
}

// A stranger is told so, and nothing is kept of it.
func TestStranger(t *testing.T) {
	r := newRig(t, func(cfg *Config) { cfg.Trunks = nil })
	x := r.raw()
	defer x.close()
	x.request("INVITE", 1, "i", x.sdp())
	x.wants(403, "INVITE")
	x.request("ACK", 1, "i", "")
	x.send("SIP/2.0 200 OK\r\n\r\n")
	x.request("OPTIONS", 2, "o", "")
	x.wants(403, "OPTIONS")
	conn, err := net.Dial("tcp", r.address.String()) //nolint:noctx // at once
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	if n, err := conn.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("a stranger hears something: %v", err)
	}
	_ = conn.Close()
	if n := r.line.Counts(); n.Offered != 0 || n.Forbidden < 4 {
		t.Errorf("%+v", n)
	}
}

// FuzzHeaders reads requests and answers as strangers and trunks send them.
func FuzzHeaders(f *testing.F) {
	head := "INVITE sip:121@x SIP/2.0\r\nVia: SIP/2.0/UDP h:1;branch=z9hG4bKi\r\nFrom: <sip:x@h>;tag=x\r\nTo: <sip:121@h>;tag=y\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\n"
	f.Add([]byte(head + "Contact: <sip:x@h>\r\nSession-Expires: 100;refresher=uac\r\nSupported: timer\r\nRecord-Route: <sip:p;lr>\r\n\r\n"))
	f.Add([]byte(head + "P-Asserted-Identity: \"a\\\"<tel:+1>\" <sip:+22670112233@h>, <tel:+22670112233>\r\nPrivacy: none\r\n\r\n"))
	f.Add([]byte("SIP/2.0 480 No\r\nVia: SIP/2.0/UDP h:1;branch=z9hG4bKi\r\nFrom: <sip:x@h>;tag=x\r\nTo: <sip:121@h>;tag=y\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\n" +
		"Reason: Q.850;cause=17;text=\"a, b\"\r\nSession-Expires: 90\r\nContact: <sip:x@h>;expires=7\r\n\r\n"))
	l := &Line{cfg: Config{Address: netip.MustParseAddrPort("127.0.0.1:5060"), Identity: "121",
		Number: func(text string) (purchase.MSISDN, bool) { return 1, strings.HasPrefix(text, "+") }}, calls: map[string]*Call{}}
	trunk := &Trunk{Asserts: true, Password: "x"}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 4096 {
			return
		}
		fuzztest.Within(t, 4<<20, func() {
			msg, err := sip.ParseMessage(data)
			if err != nil {
				return
			}
			switch msg := msg.(type) {
			case *sip.Request:
				l.caller(trunk, msg)
				if s, ok := asked(msg); ok && s.seconds != 0 && s.seconds < minSession || s.patience() < 0 {
					t.Errorf("%+v", s)
				}
				if d, err := l.taken(trunk, msg); err == nil {
					_ = d.request(sip.BYE).String()
					d.fresh(msg)
				}
			case *sip.Response:
				_ = failed(msg, true).Error()
				r := registration{line: l, trunk: trunk, lasts: registerFor}
				if lasts := r.granted(msg); lasts < leastFor || lasts > mostFor {
					t.Errorf("%v", lasts)
				}
				invite := l.message(sip.INVITE, sip.Uri{Host: "h"}, sip.Uri{Host: "h"}, "UDP")
				if d, err := l.made(trunk, invite, msg); err == nil {
					_ = d.ack(1).String()
				}
				challenged(msg, trunk)
			}
		})
	})
}
