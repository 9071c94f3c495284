package status

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"tenu/internal/purchase"
)

// telling is a source whose snapshot is set, and which may fail.
type telling struct {
	snap  *Snapshot
	err   error
	asked int
}

func (t *telling) Snapshot(_ context.Context, now purchase.Instant) (Snapshot, error) {
	t.asked++
	if t.err != nil {
		return Snapshot{}, t.err
	}
	s := *t.snap
	s.At = now
	return s, nil
}

func newWriter(t *testing.T, s *Snapshot, folder string) (*Writer, *telling) {
	t.Helper()
	source := &telling{snap: s}
	w, err := NewWriter(newSite(t, ""), source, folder)
	if err != nil {
		t.Fatal(err)
	}
	return w, source
}

// folder reads the files of a folder.
func folder(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		all[e.Name()] = string(data)
	}
	return all
}

func TestWriterKeepsItsPace(t *testing.T) {
	w, source := newWriter(t, ongoing(), t.TempDir())
	step := func(now, want purchase.Instant, asked int) {
		t.Helper()
		if next, err := w.Step(t.Context(), now); err != nil || next != want || source.asked != asked {
			t.Errorf("at %s: next %s, not %s, asked %d times, not %d, %v", now, next, want, source.asked, asked, err)
		}
	}
	step(noon, noon.Add(20*time.Second), 1)
	step(noon.Add(19*time.Second), noon.Add(20*time.Second), 1)
	step(noon.Add(20*time.Second), noon.Add(40*time.Second), 2)
	source.snap = over()
	later := noon.Add(40 * time.Second)
	step(later, later.Add(5*time.Minute), 3)
	step(later.Add(4*time.Minute), later.Add(5*time.Minute), 3)
	w.again = true // as Run sets it when something changed
	step(later.Add(time.Second), later.Add(time.Second+5*time.Minute), 4)
	source.err = errors.New("no database")
	now := later.Add(time.Hour)
	if next, err := w.Step(t.Context(), now); !errors.Is(err, source.err) || next != now.Add(time.Second) {
		t.Errorf("next %s, %v", next, err)
	}
	source.err = nil
	step(now.Add(time.Second), now.Add(time.Second+5*time.Minute), 6)
}

