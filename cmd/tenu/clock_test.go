package main

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"
)

// TestClockSet checks that a system clock that was set is told of, and that
// deadlines do not follow it.
func TestClockSet(t *testing.T) {
	c := newSteady()
	for _, by := range []time.Duration{0, time.Hour, -time.Hour, 365 * 24 * time.Hour} {
		var text bytes.Buffer
		ctx, cancel := context.WithCancel(t.Context())
		before := c.Now()
		system := func() time.Time {
			defer cancel() // one look is enough
			return time.Now().Round(0).Add(by)
		}
		c.watch(ctx, slog.New(slog.NewTextHandler(&text, nil)), system)
		if told := strings.Contains(text.String(), "clock was set"); told != (by != 0) {
			t.Errorf("set by %v: told %v: %s", by, told, text.String())
		}
		if moved := c.Now().Sub(before); moved < 0 || moved > time.Minute {
			t.Errorf("set by %v: our time moved by %v", by, moved)
		}
	}
}
