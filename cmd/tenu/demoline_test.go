package main

import (
	"context"
	"net"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"tenu/internal/money"
	"tenu/internal/testpeer"
	"tenu/internal/voice/sound"
	"tenu/internal/voice/speech"
)

// newHotline is an exchange, and the recordings that are played at the line of a demonstration.
func newHotline(t *testing.T) *hotline {
	t.Helper()
	h := &hotline{t: t, exchange: testpeer.NewExchange(t)}
	var err error
	if h.voices, err = speech.Load(); err != nil {
		t.Fatal(err)
	}
	if h.sounds, err = sound.Load(nil); err != nil {
		t.Fatal(err)
	}
	return h
}

// A newcomer calls the demonstration's line, and hears where the purchase stands, when the call says whose it is, and
// is asked for the number when it does not.
func TestDemoLine(t *testing.T) {
	h := newHotline(t)
	s, _ := start(t, t.TempDir())
	text, is := strings.CutPrefix(s.Line, "sip:121@")
	line, err := netip.ParseAddrPort(text)
	if err != nil || !is {
		t.Fatalf("line %q: %v", s.Line, err)
	}
	at := s.Purchase.CreatedAt.UTC()
	for number, says := range map[string]string{s.Purchase.Recipient.Number: "credited", "": "unknown_caller"} {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		talk, err := h.exchange.Call(ctx, line, number)
		if cancel(); err != nil {
			t.Fatal(err)
		}
		for _, key := range []string{"welcome", says} {
			said := h.said(key, map[string]speech.Value{"Amount": speech.Amount(money.Amount{Minor: 1050, Currency: money.XOF}),
				"Date": speech.Date(at), "Time": speech.Clock(at)})
			if !talk.Hear(said, 60*time.Second) {
				t.Errorf("%q does not hear %s", number, key)
			}
		}
		talk.HangUp()
	}
}

// What the demonstration prints says what to dial, and how the number is told.
func TestDemoHintsAtLine(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var out, problems output
	over := make(chan int, 1)
	go func() {
		over <- Run(ctx, []string{"demo", "--port", "0", "--sip", "127.0.0.1:5099", "--dir", t.TempDir()}, &out, &problems, noEnv)
	}()
	soon(t, "the hints", time.Minute, func() bool { return strings.Contains(out.text(), "Ctrl-C stops it.") || len(over) > 0 })
	cancel()
	if code := <-over; code != exitDone {
		t.Fatalf("ended with %d: %s%s", code, out.text(), problems.text())
	}
	for _, want := range []string{`call line 121       sip:121@127\.0\.0\.1:1[0-9]{4} `, `P-Asserted-Identity: <sip:\+22670112233@127\.0\.0\.1:1[0-9]{4}>`, `called at 127\.0\.0\.1:5099`} {
		if !regexp.MustCompile(want).MatchString(out.text()) {
			t.Errorf("the output lacks %s:\n%s", want, out.text())
		}
	}
	if code, _, problems := tenu(t, noEnv, "demo", "--port", "0", "--sip", "nowhere", "--dir", t.TempDir()); code != exitUsage || !strings.Contains(problems, "--sip") {
		t.Errorf("an exchange without a port: %d: %s", code, problems)
	}
}

// A port that is taken over UDP alone is not free, and a line of all addresses is the loopback's.
func TestFree(t *testing.T) {
	taken, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	port := netip.MustParseAddrPort(taken.LocalAddr().String()).Port()
	if at, err := free(t.Context(), "127.0.0.1", int(port)); err == nil {
		t.Errorf("%s is taken", at)
	}
	if at, err := free(t.Context(), "0.0.0.0", 0); err == nil && at.Addr() != netip.MustParseAddr("127.0.0.1") {
		t.Errorf("at %s", at)
	}
}
