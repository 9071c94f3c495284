package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"tenu/internal/bench"
	"tenu/internal/purchase"
	voice "tenu/internal/voice/line"
	"tenu/internal/voice/load"
	"tenu/internal/voice/media"
	"tenu/internal/voice/sound"
	"tenu/internal/voice/speech"
)

// voiceScenarios measure line 121. They need no store.
func voiceScenarios(r *benchRun, bed *bench.Bed) []bench.Scenario {
	return []bench.Scenario{{Name: "voice", Run: r.voice,
		About: fmt.Sprintf("%d calls at once with sound both ways, and as many again beyond what the line takes; the line and the callers are processes of their own.",
			bed.Size.Calls)}}
}

// Of calls beyond what the line takes, one in so many is told so by an announcement, and the others are refused.
const announcedOf = 5

// voice is one run: calls are held, then as many again are made.
func (r *benchRun) voice(ctx context.Context) (sample bench.Sample, err error) {
	calls := r.size.Calls
	child, err := r.other(ctx, "--capacity", strconv.Itoa(calls), "--overflow", strconv.Itoa(calls/announcedOf))
	if err != nil {
		return sample, err
	}
	defer func() { err = errors.Join(err, child.end()) }()
	here := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	callers, err := load.Open(load.Config{Line: netip.AddrPortFrom(here, child.port), Own: here, Clock: r.app.clock})
	if err != nil {
		return sample, err
	}
	defer func() { err = errors.Join(err, callers.Close()) }()
	bare, err := r.other(ctx, "--bare")
	if err != nil {
		return sample, err
	}
	defer func() { err = errors.Join(err, bare.end()) }()
	if err := callers.Beside(netip.AddrPortFrom(here, bare.port)); err != nil {
		return sample, err
	}
	began := r.app.clock.Now()
	made := callers.Call(ctx, calls)
	setUp := r.app.clock.Now().Sub(began)
	before := child.usage()
	heard := callers.Measure(ctx, r.size.Held)
	after := child.usage()
	failed := calls - made.Answered + heard.Ended + heard.Silent
	sample.Add("calls held", "", float64(calls-failed), "")
	sample.Add("failed calls", "", float64(failed), "")
	sample.Add("set up", "calls/s", float64(calls)/setUp.Seconds(), "")
	sample.Add("packets heard", "/s", float64(heard.Calls.Packets)/r.size.Held.Seconds(), "")
	sample.Add("packets lost", "", float64(heard.Calls.Lost), "")
	sample.Add("late, p99", "ms", ms(heard.Calls.P99), "bare sender, late, p99")
	sample.Add("late, at most", "ms", ms(heard.Calls.Most), "bare sender, late, at most")
	sample.Add("bare sender, late, p99", "ms", ms(heard.Beside.P99), "")
	sample.Add("bare sender, late, at most", "ms", ms(heard.Beside.Most), "")
	sample.Add("memory", "MB", float64(after.peak)/1e6, "")
	sample.Add("CPU", "ms/s", ms(after.cpu-before.cpu)/r.size.Held.Seconds(), "")
	beyond := callers.Call(ctx, calls)
	sample.Add("beyond: announced", "calls", float64(beyond.Answered), "")
	sample.Add("beyond: told when to try again", "calls", float64(beyond.Refused), "")
	sample.Add("beyond: unanswered", "calls", float64(beyond.Unanswered+callers.Measure(ctx, time.Second).Silent), "")
	sample.Add("beyond: memory", "MB", float64(child.usage().peak)/1e6, "")
	callers.HangUp(ctx)
	sample.Add("load average", "", loadAverage(), "")
	return sample, errors.Join(made.First, beyond.First)
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// other is the benchmark's other process.
type other struct {
	cmd  *exec.Cmd
	in   io.Closer
	port uint16
}

// other starts this program again, as a line or as a bare sender.
func (r *benchRun) other(ctx context.Context, arguments ...string) (*other, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	o := &other{cmd: exec.CommandContext(ctx, self, append([]string{"bench-line"}, arguments...)...)} //nolint:gosec // this program
	o.cmd.Stderr = r.app.err
	in, err := o.cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("start the other process: %w", err)
	}
	o.in = in
	out, err := o.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start the other process: %w", err)
	}
	if err := o.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the other process: %w", err)
	}
	if _, err := fmt.Fscanln(out, &o.port); err != nil {
		return nil, errors.Join(fmt.Errorf("the other process says nothing: %w", err), o.end())
	}
	return o, nil
}

// end tells the process to end, and waits for it.
func (o *other) end() error {
	if err := errors.Join(o.in.Close(), o.cmd.Wait()); err != nil {
		return fmt.Errorf("the other process: %w", err)
	}
	return nil
}

