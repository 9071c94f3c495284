package sound

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"tenu/internal/voice/speech"
)

// Replace copies the recordings of a folder, one for each clip as Load reads them, to the folder that a line plays
// from, and returns how many of each language. All are checked first: after an error that names a recording
// nothing was copied. Each file is replaced whole; a line plays what it loaded when it started.
func Replace(from fs.FS, to string) (map[string]int, error) {
	if _, err := Load(from); err != nil {
		return nil, err
	}
	copied := map[string]int{}
	voices, err := speech.Load()
	if err != nil {
		return nil, err
	}
	for _, language := range voices.Languages() {
		for clip := range voices.Words(language) {
			name := path.Join(language, string(clip)+".wav")
			data, err := fs.ReadFile(from, name)
			if err != nil {
				continue // not among those that were recorded
			}
			if err := replace(filepath.Join(to, filepath.FromSlash(name)), data); err != nil {
				return copied, fmt.Errorf("sound: %s: %w", name, err)
			}
			copied[language]++
		}
	}
	return copied, nil
}

// replace writes a file so that there is always one of the name, and always a whole one.
func replace(name string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o750); err != nil {
		return err
	}
	fresh, err := os.CreateTemp(filepath.Dir(name), ".recording-*")
	if err != nil {
		return err
	}
	_, err = fresh.Write(data)
	if err == nil {
		err = fresh.Sync()
	}
	if closed := fresh.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(fresh.Name(), name)
	}
	if err != nil {
		_ = os.Remove(fresh.Name()) // the first error counts
	}
	return err
}
