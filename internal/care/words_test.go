package care

import (
	"io/fs"
	"strings"
	"testing"

	"tenu/internal/notify/gsm7"
	"tenu/internal/phrase"
)

// longestWord are the longest ordinary values of the placeholders of what care tells.
var longestWord = map[string]string{"Case": "D-K7M2-Q4XD-9T", "Item": "9 999 999 F CFA", "Reference": "K7M2-Q4XD-9T", "Time": "23:59",
	"Date": "31/12", "From": "14:00", "Till": "14:15", "Amount": "9 999 999 F CFA",
	"Recipient": "70 11 22 33", "Paid": "9 999 999 F CFA", "Text": "what an agent writes, which is measured when it is written"}

// Every text fits one message with its longest values, in its alphabet.
func TestTextsFit(t *testing.T) {
	dir, err := fs.Sub(shipped, "phrases")
	if err != nil {
		t.Fatal(err)
	}
	schema, err := phrase.SchemaOf(standard, dir)
	if err != nil {
		t.Fatal(err)
	}
	texts, err := loadTexts()
	if err != nil {
		t.Fatal(err)
	}
	for _, language := range []string{"fr", "en"} {
		for key, names := range schema.Phrases {
			var pairs []string
			for _, name := range names {
				if longestWord[name] == "" {
					t.Fatalf("%s takes %s, of which no longest value is known", key, name)
				}
				pairs = append(pairs, name, longestWord[name])
			}
			text := texts.In(language).Say(key, pairs...)
			if n, err := gsm7.Septets(text); err != nil || n > gsm7.MaxSeptets {
				t.Errorf("%s %s: %d septets, %v: %s", language, key, n, err, text)
			}
			if strings.ContainsAny(text, "\u00a0\u202f{}") {
				t.Errorf("%s %s: %q", language, key, text)
			}
		}
	}
}
