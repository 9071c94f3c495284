// Package phrase keeps short texts in several languages, one file a language,
// and compiles them so that saying one costs no more than joining strings. A
// file that lacks a phrase, holds one too many, or uses other placeholders than
// the program gives is refused when it is loaded. It knows nothing of what the
// phrases say.
package phrase

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"text/template/parse"

	"github.com/goccy/go-yaml"
	"github.com/nicksnyder/go-i18n/v2/i18n"

	"tenu/internal/yamlfile"
)

// Schema says what every language must hold.
type Schema struct {
	// Default is the language that is spoken where another is asked for.
	Default string
	// Placeholders lists the names of all values; their order is that of the
	// values given to Say.
	Placeholders []string
	// Phrases gives, for each phrase, the placeholders that its text must use,
	// each at least once: no other, and none left out.
	Phrases map[string][]string
}

// SchemaOf reads a schema off a directory's file in the standard language: every
// other language holds the same phrases, with the same placeholders in each.
func SchemaOf(standard string, dir fs.FS) (Schema, error) {
	s := Schema{Default: standard, Phrases: map[string][]string{}}
	name := standard + ".yaml"
	data, err := fs.ReadFile(dir, name)
	if err != nil {
		return s, fmt.Errorf("phrases: %w", err)
	}
	var texts map[string]string
	at, err := yamlfile.Decode(name, data, &texts)
	if err != nil {
		return s, fmt.Errorf("phrases: %w", err)
	}
	for _, key := range slices.Sorted(maps.Keys(texts)) {
		trees, err := parse.Parse("phrase", texts[key], "", "")
		if err != nil {
			return s, fmt.Errorf("phrases: %w", at.Errorf(key, "%q cannot be read: %w", texts[key], err))
		}
		s.Phrases[key] = nil
		if trees["phrase"] == nil || trees["phrase"].Root == nil {
			continue // empty, which Load refuses
		}
		for _, node := range trees["phrase"].Root.Nodes {
			if used := placeholder(node); used != "" && !slices.Contains(s.Phrases[key], used) {
				s.Phrases[key] = append(s.Phrases[key], used)
			}
		}
		for _, used := range s.Phrases[key] {
			if !slices.Contains(s.Placeholders, used) {
				s.Placeholders = append(s.Placeholders, used)
			}
		}
	}
	return s, nil
}

// Book holds the phrases of every language. It is immutable and safe for
// concurrent use.
type Book struct {
	standard  string
	languages map[string]Phrases
}

// Phrases are the phrases of one language, by key.
type Phrases map[string]Phrase

// Phrase is a compiled text: pieces of text, and between them values.
type Phrase struct {
	text   []string // one more than values
	values []int    // indexes into Schema.Placeholders
}

// Load reads every file named LANGUAGE.yaml of the directories, in go-i18n's
// format, where LANGUAGE is an ISO 639 code such as "fr". A language of a later
// directory replaces that of an earlier one. Errors name file, line and phrase.
func Load(schema Schema, dirs ...fs.FS) (*Book, error) {
	b := &Book{schema.Default, map[string]Phrases{}}
	for _, dir := range dirs {
		names, err := fs.Glob(dir, "*.yaml")
		if err != nil {
			return nil, fmt.Errorf("phrases: %w", err)
		}
		for _, name := range names {
			data, err := fs.ReadFile(dir, name)
			if err != nil {
				return nil, fmt.Errorf("phrases: %w", err)
			}
			phrases, err := schema.compile(name, data)
			if err != nil {
				return nil, fmt.Errorf("phrases: %w", err)
			}
			b.languages[strings.TrimSuffix(path.Base(name), ".yaml")] = phrases
		}
	}
	if b.languages[schema.Default] == nil {
		return nil, fmt.Errorf("phrases: the default language %q has no file", schema.Default)
	}
	return b, nil
}

// Languages lists the languages, in alphabetical order.
func (b *Book) Languages() []string { return slices.Sorted(maps.Keys(b.languages)) }

// In returns the phrases of a language such as "fr" or "fr-BF", or those of
// the default language where that one is not spoken.
func (b *Book) In(language string) Phrases {
	if phrases := b.languages[language]; phrases != nil {
		return phrases
	}
	base, _, _ := strings.Cut(language, "-")
	if phrases := b.languages[strings.ToLower(base)]; phrases != nil {
		return phrases
	}
	return b.languages[b.standard]
}

