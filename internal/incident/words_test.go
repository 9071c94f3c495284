package incident

import (
	"cmp"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"tenu/internal/notify/gsm7"
	"tenu/internal/phrase"
)

// longestDeskWord are the longest ordinary values of the placeholders.
var longestDeskWord = map[string]string{"Item": "Forfait semaine 5 Go", "Paid": "999 999 F CFA", "Count": "99", "Date": "31/12", "Time": "23:59",
	"Mark": "Dossier D-K7M2-Q4XD-9T", "Case": "D-K7M2-Q4XD-9T", "Reference": "K7M2-Q4XD-9T", "Name": "Orange Money", "What": "paiement par Orange Money"}

// Every text is said with its values and nothing else, and those for customers fit one message, in its alphabet.
func TestDeskTextsFit(t *testing.T) {
	dir, err := fs.Sub(deskWords, "words")
	if err != nil {
		t.Fatal(err)
	}
	schema, err := phrase.SchemaOf(deskStandard, dir)
	if err != nil {
		t.Fatal(err)
	}
	texts, err := loadDeskTexts()
	if err != nil {
		t.Fatal(err)
	}
	measured := 0
	for _, language := range []string{"fr", "en"} {
		if !slices.Contains(texts.Languages(), language) {
			t.Fatalf("%s is not spoken", language)
		}
		for key, names := range schema.Phrases {
			message := strings.HasPrefix(key, "told") || strings.HasPrefix(key, "ended") || key == "longer"
			var pairs []string
			for _, name := range names {
				if message && longestDeskWord[name] == "" {
					t.Fatalf("%s takes %s, of which no longest value is known", key, name)
				}
				pairs = append(pairs, name, cmp.Or(longestDeskWord[name], name))
			}
			text := texts.In(language).Say(key, pairs...)
			if strings.ContainsAny(text, "\u00a0\u202f{}") {
				t.Errorf("%s %s: %q", language, key, text)
			}
			if !message {
				continue
			}
			measured++
			if n, err := gsm7.Septets(text); err != nil || n > gsm7.MaxSeptets {
				t.Errorf("%s %s: %d septets, %v: %s", language, key, n, err, text)
			}
		}
	}
	if measured != 2*11 {
		t.Errorf("%d texts for customers were measured", measured)
	}
}
