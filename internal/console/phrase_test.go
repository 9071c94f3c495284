package console

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"tenu/internal/phrase"
	"tenu/internal/staff"
)

// Every phrase that pages and code say is there, and every one that is there is said.
func TestPhrasesAreUsed(t *testing.T) {
	schema, err := phrase.SchemaOf(standard, staff.With(files, "phrases"))
	if err != nil {
		t.Fatal(err)
	}
	said := map[string]bool{}
	var prefixes, suffixes []string
	for _, glob := range []string{"*.go", "pages/*.html", "../staff/*.go", "../staff/pages/*.html"} {
		names, err := filepath.Glob(glob)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range names {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range regexp.MustCompile(`(?:Say\(|\{t |\(t |\{\{t )"([a-z_0-9]+)"`).FindAllStringSubmatch(string(text), -1) {
				if strings.HasSuffix(m[1], "_") {
					prefixes = append(prefixes, m[1])
					continue
				}
				said[m[1]] = true
				if _, known := schema.Phrases[m[1]]; !known {
					t.Errorf("%s says %q, which is no phrase", file, m[1])
				}
			}
			for _, m := range regexp.MustCompile(`[pP]roblem\([a-zA-Z.]+, "([a-z_]+)"`).FindAllStringSubmatch(string(text), -1) {
				said[m[1]] = true
			}
			for _, m := range regexp.MustCompile(`"(_[a-z]+)"`).FindAllStringSubmatch(string(text), -1) {
				suffixes = append(suffixes, m[1])
			}
			for _, m := range regexp.MustCompile(`"([a-z]+_)%s"`).FindAllStringSubmatch(string(text), -1) {
				prefixes = append(prefixes, m[1])
			}
			for _, m := range regexp.MustCompile(`"([a-z]+_[a-z_]*)"`).FindAllStringSubmatch(string(text), -1) {
				said[m[1]] = true // passed on
				if strings.HasSuffix(m[1], "_") {
					prefixes = append(prefixes, m[1])
				}
			}
		}
	}
	for key := range schema.Phrases {
		used := said[key]
		for _, p := range prefixes {
			used = used || strings.HasPrefix(key, p)
		}
		for _, p := range suffixes {
			used = used || strings.HasSuffix(key, p)
		}
		if !used {
			t.Errorf("phrase %q is never said", key)
		}
	}
}
