package phrase

import (
	"strings"
	"testing"

	"tenu/internal/fuzztest"
)

// FuzzLoad: a language that is accepted says every phrase with every value it
// must, and nothing else of the values; reading one is bounded.
func FuzzLoad(f *testing.F) {
	f.Add(french)
	f.Add("hello: \"{{.Name}}{{/* x */}}\"\npaid: '{{- .Amount -}} {{.Name}}'\nplain:\n  other: x\n")
	f.Add("hello: '{{((((((((.Name))))))))}}'\n")
	f.Add("plain:\n  description: x\n  hash: y\n  other: \"{{define `phrase`}}{{end}}\"\n")
	f.Add("a: &a {x: 1}\nb: [*a, *a]\n")
	f.Add("hello: '{{template \"phrase\" .}}'\npaid: '{{range .Name}}{{break}}{{end}}'\nplain: x\n")
	f.Fuzz(func(t *testing.T, text string) {
		var book *Book
		var err error
		fuzztest.Within(t, 16<<20+8192*len(text), func() { book, err = Load(schema, files("fr.yaml", text)) })
		if err != nil {
			if !strings.HasPrefix(err.Error(), "phrases: fr.yaml") {
				t.Errorf("%v does not name the file", err)
			}
			return
		}
		values := []string{"\x01name", "\x01amount"}
		for key, wanted := range schema.Phrases {
			p, known := book.In("fr")[key]
			said := string(p.Say(nil, values))
			if !known || said == "" {
				t.Fatalf("%s is not said", key)
			}
			for i, name := range schema.Placeholders {
				must := false
				for _, w := range wanted {
					must = must || w == name
				}
				if strings.Contains(said, values[i]) != must {
					t.Errorf("%s is said as %q, and {{.%s}} belongs there: %t", key, said, name, must)
				}
			}
		}
	})
}
