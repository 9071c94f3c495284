package e2e

import (
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/schollz/progressbar/v3"
)

// count is how often a test does its worst: as often as given by default, more
// in make soak.
func count(normal int) int {
	if n, err := strconv.Atoi(os.Getenv("TENU_SOAK")); err == nil && n > 0 {
		return normal * n
	}
	return normal
}

// seeded draws a test's random instants, and prints the seed. TENU_SEED repeats one.
func seeded(t *testing.T) *rand.Rand {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if n, err := strconv.ParseUint(os.Getenv("TENU_SEED"), 10, 64); err == nil {
		seed = n
	}
	t.Logf("seed: TENU_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // replayable on purpose
}

// progress tells people how far a test is.
type progress struct {
	t     *testing.T
	bar   *progressbar.ProgressBar
	began time.Time
	to    io.WriteCloser
}

// start shows a bar on the terminal, where there is one, or in the output of make soak.
func start(t *testing.T, total int) *progress {
	t.Helper()
	p := &progress{t: t, began: time.Now()}
	to, every := io.Discard, 100*time.Millisecond
	if terminal, err := os.OpenFile("/dev/tty", os.O_WRONLY, 0); err == nil {
		to, p.to = terminal, terminal
	} else if os.Getenv("TENU_SOAK") != "" {
		to, every = os.Stderr, 10*time.Second
	}
	p.bar = progressbar.NewOptions(total, progressbar.OptionSetWriter(to), progressbar.OptionSetDescription(t.Name()),
		progressbar.OptionShowCount(), progressbar.OptionThrottle(every), progressbar.OptionSetWidth(30),
		progressbar.OptionOnCompletion(func() { _, _ = fmt.Fprintln(to) }))
	t.Cleanup(func() {
		if p.to != nil {
			_ = p.to.Close()
		}
	})
	return p
}

func (p *progress) step() { _ = p.bar.Add(1) } // a terminal that is gone stops nothing

// end prints the test's result in one line.
func (p *progress) end(format string, args ...any) {
	p.t.Helper()
	_ = p.bar.Exit()
	p.t.Logf("%s, seconds %.0f", fmt.Sprintf(format, args...), time.Since(p.began).Seconds())
}
