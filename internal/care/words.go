package care

import (
	"embed"
	"fmt"
	"io/fs"

	"tenu/internal/notify/gsm7"
	"tenu/internal/phrase"
	"tenu/internal/purchase"
)

//go:embed phrases/*.yaml
var shipped embed.FS

// standard is the language that is spoken where another is asked for.
const standard = "fr"

// loadTexts reads what care tells customers by SMS.
func loadTexts() (*phrase.Texts, error) {
	dir, err := fs.Sub(shipped, "phrases")
	if err != nil {
		return nil, fmt.Errorf("care: %w", err)
	}
	texts, err := phrase.LoadTexts(standard, dir)
	if err != nil {
		return nil, fmt.Errorf("care: %w", err)
	}
	return texts, nil
}

// say is a text to a customer that fits one SMS.
func (d *Desk) say(language purchase.Language, key string, pairs ...string) string {
	return gsm7.Fit(d.texts.In(string(language)).Say(key, pairs...))
}
