package ussd

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"tenu/internal/care"
	"tenu/internal/customer"
	"tenu/internal/notify/gsm7"
)

// Every phrase that the menus say is there, in characters that telephones show, and
// none is there in vain.
func TestPhrases(t *testing.T) {
	said := map[string]bool{}
	for _, stage := range []customer.Stage{customer.Asking, customer.Unconfirmed, customer.Paid, customer.Late, customer.Refunding,
		customer.Done, customer.Back, customer.Declined} {
		said["state_"+string(stage)] = true
	}
	for _, matter := range care.Matters {
		said["matter_"+string(matter)] = true
	}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		code, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range regexp.MustCompile(`\b(?:Say|end)\("([a-z_]+[a-z])"`).FindAllStringSubmatch(string(code), -1) {
			said[found[1]] = true
		}
	}
	texts, err := loadTexts()
	if err != nil {
		t.Fatal(err)
	}
	for _, language := range texts.Languages() {
		data, err := shipped.ReadFile("phrases/" + language + ".yaml")
		if err != nil {
			t.Fatal(err)
		}
		there := map[string]bool{}
		for line := range strings.Lines(string(data)) {
			name, text, _ := strings.Cut(strings.TrimSpace(line), ": ")
			if strings.HasPrefix(name, "#") || name == "" {
				continue
			}
			there[name] = true
			if _, err := gsm7.Septets(regexp.MustCompile(`\{\{.*?\}\}`).ReplaceAllString(text, "")); err != nil {
				t.Errorf("%s: %s: %v", language, name, err)
			}
		}
		if !maps.Equal(said, there) {
			t.Errorf("%s: has %q, said are %q", language, slices.Sorted(maps.Keys(there)), slices.Sorted(maps.Keys(said)))
		}
	}
}

func TestFit(t *testing.T) {
	for text, want := range map[string]string{
		"Crédité à 20 h": "Crédité à 20 h", "payé, pas reçu\n2 oui": "payé, pas re?u\n2 oui", "😀\x00\u202f": "???",
		strings.Repeat("é", 161): strings.Repeat("é", 160), strings.Repeat("€", 81): strings.Repeat("€", 80), "": "",
	} {
		if got := fit(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

func TestTyped(t *testing.T) {
	for _, c := range []struct{ text, code, want string }{
		{"", "*121#", ""}, {"7", "*121#", "7"}, {"121*7", "*121#", "7"}, {"*121*7#", "*121#", "7"}, {"121", "*121#", ""}, {"*121#", "*121#", ""},
		{"1217", "*121#", "1217"}, {"121*7", "", "121|7"}, {"384*96*7*1", "*384*96#", "7|1"}, {"96*7", "*384*96#", "96|7"},
		{"1**2", "*121#", "1||2"}, {"1*2*", "*121#", "1|2"}, {"1#*2#", "*121#", "1|2"}, {"7", "#*", "7"},
	} {
		if got := strings.Join(typed(c.text, c.code), "|"); got != c.want {
			t.Errorf("%q after %q: %q, want %q", c.text, c.code, got, c.want)
		}
	}
}
