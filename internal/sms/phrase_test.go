package sms

import (
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"tenu/internal/notify/gsm7"
	"tenu/internal/phrase"
)

// longest are the longest ordinary values of each placeholder.
var longest = map[string]string{
	"Amount": "9 999 999 F CFA", "Total": "100 000 F CFA", "Fee": "10 000 F CFA", "Number": "70 11 22 33", "Payer": "Mobile Money",
	"Item": "forfait Internet semaine 1 Go", "Product": "Internet semaine 1 Go", "Reference": "K7M2-Q4XD-9T", "Time": "31/12 23:59",
	"Code": "654321", "Brand": "tenu", "Day": "aujourd'hui", "Sequence": "17", "Key": "3fa2b1c0", "From": "14:00", "Till": "14:15",
}

// Every answer fits one message with its longest values, in its alphabet, without
// spaces that are not plain.
func TestPhrases(t *testing.T) {
	dir, err := fs.Sub(shipped, "phrases")
	if err != nil {
		t.Fatal(err)
	}
	schema, err := phrase.SchemaOf(standard, dir)
	if err != nil {
		t.Fatal(err)
	}
	texts, err := phrase.LoadTexts(standard, dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, language := range texts.Languages() {
		tongue := texts.In(language)
		say := func(key string, more map[string]string) string {
			var pairs []string
			for _, name := range schema.Phrases[key] {
				value := longest[name]
				if v, known := more[name]; known {
					value = v
				}
				if value == "" {
					t.Fatalf("%s takes %s, of which no longest value is known", key, name)
				}
				pairs = append(pairs, name, value)
			}
			return tongue.Say(key, pairs...)
		}
		state := ""
		for key := range schema.Phrases {
			if text := stateOf(key, say); strings.HasPrefix(key, "state_") && len(text) > len(state) {
				state = text
			}
		}
		parts := map[string]string{"State": state, "Case": say("case", nil), "Window": say("between", nil)}
		outcome := ""
		for key := range schema.Phrases {
			if text := outcomeOf(key, say); len(text) > len(outcome) {
				outcome = text
			}
		}
		parts["Outcome"] = outcome
		file := ""
		for key := range schema.Phrases {
			if text := say(key, parts); strings.HasPrefix(key, "file_") && len(text) > len(file) {
				file = text
			}
		}
		for key := range schema.Phrases {
			text := say(key, parts)
			if key == "file" {
				text = say(key, map[string]string{"State": file, "Case": "D-K7M2-Q4XD-9T"})
			}
			if n, err := gsm7.Septets(text); err != nil || n > gsm7.MaxSeptets {
				t.Errorf("%s %s: %d septets, %v: %s", language, key, n, err, text)
			}
			if strings.ContainsAny(text, "\u00a0\u202f") {
				t.Errorf("%s %s has a space that is not plain: %q", language, key, text)
			}
		}
	}
}

// outcomeOf is a phrase of a receipt's outcome.
func outcomeOf(key string, say func(string, map[string]string) string) string {
	if rest, found := strings.CutPrefix(key, "receipt_"); !found || rest == "nothing" {
		return ""
	}
	return say(key, nil)
}

func stateOf(key string, say func(string, map[string]string) string) string {
	if !strings.HasPrefix(key, "state_") {
		return ""
	}
	return say(key, nil)
}

// Every phrase that is said is there, and every phrase that is there is said.
func TestPhrasesAreUsed(t *testing.T) {
	dir, err := fs.Sub(shipped, "phrases")
	if err != nil {
		t.Fatal(err)
	}
	schema, err := phrase.SchemaOf(standard, dir)
	if err != nil {
		t.Fatal(err)
	}
	var source []byte
	for _, name := range []string{"sms.go", "care.go", "receipt.go"} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		source = append(source, text...)
	}
	var said []string
	for _, m := range regexp.MustCompile(`Say\("([a-z_0-9]+)"`).FindAllStringSubmatch(string(source), -1) {
		if !strings.HasSuffix(m[1], "_") {
			if _, known := schema.Phrases[m[1]]; !known {
				t.Errorf("%q is said and is no phrase", m[1])
			}
		}
		said = append(said, m[1])
	}
	for key := range schema.Phrases {
		if !slices.ContainsFunc(said, func(s string) bool { return s == key || strings.HasSuffix(s, "_") && strings.HasPrefix(key, s) }) {
			t.Errorf("phrase %q is never said", key)
		}
	}
}

// Keywords are read without regard to case and accents.
func TestPlain(t *testing.T) {
	for text, want := range map[string]string{"Réclamation": "RECLAMATION", "français": "FRANCAIS", "ACHAT 1\u00a0000": "ACHAT 1 000", "état": "ETAT"} {
		if got := plain(text); got != want {
			t.Errorf("%q is read as %q", text, got)
		}
	}
}
