package evidence

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Publisher makes files of a log, for any static server. One process writes a directory at a time.
type Publisher struct {
	Dir  string
	From Source
}

// Publish writes what a checkpoint's tree needs and the directory lacks, and the checkpoint
// last: what it promises is there. A crash in between leaves the checkpoint before.
func (p *Publisher) Publish(ctx context.Context, head TreeHead, checkpoint []byte) error {
	var last TreeHead
	switch data, err := Dir(p.Dir).Checkpoint(ctx); {
	case err == nil:
		if last, err = ReadHead(data); err != nil {
			return fmt.Errorf("publish the log: what is in %s: %w", p.Dir, err)
		}
	case !errors.Is(err, ErrMissing):
		return err
	}
	if last.Size > head.Size || last.Size == head.Size && last.Size > 0 && last.Root != head.Root {
		return fmt.Errorf("publish the log: %s holds another tree, of %d leaves", p.Dir, last.Size)
	}
	for level := Entries; level == Entries || head.Size>>(TileHeight*level) > 0; level++ {
		up := max(level, 0) + 1
		for n := last.Size >> (TileHeight * up); n <= head.Size>>(TileHeight*up); n++ {
			width := TileWidth
			if n == head.Size>>(TileHeight*up) {
				if width = TailWidth(head.Size, up-1); width == 0 {
					continue
				}
			}
			data, err := p.From.Tile(ctx, level, n, width)
			if err == nil {
				data, err = cut(data, level, width)
			}
			if err == nil {
				err = p.write(TilePath(level, n, width), data)
			}
			if err != nil {
				return fmt.Errorf("publish the log: %w", err)
			}
		}
	}
	if err := p.write(CheckpointPath, checkpoint); err != nil {
		return fmt.Errorf("publish the log: %w", err)
	}
	return nil
}

// write replaces a file whole. The database has it too: it need not be durable.
func (p *Publisher) write(path string, data []byte) (err error) {
	path = filepath.Join(p.Dir, filepath.FromSlash(path))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // for a server to read
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".new-")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name()) // it is of no use
		}
	}()
	_, err = f.Write(data)
	err = errors.Join(err, f.Chmod(0o644)) // for a server to read
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
