package web

import (
	"embed"
	"fmt"
	"io/fs"

	"tenu/internal/phrase"
)

//go:embed phrases/*.yaml
var shippedPhrases embed.FS

// standard is the language that is spoken where none is known.
const standard = "fr"

// loadTexts reads the pages' phrases.
func loadTexts(more ...fs.FS) (*phrase.Texts, error) {
	dir, err := fs.Sub(shippedPhrases, "phrases")
	if err != nil {
		return nil, fmt.Errorf("web: %w", err)
	}
	texts, err := phrase.LoadTexts(standard, dir, more...)
	if err != nil {
		return nil, fmt.Errorf("web: %w", err)
	}
	return texts, nil
}
