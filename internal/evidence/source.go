package evidence

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Entries is the level of bundles, beside those of hashes.
const Entries = -1

// Source is where a log's checkpoint, tiles and bundles are read from. A tile may come with
// more hashes than were asked for, never with fewer.
type Source interface {
	Checkpoint(ctx context.Context) ([]byte, error)
	// Tile reads a tile of hashes, or at level Entries a bundle, of a tree that gives it so
	// many: 256 when it is full.
	Tile(ctx context.Context, level int, n int64, width int) ([]byte, error)
}

// TilesSource is a Source that reads many tiles of hashes at once.
type TilesSource interface {
	Source
	// Tiles sets the data of those that it has.
	Tiles(ctx context.Context, tiles []Tile) error
}

// ErrMissing is returned by a Source for what is not there.
var ErrMissing = errors.New("not in the log")

// CheckpointPath and TilePath are the paths of C2SP tlog-tiles.
const CheckpointPath = "checkpoint"

// TilePath is where a tile is.
func TilePath(level int, n int64, width int) string {
	path := "tile/entries/"
	if level != Entries {
		path = "tile/" + strconv.Itoa(level) + "/"
	}
	var parts string
	parts = fmt.Sprintf("%03d", n%1000)
	for n /= 1000; n > 0; n /= 1000 {
		parts = fmt.Sprintf("x%03d/", n%1000) + parts
	}
	if path += parts; width < TileWidth {
		path += ".p/" + strconv.Itoa(width)
	}
	return path
}

// ParseTilePath reads what TilePath wrote.
func ParseTilePath(path string) (level int, n int64, width int, ok bool) {
	width = TileWidth
	rest, found := strings.CutPrefix(path, "tile/")
	if !found || len(path) > 64 {
		return 0, 0, 0, false
	}
	if before, w, partial := strings.Cut(rest, ".p/"); partial {
		v, ok := Int([]byte(w))
		if !ok || v < 1 || v >= TileWidth {
			return 0, 0, 0, false
		}
		rest, width = before, int(v)
	}
	first, rest, _ := strings.Cut(rest, "/")
	if level = Entries; first != "entries" {
		v, ok := Int([]byte(first))
		if !ok || v < 0 || v > 7 {
			return 0, 0, 0, false
		}
		level = int(v)
	}
	for {
		part, more, deeper := strings.Cut(rest, "/")
		digits := strings.TrimPrefix(part, "x")
		if deeper != (digits != part) || len(digits) != 3 || n > 1e12 {
			return 0, 0, 0, false
		}
		v, err := strconv.ParseUint(digits, 10, 10)
		if err != nil {
			return 0, 0, 0, false
		}
		if n = n*1000 + int64(v); !deeper {
			return level, n, width, TilePath(level, n, width) == path
		}
		rest = more
	}
}

// MaxBundle bounds the bytes of a bundle that is read.
const MaxBundle = TileWidth * (2 + MaxLeaf)

// Dir is a log as files in a directory.
type Dir string

// Checkpoint is Source.
func (d Dir) Checkpoint(context.Context) ([]byte, error) { return d.read(CheckpointPath) }

// Tile is Source. A tile that became full replaces its parts.
func (d Dir) Tile(_ context.Context, level int, n int64, width int) ([]byte, error) {
	data, err := d.read(TilePath(level, n, width))
	if errors.Is(err, ErrMissing) && width < TileWidth {
		data, err = d.read(TilePath(level, n, TileWidth))
	}
	return data, err
}

func (d Dir) read(path string) ([]byte, error) {
	f, err := os.Open(filepath.Join(string(d), filepath.FromSlash(path))) //nolint:gosec // a path that TilePath wrote
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s", ErrMissing, path)
	}
	if err != nil {
		return nil, fmt.Errorf("read the log: %w", err)
	}
	defer func() { _ = f.Close() }() // it was only read
	return bounded(f, path)
}

func bounded(r io.Reader, path string) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, MaxBundle+1))
	if err != nil {
		return nil, fmt.Errorf("read the log's %s: %w", path, err)
	}
	if len(data) > MaxBundle {
		return nil, fmt.Errorf("read the log's %s: it is longer than %d bytes", path, MaxBundle)
	}
	return data, nil
}

// Site is a log that a server serves under a prefix.
type Site struct {
	Prefix string // without a slash at its end
	Client *http.Client
}

// Checkpoint is Source.
func (s Site) Checkpoint(ctx context.Context) ([]byte, error) { return s.get(ctx, CheckpointPath) }

// Tile is Source.
func (s Site) Tile(ctx context.Context, level int, n int64, width int) ([]byte, error) {
	data, err := s.get(ctx, TilePath(level, n, width))
	if errors.Is(err, ErrMissing) && width < TileWidth {
		data, err = s.get(ctx, TilePath(level, n, TileWidth))
	}
	return data, err
}

func (s Site) get(ctx context.Context, path string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.Prefix+"/"+path, nil) //nolint:gosec // the address is the operator's
	if err != nil {
		return nil, fmt.Errorf("read the log: %w", err)
	}
	answer, err := s.Client.Do(request) //nolint:gosec // see above
	if err != nil {
		return nil, fmt.Errorf("read the log: %w", err)
	}
	defer answer.Body.Close()
	switch answer.StatusCode {
	case http.StatusOK:
		return bounded(answer.Body, path)
	case http.StatusNotFound, http.StatusGone:
		return nil, fmt.Errorf("%w: %s", ErrMissing, path)
	}
	return nil, fmt.Errorf("read the log's %s: the server answers %s", path, answer.Status)
}

// Open opens the log at an address: a URL, or a directory.
func Open(address string, client *http.Client) Source {
	if strings.HasPrefix(address, "http://") || strings.HasPrefix(address, "https://") {
		return Site{strings.TrimRight(address, "/"), client}
	}
	return Dir(address)
}

// Handler serves a log's files by C2SP tlog-tiles.
func Handler(from Source) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			http.Error(w, "only GET", http.StatusMethodNotAllowed)
			return
		}
		path := strings.TrimPrefix(r.URL.Path, "/")
		var data []byte
		var err error
		w.Header().Set("X-Content-Type-Options", "nosniff")
		if path == CheckpointPath {
			data, err = from.Checkpoint(r.Context())
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
			w.Header().Set("Cache-Control", "max-age=1")
		} else {
			level, n, width, ok := ParseTilePath(path)
			if !ok {
				http.NotFound(w, r)
				return
			}
			data, err = from.Tile(r.Context(), level, n, width)
			if err == nil {
				data, err = cut(data, level, width)
			}
			w.Header().Set("Content-Type", "application/octet-stream")
			w.Header().Set("Cache-Control", "max-age=31536000, immutable")
		}
		switch {
		case errors.Is(err, ErrMissing):
			w.Header().Del("Cache-Control")
			http.NotFound(w, r)
		case err != nil:
			w.Header().Del("Cache-Control")
			http.Error(w, "the log cannot be read now", http.StatusServiceUnavailable)
		default:
			_, _ = w.Write(data) //nolint:gosec // no page, by its type; and a client that left is no loss
		}
	})
}

// cut leaves exactly what a tile of a width holds, so that what is cached never changes.
func cut(data []byte, level, width int) ([]byte, error) {
	if level != Entries {
		if len(data) < width*HashSize {
			return nil, ErrMissing
		}
		return data[:width*HashSize], nil
	}
	rest := data
	for range width {
		var err error
		if len(rest) == 0 {
			return nil, ErrMissing
		}
		if _, rest, err = NextLeaf(rest); err != nil {
			return nil, err
		}
	}
	return data[:len(data)-len(rest)], nil
}
