package ussd

import (
	"embed"
	"fmt"
	"io/fs"
	"slices"

	"tenu/internal/notify/gsm7"
	"tenu/internal/phrase"
)

//go:embed phrases/*.yaml
var shipped embed.FS

const standard = "fr"

// texts are the menus' phrases in every language.
type texts struct {
	book         *phrase.Book
	placeholders []string
}

func loadTexts() (*texts, error) {
	dir, err := fs.Sub(shipped, "phrases")
	if err != nil {
		return nil, fmt.Errorf("ussd: %w", err)
	}
	schema, err := phrase.SchemaOf(standard, dir)
	if err != nil {
		return nil, fmt.Errorf("ussd: %w", err)
	}
	book, err := phrase.Load(schema, dir)
	if err != nil {
		return nil, fmt.Errorf("ussd: %w", err)
	}
	return &texts{book, schema.Placeholders}, nil
}

// tongue speaks one language.
type tongue struct {
	code    string
	phrases phrase.Phrases
	*texts
}

func (t *texts) in(code string) *tongue {
	if !slices.Contains(t.book.Languages(), code) {
		code = standard
	}
	return &tongue{code, t.book.In(code), t}
}

// say is a phrase with its values, given as name, value, name, value.
func (t *tongue) say(key string, pairs ...string) string {
	values := make([]string, len(t.placeholders))
	for i := 0; i+1 < len(pairs); i += 2 {
		values[slices.Index(t.placeholders, pairs[i])] = pairs[i+1]
	}
	return string(t.phrases[key].Say(nil, values))
}

// fits reports whether a screen has room for a text.
func fits(text string) bool {
	n, err := gsm7.Septets(text)
	return err == nil && n <= gsm7.MaxSeptets
}

// fit cuts a text to what a screen has room for. Only what others named, a product
// or a brand, can make it too long.
func fit(text string) string {
	for runes := []rune(text); !fits(text) && len(runes) > 0; text = string(runes) {
		runes = runes[:len(runes)-1]
	}
	return text
}
