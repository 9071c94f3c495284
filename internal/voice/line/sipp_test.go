package line

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"tenu/internal/testpeer"
)

// sipp begins a scenario of testdata/sipp over a network, u1 or t1, as a caller of an address, or where that
// is none as who is called. It returns where it listens, and what waits until the scenario has gone as it says.
func sipp(t *testing.T, scenario, network, target string) (at netip.AddrPort, wait func()) {
	t.Helper()
	program := testpeer.SIPp(t)
	file, err := filepath.Abs(filepath.Join("testdata", "sipp", scenario+".xml"))
	if err != nil {
		t.Fatal(err)
	}
	at = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), freePort(t))
	dir := t.TempDir()
	arguments := []string{"-sf", file, "-m", "1", "-nostdin", "-t", network, "-i", "127.0.0.1", "-mi", "127.0.0.1", "-p", strconv.Itoa(int(at.Port())),
		"-mp", strconv.Itoa(int(freePort(t))), "-timeout", "60s", "-timeout_error", "-trace_err", "-trace_msg", "-message_file", "messages", "-error_file", "errors"}
	if target != "" {
		arguments = append(arguments, target)
	}
	cmd := exec.CommandContext(t.Context(), program, arguments...)
	cmd.Dir = dir
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	return at, func() {
		t.Helper()
		if err := cmd.Wait(); err != nil {
			messages, _ := os.ReadFile(filepath.Join(dir, "messages"))
			failed, _ := os.ReadFile(filepath.Join(dir, "errors"))
			t.Errorf("%s over %s: %v\n%s\n%s", scenario, network, err, failed, messages)
		}
	}
}

// freePort is one that is free for both networks and for sound.
func freePort(t *testing.T) uint16 {
	t.Helper()
	for {
		tcp, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		at := netip.MustParseAddrPort(tcp.Addr().String())
		udp, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(at))
		_ = tcp.Close()
		if err == nil {
			_ = udp.Close()
			return at.Port()
		}
	}
}

// Callers that are not ours are answered as they expect.
func TestCallers(t *testing.T) {
	for _, c := range []struct {
		scenario string
		serve    func(context.Context, *Call) string
		want     string
	}{
		{"answer", func(ctx context.Context, c *Call) string { return c.Say(ctx, "menu", nil).Error() }, ErrHungUp.Error()},
		{"served", func(ctx context.Context, c *Call) string { _, err := c.Key(ctx, time.Second/10); return errorText(err) }, ""},
		{"reinvite", func(ctx context.Context, _ *Call) string { <-ctx.Done(); return context.Cause(ctx).Error() }, ErrHungUp.Error()},
		{"keys", typed, "123"},
	} {
		for _, network := range []string{"u1", "t1"} {
			t.Run(c.scenario+"/"+network, func(t *testing.T) {
				if c.scenario == "keys" && os.Geteuid() != 0 {
					testpeer.Missing(t, "sipp types keys as root only")
				}
				got := make(chan string, 1)
				r := newRig(t, func(cfg *Config) { cfg.Serve = func(ctx context.Context, call *Call) { got <- c.serve(ctx, call) } })
				_, wait := sipp(t, c.scenario, network, r.address.String())
				wait()
				select {
				case got := <-got:
					if got != c.want {
						t.Errorf("%q, want %q", got, c.want)
					}
				case <-time.After(10 * time.Second):
					t.Error("the call was not served")
				}
			})
		}
	}
}

func typed(ctx context.Context, c *Call) string {
	keys, _ := c.Digits(ctx, 3, 20*time.Second)
	<-ctx.Done()
	return keys
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// Callers that cannot be served are told so.
func TestCallersRefused(t *testing.T) {
	r := newRig(t, func(cfg *Config) { cfg.Capacity = 1 })
	_, wait := sipp(t, "refused", "u1", r.address.String())
	wait()
	r.caller("udp").call(r)
	_, wait = sipp(t, "overload", "u1", r.address.String())
	wait()
}

// Telephones that are not ours are called, and what became of it is known.
func TestCalled(t *testing.T) {
	for _, c := range []struct {
		scenario string
		within   time.Duration
		want     error // a failure, or how the call ends
	}{
		{"busy", 20 * time.Second, &Failure{Why: Busy, Code: 486}},
		{"silent", time.Second, &Failure{Why: NoAnswer}},
		{"crossing", time.Second, &Failure{Why: NoAnswer}},
		{"early", 20 * time.Second, errHungUp},
		{"leaves", 20 * time.Second, ErrHungUp},
		{"proof", 20 * time.Second, errHungUp},
	} {
		for _, network := range []string{"u1", "t1"} {
			t.Run(c.scenario+"/"+network, func(t *testing.T) {
				at, wait := sipp(t, c.scenario, network, "")
				r := newRig(t, func(cfg *Config) {
					cfg.Trunks[0].Address, cfg.Trunks[0].User, cfg.Trunks[0].Password = at.String(), "tenu", "secret"
					cfg.Trunks[0].Transport = map[string]string{"u1": "udp", "t1": "tcp"}[network]
				})
				listens(t, at, network)
				rang := 0
				call, err := r.line.Dial(t.Context(), Outgoing{Trunk: "sbc", To: "+22670112233", Within: c.within, Ringing: func() { rang++ }})
				if want := (*Failure)(nil); errors.As(c.want, &want) {
					got := (*Failure)(nil)
					if !errors.As(err, &got) || got.Why != want.Why || got.Code != want.Code || call != nil {
						t.Errorf("%v, want %v", err, want)
					}
				} else if err != nil {
					t.Errorf("%v", err)
				} else {
					if !errors.Is(c.want, ErrHungUp) {
						call.HangUp()
					}
					over(t, call, c.want)
				}
				if rings := c.scenario != "busy" && c.scenario != "proof"; rings != (rang == 1) {
					t.Errorf("rang %d times", rang)
				}
				wait()
			})
		}
	}
}

// listens waits until a telephone is there to be called.
func listens(t *testing.T, at netip.AddrPort, network string) {
	t.Helper()
	for late := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(late) {
			t.Fatal("sipp does not listen")
		}
		if network == "u1" { // taken, as soon as it cannot be had
			if conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(at)); err == nil {
				_ = conn.Close()
				continue
			}
			return
		}
		if conn, err := net.Listen("tcp", at.String()); err == nil { //nolint:noctx // at once
			_ = conn.Close()
			continue
		}
		return
	}
}
