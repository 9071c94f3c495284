package load

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"testing"
	"time"

	"go.uber.org/goleak"

	"tenu/internal/purchase"
	"tenu/internal/voice/line"
	"tenu/internal/voice/media"
	"tenu/internal/voice/sound"
	"tenu/internal/voice/speech"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type clock struct{}

func (clock) Now() purchase.Instant                  { return purchase.At(time.Now()) }
func (clock) After(d time.Duration) <-chan time.Time { return time.After(d) }

// At twice what a line can take, every call beyond it hears an announcement or is told when to try again.
func TestLoad(t *testing.T) {
	const capacity, overflow = 20, 5
	at := serve(t, capacity, overflow)
	callers, err := Open(Config{Line: at, Own: at.Addr(), Clock: clock{}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := callers.Close(); err != nil {
			t.Error(err)
		}
	}()
	if o := callers.Call(t.Context(), capacity); o.Answered != capacity {
		t.Fatalf("%+v", o)
	}
	if m := callers.Measure(t.Context(), time.Second); m.Silent != 0 || m.Ended != 0 || m.Calls.Packets < capacity {
		t.Errorf("%+v", m)
	}
	if o := callers.Call(t.Context(), capacity); o.Answered != overflow || o.Refused != capacity-overflow || o.Unanswered != 0 {
		t.Errorf("%+v", o)
	}
	if m := callers.Measure(t.Context(), time.Second); m.Silent != 0 {
		t.Errorf("%+v", m)
	}
	if ended := callers.HangUp(t.Context()); ended != 0 {
		t.Errorf("%d calls had ended", ended)
	}
}

// serve runs a line until the test is over.
func serve(t *testing.T, capacity, overflow int) netip.AddrPort {
	t.Helper()
	probe, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	at := netip.MustParseAddrPort(probe.Addr().String())
	_ = probe.Close()
	streams, err := media.New(media.Config{Address: at.Addr(), From: 40_000, To: 49_999, Patience: time.Minute, Clock: clock{}, Random: rand.Uint64})
	if err != nil {
		t.Fatal(err)
	}
	voices, err := speech.Load()
	if err != nil {
		t.Fatal(err)
	}
	sounds, err := sound.Load(nil)
	if err != nil {
		t.Fatal(err)
	}
	talk := func(ctx context.Context, c *line.Call) {
		var over error
		for over == nil {
			over = c.Say(ctx, "menu", nil)
		}
	}
	l, err := line.New(line.Config{Address: at, Identity: "121", Trunks: []line.Trunk{{Name: "load", Networks: []netip.Prefix{netip.PrefixFrom(at.Addr(), 8)}}},
		Capacity: capacity, Overflow: overflow, RetryAfter: time.Minute, Language: "fr", Media: streams, Sounds: sounds, Voices: voices,
		Clock: clock{}, Log: slog.New(slog.DiscardHandler), Number: func(string) (purchase.MSISDN, bool) { return 0, false }, Serve: talk, Overload: talk, Refused: func() {}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancel(context.Background())
	sending, ended := make(chan struct{}), make(chan error, 1)
	go func() { defer close(sending); streams.Run(ctx) }()
	go func() { ended <- l.Run(ctx) }()
	t.Cleanup(func() {
		end()
		<-sending
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	for late := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if conn, err := net.Dial("tcp", at.String()); err == nil { //nolint:noctx // at once
			_ = conn.Close()
			return at
		}
		if time.Now().After(late) {
			t.Fatal("the line does not listen")
		}
	}
}
