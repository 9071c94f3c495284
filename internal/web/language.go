package web

import (
	"embed"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"tenu/internal/phrase"
)

//go:embed phrases/*.yaml
var shippedPhrases embed.FS

// standard is the language that is spoken where none is known.
const standard = "fr"

// texts are the pages' phrases in every language.
type texts struct {
	book         *phrase.Book
	placeholders []string
}

// loadTexts reads the phrases. A language that lacks one, has one too many or uses
// other placeholders than the French is refused.
func loadTexts(more ...fs.FS) (*texts, error) {
	dir, err := fs.Sub(shippedPhrases, "phrases")
	if err != nil {
		return nil, fmt.Errorf("web: %w", err)
	}
	schema, err := phrase.SchemaOf(standard, dir)
	if err != nil {
		return nil, fmt.Errorf("web: %w", err)
	}
	book, err := phrase.Load(schema, append([]fs.FS{dir}, more...)...)
	if err != nil {
		return nil, fmt.Errorf("web: %w", err)
	}
	return &texts{book, schema.Placeholders}, nil
}

// tongue speaks one language.
type tongue struct {
	code    string
	phrases phrase.Phrases
	*texts
}

func (t *texts) in(code string) *tongue { return &tongue{code, t.book.In(code), t} }

// say is a phrase with its values, given as name, value, name, value. It panics for
// a phrase that does not exist or a value that it does not take: a test says every
// phrase that the pages use.
func (t *tongue) say(key string, pairs ...string) string {
	p, ok := t.phrases[key]
	if !ok || len(pairs)%2 != 0 {
		panic(fmt.Sprintf("web: no phrase %q with %d values", key, len(pairs)))
	}
	values := make([]string, len(t.placeholders))
	for i := 0; i < len(pairs); i += 2 {
		at := slices.Index(t.placeholders, pairs[i])
		if at < 0 {
			panic(fmt.Sprintf("web: phrase %q takes no %q", key, pairs[i]))
		}
		values[at] = pairs[i+1]
	}
	return string(p.Say(nil, values))
}

// has reports whether there is a phrase.
func (t *tongue) has(key string) bool { return t.phrases[key].Spoken() }

// choose is the first language spoken of those wanted, the best wanted first.
func (t *texts) choose(wanted ...string) string {
	spoken := t.book.Languages()
	for _, w := range wanted {
		base, _, _ := strings.Cut(strings.ToLower(strings.TrimSpace(w)), "-")
		if slices.Contains(spoken, base) {
			return base
		}
	}
	return standard
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