// usage is what the process has used so far: processor time, and bytes of memory at most.
func (o *other) usage() (u struct {
	cpu  time.Duration
	peak int64
}) {
	dir := "/proc/" + strconv.Itoa(o.cmd.Process.Pid)
	status, _ := os.ReadFile(dir + "/status") //nolint:gosec // another system does not tell
	for row := range strings.Lines(string(status)) {
		if text, is := strings.CutPrefix(row, "VmHWM:"); is {
			kib, _ := strconv.ParseInt(strings.Fields(text)[0], 10, 64)
			u.peak = kib << 10
		}
	}
	stat, _ := os.ReadFile(dir + "/stat") //nolint:gosec // another system does not tell
	_, rest, _ := strings.Cut(string(stat), ") ")
	if fields := strings.Fields(rest); len(fields) > 12 {
		user, _ := strconv.ParseInt(fields[11], 10, 64)
		system, _ := strconv.ParseInt(fields[12], 10, 64)
		u.cpu = time.Duration(user+system) * 10 * time.Millisecond
	}
	return u
}

// loadAverage is the system's, of the last minute.
func loadAverage() float64 {
	text, _ := os.ReadFile("/proc/loadavg") // another system does not tell
	first, _, _ := strings.Cut(string(text), " ")
	average, _ := strconv.ParseFloat(first, 64)
	return average
}

// benchLineCmd is the other process of the benchmark of the line, until its standard input ends.
type benchLineCmd struct {
	Capacity int
	Overflow int
	Bare     bool
}

// Run serves.
func (c *benchLineCmd) Run(ctx context.Context, a *app) error {
	ctx, end := context.WithCancel(ctx)
	defer end()
	go func() {
		defer end()
		_, _ = io.Copy(io.Discard, os.Stdin) // until the other process ends
	}()
	if c.Bare {
		return c.bare(ctx, a)
	}
	ballast = nil // a line makes hardly anything anew, and its memory is measured
	return c.serve(ctx, a)
}

// bare sends a packet every 20 ms to whoever sent the last one, as simply as can be.
func (*benchLineCmd) bare(ctx context.Context, a *app) error {
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	a.printf("%d\n", conn.LocalAddr().(*net.UDPAddr).Port) //nolint:errcheck,forcetypeassert // what ListenUDP gives
	packet := make([]byte, 172)
	_, to, err := conn.ReadFromUDPAddrPort(packet)
	clear(packet)
	next := a.clock.Now()
	for n := uint32(0); err == nil; n++ {
		next = next.Add(20 * time.Millisecond)
		select {
		case <-a.clock.After(next.Sub(a.clock.Now())):
		case <-ctx.Done():
			return conn.Close()
		}
		binary.BigEndian.PutUint32(packet[4:], n*160)
		_, err = conn.WriteToUDPAddrPort(packet, to)
	}
	return errors.Join(err, conn.Close())
}

// serve is a line that talks to every caller without an end.
func (c *benchLineCmd) serve(ctx context.Context, a *app) error {
	here := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	probe, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(netip.AddrPortFrom(here, 0)))
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	port := probe.Addr().(*net.TCPAddr).AddrPort().Port() //nolint:errcheck,forcetypeassert // what ListenTCP gives
	if err := probe.Close(); err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	l, streams, err := c.line(a, netip.AddrPortFrom(here, port))
	if err != nil {
		return err
	}
	debug.FreeOSMemory() // what it took to begin
	ended := make(chan error, 1)
	sending := make(chan struct{})
	go func() { defer close(sending); streams.Run(ctx) }()
	go func() { ended <- l.Run(ctx) }()
	for ctx.Err() == nil { // until it listens
		if conn, err := net.DialTCP("tcp", nil, net.TCPAddrFromAddrPort(netip.AddrPortFrom(here, port))); err == nil {
			if err := conn.Close(); err != nil {
				return fmt.Errorf("listen: %w", err)
			}
			break
		}
		<-a.clock.After(time.Millisecond)
	}
	a.printf("%d\n", port)
	err = <-ended
	<-sending
	return err
}

func (c *benchLineCmd) line(a *app, at netip.AddrPort) (*voice.Line, *media.Streams, error) {
	random := func() uint64 {
		var b [8]byte
		_, _ = io.ReadFull(a.random, b[:]) // the system's never fails
		return binary.NativeEndian.Uint64(b[:])
	}
	streams, err := media.New(media.Config{Address: at.Addr(), From: 20_000, To: 29_999, Patience: time.Minute, Clock: a.clock, Random: random})
	if err != nil {
		return nil, nil, err
	}
	voices, err := speech.Load()
	if err != nil {
		return nil, nil, err
	}
	sounds, err := sound.Load(nil)
	if err != nil {
		return nil, nil, err
	}
	say := func(key string) func(context.Context, *voice.Call) {
		return func(ctx context.Context, c *voice.Call) {
			var over error
			for over == nil {
				over = c.Say(ctx, key, nil)
			}
		}
	}
	l, err := voice.New(voice.Config{Address: at, Identity: "121", Trunks: []voice.Trunk{{Name: "bench", Networks: []netip.Prefix{netip.PrefixFrom(at.Addr(), 8)}}},
		Capacity: c.Capacity, Overflow: c.Overflow, RetryAfter: time.Minute, Language: "fr", Media: streams, Sounds: sounds, Voices: voices,
		Clock: a.clock, Log: slog.New(slog.NewTextHandler(a.err, &slog.HandlerOptions{Level: slog.LevelError})),
		Number: func(string) (purchase.MSISDN, bool) { return 0, false }, Serve: say("menu"), Overload: say("overload"), Refused: func() {}})
	return l, streams, err
}
