package line

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"

	"tenu/internal/voice/sound"
)

// calling is a line that calls another one, which serves so.
func calling(t *testing.T, serve func(context.Context, *Call)) (from, to *rig) {
	t.Helper()
	to = newRig(t, func(cfg *Config) {
		if serve != nil {
			cfg.Serve = serve
		}
	})
	from = newRig(t, func(cfg *Config) {
		cfg.Trunks[0].Address = to.address.String()
	})
	return from, to
}

// over waits until a call is, for a reason.
func over(t *testing.T, c *Call, want error) {
	t.Helper()
	select {
	case <-c.Done():
	case <-time.After(20 * time.Second):
		t.Fatal("the call is not over")
	}
	if want != nil && !errors.Is(c.Err(), want) {
		t.Errorf("over: %v, want %v", c.Err(), want)
	}
}

// A call that is answered is talked in, and ends when either side wants it.
func TestDial(t *testing.T) {
	for _, network := range []string{"udp", "tcp"} {
		t.Run(network, func(t *testing.T) {
			served := make(chan *Call, 2)
			from, to := calling(t, func(ctx context.Context, c *Call) {
				served <- c
				key, _ := c.Key(ctx, 20*time.Second)
				if key == 0 {
					<-ctx.Done()
				}
			})
			from.line.cfg.Trunks[0].Transport = network
			c, err := from.line.Dial(t.Context(), Outgoing{Trunk: "sbc", To: "+22670112233", Within: 10 * time.Second})
			if err != nil {
				t.Fatal(err)
			}
			if c.Trunk != "sbc" || c.Language != "fr" || c.Law() != sound.ALaw {
				t.Errorf("%+v", c)
			}
			far := <-served
			c.HangUp()
			over(t, c, errHungUp)
			over(t, far, ErrHungUp)
			if n := to.line.Counts(); n.Answered != 1 {
				t.Errorf("%+v", n)
			}
			if c, err = from.line.Dial(t.Context(), Outgoing{To: "sip:x@" + to.address.String() + ";transport=" + network, Language: "en", Within: 10 * time.Second}); err != nil {
				t.Fatal(err)
			}
			far = <-served
			far.HangUp()
			over(t, c, ErrHungUp)
			if n := from.line.Counts(); n.Dialled != 2 || n.Reached != 2 || c.Trunk != "" || c.Language != "en" {
				t.Errorf("%+v", n)
			}
		})
	}
}

// Two calls hear each other, the second of which was made for it, and the first goes on when the second is over.
func TestBridge(t *testing.T) {
	bridged := make(chan error, 1)
	agent := newRig(t, func(cfg *Config) {
		cfg.Serve = func(ctx context.Context, c *Call) { _ = c.Say(ctx, "other_number", nil) }
	})
	customer := newRig(t, func(cfg *Config) {
		cfg.Serve = func(ctx context.Context, c *Call) {
			other, err := c.line.Dial(ctx, Outgoing{To: "sip:agent@" + agent.address.String(), Within: 10 * time.Second})
			if err != nil {
				bridged <- err
				return
			}
			bridged <- c.Bridge(ctx, other)
			_ = c.Say(ctx, "goodbye", nil)
		}
	})
	phone := customer.caller("udp")
	phone.call(customer)
	if !phone.hear(agent.said("fr", "other_number", nil)[sound.Rate:][:sound.Rate/2]) { // the bridge begins after the call
		t.Error("the agent is not heard")
	}
	if err := <-bridged; err != nil {
		t.Errorf("the caller is gone: %v", err)
	}
	if !phone.hear(customer.said("fr", "goodbye", nil)) {
		t.Error("goodbye was not heard")
	}
}

// What cannot be called fails at once.
func TestDialNobody(t *testing.T) {
	r := newRig(t, func(cfg *Config) {
		cfg.Trunks = append(cfg.Trunks, Trunk{Name: "in", Networks: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}, Trunk{Name: "out", Address: "127.0.0.1:1"})
		cfg.Capacity = 1
	})
	for _, o := range []Outgoing{{}, {Trunk: "in", To: "1"}, {Trunk: "none", To: "1"}, {To: "+22670112233"}, {Trunk: "out", To: "1@evil"}, {Trunk: "out", To: "1 2"},
		{To: "sip:"}, {To: "sip:x@nowhere.invalid"}, {To: "sip:x@127.0.0.1\r\nEvil: 1"}} {
		var f *Failure
		if c, err := r.line.Dial(t.Context(), o); c != nil || !errors.As(err, &f) || f.Why != Unreachable {
			t.Errorf("%+v: %v, %v", o, c, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := r.line.Dial(ctx, Outgoing{Trunk: "out", To: "1", Within: time.Minute})
	var f *Failure
	if !errors.As(err, &f) {
		t.Errorf("%v", err)
	}
}
