package web

import (
	"embed"
	"fmt"
	"io/fs"
	"strings"

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

// accepted are the languages of an Accept-Language header (RFC 9110, section
// 12.5.4) in the order in which they stand there, which is that of preference in
// every browser.
func accepted(header string) []string {
	var all []string
	for part := range strings.SplitSeq(header, ",") {
		name, _, _ := strings.Cut(part, ";")
		if all = append(all, strings.TrimSpace(name)); len(all) == 10 {
			break
		}
	}
	return all
}
