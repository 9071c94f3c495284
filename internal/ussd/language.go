package ussd

import (
	"embed"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"tenu/internal/notify/gsm7"
	"tenu/internal/phrase"
	"tenu/internal/purchase"
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

// choose asks for the language, and goes on in it. It is kept with the customer's
// other choices.
func (s *session) choose() (Screen, bool) {
	heading, codes := s.say("language"), s.book.Languages()
	codes = codes[:min(len(codes), maxChoice)]
	for {
		typed, more := s.next()
		if !more {
			var names []string
			for _, code := range codes {
				names = append(names, s.in(code).say("language_name"))
			}
			return s.wait(heading, names...), false
		}
		n, err := strconv.Atoi(typed)
		switch {
		case typed == "0":
			return Screen{}, true
		case err == nil && n >= 1 && n <= len(codes):
			s.language, s.tongue = purchase.Language(codes[n-1]), s.in(codes[n-1])
			return Screen{}, true
		}
		heading = s.say("wrong")
	}
}

// fits reports whether a screen has room for a text.
func fits(text string) bool {
	n, err := gsm7.Septets(text)
	return err == nil && n <= gsm7.MaxSeptets
}

// fit makes a text one that a screen has room for. Only what others named, a product
// or a brand, can make it too long, or hold what telephones do not show.
func fit(text string) string {
	text = strings.Map(func(r rune) rune {
		if _, err := gsm7.Septets(string(r)); err != nil {
			return '?'
		}
		return r
	}, text)
	for runes := []rune(text); !fits(text) && len(runes) > 0; text = string(runes) {
		runes = runes[:len(runes)-1]
	}
	return text
}
