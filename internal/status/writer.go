package status

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"
	"sync/atomic"
	"time"

	"tenu/internal/purchase"
)

// The pace of the writer: the longest between two versions of the page, and the shortest
// when there is much to tell. The page promises every 30 s; a slow disk has the rest.
const (
	ongoingEvery = 20 * time.Second
	quietEvery   = 5 * time.Minute
	soonest      = time.Second
)

// unfinished begins the names of files that are being written.
const unfinished = ".tenu-status-"

// ours are the names of pages that end some day.
var ours = regexp.MustCompile(`^(incident|history)-\d+(\.[a-z]+)?\.html$`)

// held is what Server answers from.
type held struct {
	files      map[string]served
	components []Component
}

func (h *held) has(name string) bool { _, known := h.files[name]; return known }

// served is a file as it is held in memory.
type served struct {
	File
	tag    string // of the body
	zipped []byte
}

// Writer keeps a folder of the site's files, and the same files in memory for Server. Only
// one writes a folder at a time. Step and Run are for one goroutine, the rest for any.
type Writer struct {
	site    *Site
	list    *list
	source  Source
	folder  string
	changed chan struct{}
	tried   purchase.Instant // when a version was last begun
	last    purchase.Instant // of the last version that was written wholly
	quiet   bool             // nothing was wrong then
	again   bool             // something changed since
	now     atomic.Pointer[held]
}

// NewWriter returns the writer of a folder, which must exist; "" keeps the files in memory only.
func NewWriter(site *Site, source Source, folder string) (*Writer, error) {
	if site == nil || source == nil {
		return nil, errors.New("status: a site and a source are needed")
	}
	w := &Writer{site: site, list: &list{site: site}, source: source, folder: folder, changed: make(chan struct{}, 1)}
	w.now.Store(&held{})
	return w, nil
}

// Changed says that there is something new to tell: Run writes within a second. It never waits.
func (w *Writer) Changed() {
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

// Step writes the files when it is time to, and returns when it is next. Each file is
// replaced whole, durably, and only where it changed; the first page is the last, so that
// whatever it links to is there, also when the writing ends in between. What failed is
// tried again in the next step.
func (w *Writer) Step(ctx context.Context, now purchase.Instant) (next purchase.Instant, err error) {
	if due := w.due(); now < due {
		return due, nil
	}
	w.tried = now
	snap, err := w.source.Snapshot(ctx, now)
	if err != nil {
		return now.Add(soonest), fmt.Errorf("status: see how the service is: %w", err)
	}
	// Memory first: a full disk keeps nobody from being told.
	own, err := w.site.files(&snap, true)
	if err != nil {
		return now.Add(soonest), err
	}
	w.hold(&snap, own)
	if w.folder != "" {
		files, err := w.list.files(&snap)
		if err == nil {
			var pages []File
			pages, err = w.site.Files(&snap)
			files = append(files, pages...) // which lead to the list
		}
		if err == nil {
			err = w.write(ctx, files)
		}
		if err != nil {
			return now.Add(soonest), err
		}
	}
	w.last, w.quiet, w.again = now, !snap.ongoing(), false
	return w.due(), nil
}

// held is the last version.
func (w *Writer) held() *held { return w.now.Load() }

// hold makes files those that are served.
func (w *Writer) hold(snap *Snapshot, files []File) {
	before, next := w.held(), &held{make(map[string]served, len(files)), bounded(snap).Components}
	for _, f := range files {
		if old, known := before.files[f.Name]; known && bytes.Equal(old.Body, f.Body) {
			next.files[f.Name] = old
			continue
		}
		hash := sha256.Sum256(f.Body)
		next.files[f.Name] = served{f, base64.RawURLEncoding.EncodeToString(hash[:12]), compressed(f.Body)}
	}
	w.now.Store(next)
}

func compressed(data []byte) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write(data) // a buffer takes everything
	_ = z.Close()
	return b.Bytes()
}

// due is when the next version is written.
func (w *Writer) due() purchase.Instant {
	switch {
	case w.last == 0:
		return 0
	case w.again:
		return w.last.Add(soonest)
	case w.quiet:
		return w.last.Add(quietEvery)
	}
	return w.last.Add(ongoingEvery)
}

// Run writes until ctx ends. What goes wrong is told to failed, and tried again.
func (w *Writer) Run(ctx context.Context, clock purchase.Clock, failed func(error)) {
	for ctx.Err() == nil {
		next, err := w.Step(ctx, clock.Now())
		if err != nil && ctx.Err() == nil {
			failed(err)
		}
		select {
		case <-ctx.Done():
		case <-clock.After(max(next.Sub(clock.Now()), 0)):
		case <-w.changed:
			w.again = true
			if wait := w.tried.Add(soonest).Sub(clock.Now()); wait > 0 {
				select {
				case <-ctx.Done():
				case <-clock.After(wait):
				}
			}
		}
	}
}

// write makes the folder hold these files.
func (w *Writer) write(ctx context.Context, files []File) (err error) {
	root, err := os.OpenRoot(w.folder)
	if err != nil {
		return fmt.Errorf("status: open the folder: %w", err)
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	kept := make(map[string]bool, len(files))
	wrote := false
	for i := range files {
		if err := ctx.Err(); err != nil {
			return err
		}
		kept[files[i].Name] = true
		changed, err := put(root, &files[i])
		if err != nil {
			return fmt.Errorf("status: write %s: %w", files[i].Name, err)
		}
		wrote = wrote || changed
	}
	removed, err := tidy(root, kept)
	if err != nil {
		return fmt.Errorf("status: remove what is over: %w", err)
	}
	if !wrote && !removed {
		return nil
	}
	if err := durable(root); err != nil {
		return fmt.Errorf("status: %w", err)
	}
	return nil
}

// put replaces a file whole, unless it is the same already.
func put(root *os.Root, f *File) (changed bool, err error) {
	if old, err := root.ReadFile(f.Name); err == nil && bytes.Equal(old, f.Body) {
		return false, nil
	}
	name := unfinished + f.Name
	file, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return false, err
	}
	_, err = io.Copy(file, bytes.NewReader(f.Body))
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err == nil {
		err = root.Rename(name, f.Name)
	}
	return true, err
}

// tidy removes pages that are shown no more, and what a crash left unfinished.
func tidy(root *os.Root, kept map[string]bool) (removed bool, err error) {
	names, err := fs.Glob(root.FS(), "*")
	if err != nil {
		return false, err
	}
	hidden, err := fs.Glob(root.FS(), unfinished+"*")
	if err != nil {
		return false, err
	}
	for _, name := range append(hidden, names...) {
		if kept[name] || len(name) < len(unfinished) || name[:len(unfinished)] != unfinished && !ours.MatchString(name) {
			continue
		}
		if err := root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return removed, err
		}
		removed = true
	}
	return removed, nil
}

// durable makes the names of a folder durable.
func durable(root *os.Root) error {
	dir, err := root.Open(".")
	if err != nil {
		return fmt.Errorf("open the folder: %w", err)
	}
	err = dir.Sync()
	if err = errors.Join(err, dir.Close()); err != nil {
		return fmt.Errorf("keep the folder: %w", err)
	}
	return nil
}