func TestWriterWritesWhatChanged(t *testing.T) {
	dir := t.TempDir()
	w, source := newWriter(t, ongoing(), dir)
	foreign := filepath.Join(dir, "robots.txt")
	for _, name := range []string{foreign, filepath.Join(dir, unfinished+"index.html"), filepath.Join(dir, "incident-3.html")} {
		if err := os.WriteFile(name, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Step(t.Context(), noon); err != nil {
		t.Fatal(err)
	}
	want, err := newSite(t, "").Files(ongoing())
	if err != nil {
		t.Fatal(err)
	}
	expected := byName(want)
	expected["robots.txt"] = "x"
	if got := folder(t, dir); !reflect.DeepEqual(got, expected) {
		t.Fatalf("%d files, not %d", len(got), len(expected))
	}
	inode := func(name string) os.FileInfo {
		t.Helper()
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return info
	}
	past, index := inode("incident-11.html"), inode("index.html")
	if _, err := w.Step(t.Context(), noon.Add(30*time.Second)); err != nil {
		t.Fatal(err)
	}
	if !os.SameFile(past, inode("incident-11.html")) {
		t.Error("a page that says the same was written again")
	}
	if os.SameFile(index, inode("index.html")) {
		t.Error("the first page was written over, where a reader may be in the middle of it")
	}
	// What somebody damaged is mended, what is over goes.
	if err := os.WriteFile(filepath.Join(dir, "incident-11.html"), []byte("<h1>all is well"), 0o600); err != nil {
		t.Fatal(err)
	}
	source.snap = ongoing()
	source.snap.Incidents = source.snap.Incidents[:1]
	if _, err := w.Step(t.Context(), noon.Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	got := folder(t, dir)
	if got["incident-11.html"] != "" || got["incident-11.en.html"] != "" || got["robots.txt"] != "x" || got["incident-12.html"] == "" {
		t.Errorf("%d files", len(got))
	}
}

// ended is a context that ends after so many questions: a process that stops between two files.
type ended struct {
	context.Context
	left atomic.Int64
}

func (e *ended) Err() error {
	if e.left.Add(-1) < 0 {
		return context.Canceled
	}
	return nil
}

// TestWriterStopsBetweenFiles: wherever the writing ends, each file is an old or a new one as a
// whole, the first page's links resolve, and the next step ends what was begun.
func TestWriterStopsBetweenFiles(t *testing.T) {
	before, after := ongoing(), over()
	after.Incidents = append([]Incident{after.Incidents[0]}, after.Incidents...)
	after.Incidents[0].ID, after.Incidents[0].Status = 13, 1
	for stop := int64(0); stop < 20; stop += 2 {
		dir := t.TempDir()
		w, source := newWriter(t, before, dir)
		if _, err := w.Step(t.Context(), noon); err != nil {
			t.Fatal(err)
		}
		old := folder(t, dir)
		source.snap = after
		now := noon.Add(time.Hour)
		ctx := &ended{Context: t.Context()}
		ctx.left.Store(stop)
		_, err := w.Step(ctx, now)
		fresh := *after
		fresh.At = now
		list, problem := newSite(t, "").Files(&fresh)
		if problem != nil {
			t.Fatal(problem)
		}
		want := byName(list)
		got := folder(t, dir)
		for name, body := range got {
			if body != old[name] && body != want[name] {
				t.Errorf("stopped after %d: %s is neither the old nor the new one", stop, name)
			}
			if strings.HasPrefix(name, "index") {
				checkPage(t, name, body, got)
			}
		}
		if err != nil && !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		if done := stop >= int64(len(list)); done != (err == nil) {
			t.Errorf("stopped after %d of %d: %v", stop, len(list), err)
		}
		// Another process goes on.
		w, _ = newWriter(t, after, dir)
		if _, err := w.Step(t.Context(), now); err != nil {
			t.Fatal(err)
		}
		if got := folder(t, dir); !reflect.DeepEqual(got, want) {
			t.Errorf("stopped after %d: %d files, not %d", stop, len(got), len(want))
		}
	}
}

// TestWriterWithoutADisk: the page is served although it cannot be written.
func TestWriterWithoutADisk(t *testing.T) {
	w, _ := newWriter(t, ongoing(), filepath.Join(t.TempDir(), "gone"))
	if next, err := w.Step(t.Context(), noon); err == nil || next != noon.Add(time.Second) {
		t.Errorf("next %s, %v", next, err)
	}
	if !w.held().has("index.html") || !w.held().has("incident-12.en.html") {
		t.Error("nothing is served")
	}
}

// hand is a clock that is set by hand; waiting tells when somebody waits.
type hand struct {
	now     atomic.Int64
	waiting chan time.Duration
	fire    chan time.Time
}

func (h *hand) Now() purchase.Instant { return purchase.Instant(h.now.Load()) }

func (h *hand) After(d time.Duration) <-chan time.Time {
	h.waiting <- d
	return h.fire
}

// TestWriterIsWoken: a change is told after a second, not after five minutes.
func TestWriterIsWoken(t *testing.T) {
	w, source := newWriter(t, over(), "")
	clock := &hand{waiting: make(chan time.Duration, 100), fire: make(chan time.Time)}
	clock.now.Store(int64(noon))
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.Run(ctx, clock, func(err error) { t.Error(err) })
	}()
	if d := <-clock.waiting; d != 5*time.Minute {
		t.Errorf("waits %s", d)
	}
	source.snap = ongoing()
	w.Changed()
	w.Changed()
	if d := <-clock.waiting; d != time.Second {
		t.Errorf("after a change it waits %s", d)
	}
	clock.now.Add(time.Second.Microseconds())
	clock.fire <- time.Time{}
	if d := <-clock.waiting; d > 30*time.Second {
		t.Errorf("during an incident it waits %s", d)
	}
	if f := w.held().files["index.html"]; !strings.Contains(string(f.Body), "suspendues") {
		t.Error("the change is not told")
	}
	stop()
	<-done
}
