package bench

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"syscall"
	"time"

	"tenu/internal/purchase"
)

// reading is what had been used at one moment.
type reading struct {
	own     time.Duration // processor time of this process
	allocs  uint64
	bytes   uint64 // allocated
	written int64  // bytes written to files and sockets, -1 where the system does not tell
	server  ServerUsage
	stats   purchase.Stats
	at      purchase.Instant
}

// read takes a reading of the process, the database server and the engine.
func (n *node) read(ctx context.Context) (reading, error) {
	r, err := n.db.bed.read(ctx)
	r.stats = n.Stats()
	return r, err
}

// read takes a reading of the process and the database server.
func (b *Bed) read(ctx context.Context) (r reading, err error) {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return r, fmt.Errorf("read the processor time: %w", err)
	}
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	r = reading{own: time.Duration(usage.Utime.Nano() + usage.Stime.Nano()), allocs: memory.Mallocs,
		bytes: memory.TotalAlloc, written: written(), at: b.Clock.Now()}
	if b.Server != nil {
		r.server, err = b.Server(ctx)
	}
	return r, err
}

// written is how many bytes this process has written.
func written() int64 {
	text, err := os.ReadFile("/proc/self/io")
	if err != nil {
		return -1
	}
	for line := range bytes.Lines(text) {
		if value, found := bytes.CutPrefix(line, []byte("wchar: ")); found {
			if n, err := strconv.ParseInt(string(bytes.TrimSpace(value)), 10, 64); err == nil {
				return n
			}
		}
	}
	return -1
}

// addCosts adds what each of count purchases between two readings cost, beside
// what each of as many of a bare loop did.
func (s *Sample) addCosts(store string, before, after reading, count int, floor bare) {
	add := func(name, unit string, engine, floor float64) {
		s.Add(name, unit, engine, floorFigure+", "+name)
		s.Add(floorFigure+", "+name, unit, floor, "")
	}
	own, theirs := after.since(before, count), floor.after.since(floor.before, len(floor.times))
	add("own CPU", "µs/purchase", own.cpu, theirs.cpu)
	if own.server > 0 {
		add("server CPU", "µs/purchase", own.server, theirs.server)
	}
	switch {
	case own.wal > 0:
		add("WAL", "B/purchase", own.wal, theirs.wal)
	case store == "sqlite" && before.written >= 0:
		add("written", "B/purchase", own.written, theirs.written)
	}
	s.Add("allocations", "/purchase", own.allocs, "")
	s.Add("allocated", "B/purchase", own.bytes, "")
	commits := after.stats.Commits - before.stats.Commits
	s.Add("commits", "/s", float64(commits)/after.at.Sub(before.at).Seconds(), "")
	s.Add("batch mean", "changes", batchMean(before.stats, after.stats), "")
}

// costs are what one purchase used: microseconds of processor time, bytes, and allocations.
type costs struct{ cpu, server, wal, written, allocs, bytes float64 }

// since is what each of count purchases used since an earlier reading.
func (r *reading) since(before reading, count int) costs {
	each := func(v float64) float64 { return v / float64(count) }
	return costs{cpu: each(float64((r.own - before.own).Microseconds())),
		server:  each(float64((r.server.CPU - before.server.CPU).Microseconds())),
		wal:     each(float64(r.server.WAL - before.server.WAL)),
		written: each(float64(r.written - before.written)),
		allocs:  each(float64(r.allocs - before.allocs)), bytes: each(float64(r.bytes - before.bytes))}
}

// add adds what was used in another part of the time.
func (c *costs) add(other costs) {
	c.cpu, c.server, c.wal, c.written = c.cpu+other.cpu, c.server+other.server, c.wal+other.wal, c.written+other.written
	c.allocs, c.bytes = c.allocs+other.allocs, c.bytes+other.bytes
}

func batchMean(before, after purchase.Stats) float64 {
	return float64(after.Changes-before.Changes) / float64(max(after.Commits-before.Commits, 1))
}

// heap is what is in use after garbage was collected and its memory given back.
func heap() uint64 {
	runtime.GC()
	debug.FreeOSMemory() // what the first found only finalizers for is collected too
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	return memory.HeapInuse
}

// resident is the memory that this process holds, garbage included, 0 where the
// system does not tell.
func resident() int64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	if fields := bytes.Fields(text); len(fields) > 1 {
		if pages, err := strconv.ParseInt(string(fields[1]), 10, 64); err == nil {
			return pages * int64(os.Getpagesize())
		}
	}
	return 0
}
