// Package speech turns what line 121 has to say into recordings, one after the other:
// "votre achat de", "mille", "cinquante", "francs". It knows how amounts, dates, times
// and numbers are spoken in each language, and nothing of telephones or sound.
//
// What is said is in phrases/, a file for each language, in words. The recordings that
// are needed follow from it: one for each text between two values, and those of
// which values are made. So a text that is changed asks for a new recording, and
// none is recorded in vain.
package speech

import (
	"embed"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"tenu/internal/money"
	"tenu/internal/phrase"
)

//go:embed phrases
var shipped embed.FS

// standard is the language that is spoken where another is not known.
const standard = "fr"

// Clip names a recording: "paid/1" is the first text of the phrase paid, "number/17" a
// number, "month/7" a month. It is a path below the folder of a language, without its ending.
type Clip string

// Value is what stands in a phrase's place: Amount, Date, Clock, Moment, Count or Digits.
type Value interface{ clips(t *tongue) []Clip }

// Amount is "mille cinquante francs".
type Amount money.Amount

// Date is "neuf juillet", without the year, in the time's own zone.
type Date time.Time

// Clock is "treize heures quarante-cinq", in the time's own zone.
type Clock time.Time

// Moment is a time of today, as Clock, or of another day with its date: "le dix juillet à treize heures".
type Moment struct {
	At    time.Time
	Dated bool
}

// Count is "dix-sept": a number from 0 to 999 999 999.
type Count int64

// Digits are a number as its owner reads it: in pairs in French, one by one in English.
type Digits string

// maxSpoken is the largest number that is said: beyond it, digits are.
const maxSpoken = 999_999_999

// Voices are the languages that the line speaks.
type Voices struct {
	book         *phrase.Book
	placeholders []string
	tongues      map[string]*tongue
	words        map[string]map[Clip]string
}

// Load reads the phrases that tenu ships with.
func Load() (*Voices, error) {
	dir, err := fs.Sub(shipped, "phrases")
	if err != nil {
		return nil, fmt.Errorf("speech: %w", err)
	}
	schema, err := phrase.SchemaOf(standard, dir)
	if err != nil {
		return nil, fmt.Errorf("speech: %w", err)
	}
	book, err := phrase.Load(schema, dir)
	if err != nil {
		return nil, fmt.Errorf("speech: %w", err)
	}
	v := &Voices{book, schema.Placeholders, map[string]*tongue{}, map[string]map[Clip]string{}}
	for _, language := range book.Languages() {
		t, known := tongues[language]
		if !known {
			return nil, fmt.Errorf("speech: no rules for numbers in %q", language)
		}
		v.tongues[language] = &t
		v.words[language] = v.spoken(language)
	}
	return v, nil
}

// Languages are the codes of the languages, in order.
func (v *Voices) Languages() []string { return v.book.Languages() }

// Known returns a language that is spoken: the one asked for, or the standard one.
func (v *Voices) Known(language string) string {
	if _, known := v.tongues[language]; known {
		return language
	}
	return standard
}

// Say returns a phrase in a language as recordings; values are by the name of their
// place. A phrase that is not known, or a value that is missing, is a defect of the caller and panics.
func (v *Voices) Say(language, key string, values map[string]Value) []Clip {
	language = v.Known(language)
	said, known := v.book.In(language)[key]
	if !known {
		panic("speech: no phrase " + key)
	}
	texts, places := said.Parts()
	var clips []Clip
	for i, text := range texts {
		if strings.Trim(text, spaces) != "" {
			clips = append(clips, part(key, i))
		}
		if i < len(places) {
			name := v.placeholders[places[i]]
			value := values[name]
			if value == nil {
				panic("speech: " + key + " wants " + name)
			}
			clips = append(clips, value.clips(v.tongues[language])...)
		}
	}
	return clips
}

// spaces is what alone is not worth a recording.
const spaces = " ,.;:!?"

func part(key string, i int) Clip { return Clip(key + "/" + strconv.Itoa(i+1)) }

// Words are all the recordings of a language, with the words of each. They may not be changed.
func (v *Voices) Words(language string) map[Clip]string { return v.words[v.Known(language)] }

func (v *Voices) spoken(language string) map[Clip]string {
	words := v.tongues[language].words()
	for key, said := range v.book.In(language) {
		texts, _ := said.Parts()
		for i, text := range texts {
			if strings.Trim(text, spaces) != "" {
				words[part(key, i)] = strings.TrimSpace(strings.TrimLeft(text, spaces))
			}
		}
	}
	return words
}

// Text is what a sequence of recordings says, for people who read: transcripts, logs, tests.
func (v *Voices) Text(language string, clips []Clip) string {
	words := v.Words(language)
	said := make([]string, len(clips))
	for i, c := range clips {
		said[i] = words[c]
	}
	return strings.Join(said, " ")
}

// Keys are the phrases, in order.
func (v *Voices) Keys() []string { return slices.Sorted(maps.Keys(v.book.In(standard))) }

func (a Amount) clips(t *tongue) []Clip {
	per := int64(1)
	for range a.Currency.Digits() {
		per *= 10
	}
	whole, rest := a.Minor/per, a.Minor%per
	clips := t.count(whole, false)
	if t.round && whole >= 1_000_000 && whole%1_000_000 == 0 {
		clips = append(clips, "of") // un million de francs
	}
	clips = append(clips, Clip("currency/"+string(a.Currency)))
	if rest > 0 {
		clips = append(clips, t.count(rest, false)...)
		clips = append(clips, Clip("cents/"+string(a.Currency)))
	}
	return clips
}

func (d Date) clips(*tongue) []Clip {
	at := time.Time(d)
	return []Clip{Clip("day/" + strconv.Itoa(at.Day())), Clip("month/" + strconv.Itoa(int(at.Month())))}
}

func (c Clock) clips(t *tongue) []Clip { return t.clock(t, time.Time(c)) }

func (m Moment) clips(t *tongue) []Clip {
	if !m.Dated {
		return Clock(m.At).clips(t)
	}
	var clips []Clip
	if t.times["moment/on"] != "" { // English dates bring their own
		clips = append(clips, "moment/on")
	}
	clips = append(append(clips, Date(m.At).clips(t)...), "moment/at")
	return append(clips, Clock(m.At).clips(t)...)
}

func (n Count) clips(t *tongue) []Clip { return t.count(int64(n), false) }

func (d Digits) clips(t *tongue) []Clip {
	var digits []byte
	for _, ch := range []byte(d) {
		if ch >= '0' && ch <= '9' {
			digits = append(digits, ch)
		}
	}
	var clips []Clip
	for t.pairs && len(digits) > 1 {
		pair := digits[:2]
		if len(digits)%2 == 1 { // an odd one goes first
			pair = digits[:1]
		}
		if len(pair) == 2 && pair[0] == '0' {
			clips = append(clips, number(0), number(int64(pair[1]-'0')))
		} else {
			n, _ := strconv.ParseInt(string(pair), 10, 64) // digits only
			clips = append(clips, number(n))
		}
		digits = digits[len(pair):]
	}
	for _, ch := range digits {
		clips = append(clips, number(int64(ch-'0')))
	}
	return clips
}

func number(n int64) Clip { return Clip("number/" + strconv.FormatInt(n, 10)) }
