package phrase

import (
	"fmt"
	"io/fs"
	"slices"
	"strings"
)

// Texts are phrases that are said by name, in every language. They are immutable
// and safe for concurrent use.
type Texts struct {
	standard     string
	book         *Book
	placeholders []string
}

// LoadTexts reads a directory's languages, and those of further directories. A
// language that lacks a phrase, has one too many or uses other placeholders than the
// standard language's is refused.
func LoadTexts(standard string, dir fs.FS, more ...fs.FS) (*Texts, error) {
	schema, err := SchemaOf(standard, dir)
	if err != nil {
		return nil, err
	}
	book, err := Load(schema, append([]fs.FS{dir}, more...)...)
	if err != nil {
		return nil, err
	}
	return &Texts{standard, book, schema.Placeholders}, nil
}

// Languages lists the languages, in alphabetical order.
func (t *Texts) Languages() []string { return t.book.Languages() }

// In speaks a language such as "fr" or "fr-BF", or the standard one where that one
// is not spoken.
func (t *Texts) In(language string) *Tongue {
	code := t.Choose(language)
	return &Tongue{code, t.book.In(code), t.placeholders}
}

// Choose is the first language spoken of those wanted, the best wanted first;
// otherwise the standard one.
func (t *Texts) Choose(wanted ...string) string {
	spoken := t.Languages()
	for _, w := range wanted {
		base, _, _ := strings.Cut(strings.ToLower(strings.TrimSpace(w)), "-")
		if slices.Contains(spoken, base) {
			return base
		}
	}
	return t.standard
}

// Tongue speaks one language.
type Tongue struct {
	Code         string
	phrases      Phrases
	placeholders []string
}

// Say is a phrase with its values, given as name, value, name, value. It panics for
// a phrase that there is not, or a value that no phrase takes: a test says every
// phrase that a package uses.
func (t *Tongue) Say(key string, pairs ...string) string {
	p := t.phrases[key]
	if !p.Spoken() || len(pairs)%2 != 0 {
		panic(fmt.Sprintf("phrase: no phrase %q with %d names and values", key, len(pairs)))
	}
	values := make([]string, len(t.placeholders))
	for i := 0; i < len(pairs); i += 2 {
		at := slices.Index(t.placeholders, pairs[i])
		if at < 0 {
			panic(fmt.Sprintf("phrase: %q takes no %q", key, pairs[i]))
		}
		values[at] = pairs[i+1]
	}
	return string(p.Say(nil, values))
}

// Has reports whether there is a phrase.
func (t *Tongue) Has(key string) bool { return t.phrases[key].Spoken() }
