// Package intake brings partners' statements from where they are put: a
// directory, an HTTP server, an SFTP server, or a partner's own interface. It
// must not know what is in a statement.
package intake

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"tenu/internal/purchase"
)

// Period is a time without its end.
type Period struct{ From, To purchase.Instant }

// File is one statement that a source has.
type File struct {
	Name string
	// Mark changes when the file does; "" when the source cannot say.
	Mark string
	// Open opens it, for reading to its end once.
	Open func(context.Context) (io.ReadCloser, error)
	// Dated: the file is of the period that was asked for, and does not say so itself.
	Dated bool
}

// Source is where statements are put.
type Source interface {
	// Name is the source's, for logs; it holds no secret.
	Name() string
	// Files lists the statements of a period that there are now, oldest first.
	Files(ctx context.Context, p Period) ([]File, error)
}

// ErrUnchanged is returned by Open where there is nothing that was not read before.
var ErrUnchanged = errors.New("nothing has changed")

// maxFiles bounds the files that one source lists.
const maxFiles = 10_000

// Directory is a folder on this machine.
type Directory struct {
	Path    string
	Pattern string // as filepath.Match has it
}

// Name is Source.
func (d *Directory) Name() string { return d.Path }

// Files is Source. What is hidden is being written.
func (d *Directory) Files(context.Context, Period) (files []File, err error) {
	entries, err := os.ReadDir(d.Path)
	if err != nil {
		return nil, fmt.Errorf("list statements: %w", err)
	}
	for _, e := range entries {
		name := e.Name()
		if match, err := filepath.Match(d.Pattern, name); err != nil || !match || strings.HasPrefix(name, ".") || !e.Type().IsRegular() {
			continue
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // it was moved meanwhile
		}
		if err != nil {
			return nil, fmt.Errorf("list statements: %w", err)
		}
		if len(files) == maxFiles {
			return nil, fmt.Errorf("list statements: more than %d files in %s", maxFiles, d.Path)
		}
		path := filepath.Join(d.Path, name)
		files = append(files, File{Name: path, Mark: info.ModTime().UTC().String() + "/" + strconv.FormatInt(info.Size(), 10),
			Open: func(context.Context) (io.ReadCloser, error) { return os.Open(path) }}) //nolint:gosec // in a folder of the operator's
	}
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Name, b.Name) })
	return files, nil
}

// HTTP is a server that gives the statement of a period. {from} and {to} in the
// address stand for the period, in RFC 3339; {day} for the day that it begins on.
type HTTP struct {
	Address string
	Header  http.Header
	Client  *http.Client

	mu   sync.Mutex
	tags map[string]string // the ETag of each address that was read to its end
}

// Name is Source: the address without its query.
func (h *HTTP) Name() string {
	address, _, _ := strings.Cut(h.Address, "?")
	return address
}

// filled is an address of a period.
func filled(address string, p Period) string {
	const layout = "2006-01-02T15:04:05Z"
	return strings.NewReplacer("{from}", p.From.Time().Format(layout), "{to}", p.To.Time().Format(layout), "{day}", p.From.Time().Format("2006-01-02")).Replace(address)
}

// Files is Source.
func (h *HTTP) Files(_ context.Context, p Period) ([]File, error) {
	address := filled(h.Address, p)
	name := h.Name() + "#" + p.From.Time().Format("20060102T150405Z")
	return []File{{Name: name, Dated: true, Open: func(ctx context.Context) (io.ReadCloser, error) { return h.open(ctx, address) }}}, nil
}

// open asks for the statement. An answer that is cut is an error of reading.
func (h *HTTP) open(ctx context.Context, address string) (io.ReadCloser, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, fmt.Errorf("ask for a statement: %w", err)
	}
	for name, values := range h.Header {
		r.Header[name] = values
	}
	h.mu.Lock()
	if tag := h.tags[address]; tag != "" {
		r.Header.Set("If-None-Match", tag)
	}
	h.mu.Unlock()
	response, err := h.Client.Do(r) //nolint:bodyclose // whoever reads the statement closes it
	if err != nil {
		return nil, fmt.Errorf("ask for a statement: %w", err)
	}
	switch response.StatusCode {
	case http.StatusOK:
		return &tagged{ReadCloser: response.Body, done: func() { h.remember(address, response.Header.Get("ETag")) }}, nil
	case http.StatusNotModified:
		response.Body.Close()
		return nil, ErrUnchanged
	}
	response.Body.Close()
	return nil, fmt.Errorf("ask for a statement: %s answered %d", h.Name(), response.StatusCode)
}

// maxTags bounds the addresses whose tags are remembered.
const maxTags = 1000

func (h *HTTP) remember(address, tag string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.tags == nil || len(h.tags) >= maxTags {
		h.tags = map[string]string{}
	}
	h.tags[address] = tag
}

// tagged is a body whose tag counts once it was read to its end.
type tagged struct {
	io.ReadCloser
	done func()
}

func (t *tagged) Read(p []byte) (int, error) {
	n, err := t.ReadCloser.Read(p)
	if errors.Is(err, io.EOF) {
		t.done()
	}
	return n, err
}

// Seen remembers which files were loaded, by source, name and mark. It is safe for concurrent use.
type Seen struct {
	mu  sync.Mutex
	all map[[sha256.Size]byte]bool
}

func seenKey(source string, f *File) [sha256.Size]byte {
	return sha256.Sum256([]byte(source + "\x00" + f.Name + "\x00" + f.Mark))
}

// Has reports whether a file was loaded as it is.
func (s *Seen) Has(source string, f *File) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return f.Mark != "" && s.all[seenKey(source, f)]
}

// Add remembers a file.
func (s *Seen) Add(source string, f *File) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil || len(s.all) > 10*maxFiles {
		s.all = map[[sha256.Size]byte]bool{}
	}
	s.all[seenKey(source, f)] = true
}

// short is the beginning of a digest, for names.
func short(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:6])
}