// Say appends the text with its values, in the order of Schema.Placeholders, to dst.
func (p Phrase) Say(dst []byte, values []string) []byte {
	for i, v := range p.values {
		dst = append(dst, p.text[i]...)
		dst = append(dst, values[v]...)
	}
	return append(dst, p.text[len(p.text)-1]...)
}

// Spoken reports whether there is such a phrase: that it is not the zero Phrase.
func (p Phrase) Spoken() bool { return len(p.text) > 0 }

// Text is a phrase that has no values.
func (p Phrase) Text() string { return p.text[0] }

// Parts are the texts between the values, one more than there are of these, and the
// values as indexes into the schema's placeholders. Neither may be changed.
func (p Phrase) Parts() (texts []string, values []int) { return p.text, p.values }

// compile reads the phrases of one file.
func (s *Schema) compile(name string, data []byte) (Phrases, error) {
	var raw map[string]any
	at, err := yamlfile.Decode(name, data, &raw)
	if err != nil {
		return nil, err
	}
	file, err := i18n.ParseMessageFileBytes(data, name, map[string]i18n.UnmarshalFunc{"yaml": yaml.Unmarshal})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	phrases := Phrases{}
	for _, m := range file.Messages {
		wanted, known := s.Phrases[m.ID]
		if !known {
			return nil, at.Errorf(m.ID, "no such phrase")
		}
		if m.Zero+m.One+m.Two+m.Few+m.Many != "" {
			return nil, at.Errorf(m.ID, "plural forms are not used")
		}
		p, err := s.parse(m.Other)
		if err != nil {
			return nil, at.Errorf(m.ID, "%w", err)
		}
		if err := s.check(p, wanted); err != nil {
			return nil, at.Errorf(m.ID, "%w", err)
		}
		phrases[m.ID] = p
	}
	for _, key := range slices.Sorted(maps.Keys(s.Phrases)) {
		if _, ok := phrases[key]; !ok {
			return nil, fmt.Errorf("%s: phrase %q is missing", name, key)
		}
	}
	return phrases, nil
}

// parse compiles a text whose placeholders are written {{.Name}}.
func (s *Schema) parse(text string) (Phrase, error) {
	trees, err := parse.Parse("phrase", text, "", "")
	if err != nil {
		return Phrase{}, fmt.Errorf("%q cannot be read: %w", text, err)
	}
	p := Phrase{text: []string{""}}
	if trees["phrase"] == nil || trees["phrase"].Root == nil {
		return p, errors.New("the text is empty")
	}
	for _, node := range trees["phrase"].Root.Nodes {
		if plain, ok := node.(*parse.TextNode); ok {
			p.text[len(p.text)-1] += string(plain.Text)
			continue
		}
		i := slices.Index(s.Placeholders, placeholder(node))
		if i < 0 {
			return p, fmt.Errorf("%s is not a placeholder; there are %s", node, strings.Join(s.Placeholders, ", "))
		}
		p.values = append(p.values, i)
		p.text = append(p.text, "")
	}
	if len(p.values) == 0 && p.text[0] == "" {
		return p, errors.New("the text is empty")
	}
	return p, nil
}

// placeholder is the name in a node {{.Name}}, "" for any other node.
func placeholder(node parse.Node) string {
	action, ok := node.(*parse.ActionNode)
	if !ok || len(action.Pipe.Decl) > 0 || len(action.Pipe.Cmds) != 1 || len(action.Pipe.Cmds[0].Args) != 1 {
		return ""
	}
	field, ok := action.Pipe.Cmds[0].Args[0].(*parse.FieldNode)
	if !ok || len(field.Ident) != 1 {
		return ""
	}
	return field.Ident[0]
}

// check compares the placeholders that a phrase uses with those that it must use.
func (s *Schema) check(p Phrase, wanted []string) error {
	for _, i := range p.values {
		if !slices.Contains(wanted, s.Placeholders[i]) {
			return fmt.Errorf("placeholder {{.%s}} has no value in this phrase", s.Placeholders[i])
		}
	}
	for _, name := range wanted {
		if !slices.Contains(p.values, slices.Index(s.Placeholders, name)) {
			return fmt.Errorf("placeholder {{.%s}} is missing", name)
		}
	}
	return nil
}
