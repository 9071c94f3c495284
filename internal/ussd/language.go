package ussd

import (
	"embed"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"tenu/internal/notify/gsm7"
	"tenu/internal/phrase"
	"tenu/internal/purchase"
)

//go:embed phrases/*.yaml
var shipped embed.FS

const standard = "fr"

func loadTexts() (*phrase.Texts, error) {
	dir, err := fs.Sub(shipped, "phrases")
	if err != nil {
		return nil, fmt.Errorf("ussd: %w", err)
	}
	texts, err := phrase.LoadTexts(standard, dir)
	if err != nil {
		return nil, fmt.Errorf("ussd: %w", err)
	}
	return texts, nil
}

// choose asks for the language, and goes on in it. It is kept with the customer's
// other choices.
func (s *session) choose() (Screen, bool) {
	heading, codes := s.Say("language"), s.texts.Languages()
	codes = codes[:min(len(codes), maxChoice)]
	for {
		typed, more := s.next()
		if !more {
			var names []string
			for _, code := range codes {
				names = append(names, s.texts.In(code).Say("language_name"))
			}
			return s.wait(heading, names...), false
		}
		n, err := strconv.Atoi(typed)
		switch {
		case typed == "0":
			return Screen{}, true
		case err == nil && n >= 1 && n <= len(codes):
			s.language, s.Tongue = purchase.Language(codes[n-1]), s.texts.In(codes[n-1])
			return Screen{}, true
		}
		heading = s.Say("wrong")
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
