package phrase

import (
	"strings"
	"testing"
	"testing/fstest"
)

var schema = Schema{
	Default:      "fr",
	Placeholders: []string{"Name", "Amount"},
	Phrases:      map[string][]string{"hello": {"Name"}, "paid": {"Name", "Amount"}, "plain": nil},
}

const french = "hello: Bonjour {{.Name}} !\npaid: \"{{.Amount}} pour {{.Name}}, {{.Name}}\"\nplain: Merci\n"

func files(pairs ...string) fstest.MapFS {
	dir := fstest.MapFS{}
	for i := 0; i < len(pairs); i += 2 {
		dir[pairs[i]] = &fstest.MapFile{Data: []byte(pairs[i+1])}
	}
	return dir
}

func TestSay(t *testing.T) {
	shipped := files("fr.yaml", french, "en.yaml", "hello: Hello {{ .Name }}\npaid: \"{{.Name}} {{.Amount}}\"\nplain: Thanks\n")
	local := files("en.yaml", "hello: Hi {{.Name}}\npaid: \"{{.Name}} {{.Amount}}\"\nplain: Ta\n",
		"mos.yaml", "hello: Ne y yibeogo {{.Name}}\npaid: \"{{.Name}} {{.Amount}}\"\nplain: Barka\n")
	b, err := Load(schema, shipped, local)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(b.Languages(), " "); got != "en fr mos" {
		t.Errorf("languages: %s", got)
	}
	for _, c := range []struct{ language, key, want string }{
		{"fr", "hello", "Bonjour Awa !"},
		{"fr", "paid", "1 F pour Awa, Awa"},
		{"fr", "plain", "Merci"},
		{"en", "hello", "Hi Awa"},
		{"en-GB", "plain", "Ta"},
		{"FR-bf", "plain", "Merci"},
		{"mos", "plain", "Barka"},
		{"de", "plain", "Merci"},
		{"", "plain", "Merci"},
	} {
		if got := string(b.In(c.language)[c.key].Say(nil, []string{"Awa", "1 F"})); got != c.want {
			t.Errorf("%s %s: got %q, want %q", c.language, c.key, got, c.want)
		}
	}
}

func TestLoadRefuses(t *testing.T) {
	for name, c := range map[string]struct{ old, with, want string }{
		"missing":             {"plain: Merci\n", "", "fr.yaml: phrase \"plain\" is missing"},
		"extra":               {"plain:", "plein:", "fr.yaml:3: plein: no such phrase"},
		"twice":               {"plain:", "hello:", "fr.yaml:3: "},
		"empty":               {"Merci", "\"\"", "fr.yaml:3: plain: the text is empty"},
		"unknown placeholder": {".Amount", ".Sum", "fr.yaml:2: paid: {{.Sum}} is not a placeholder; there are Name, Amount"},
		"unused placeholder":  {"{{.Amount}}", "1 F", "fr.yaml:2: paid: placeholder {{.Amount}} is missing"},
		"without a value":     {"Merci", "Merci {{.Name}}", "fr.yaml:3: plain: placeholder {{.Name}} has no value"},
		"logic":               {"Merci", "\"{{if .Name}}x{{end}}\"", "fr.yaml:3: plain: {{if .Name}}x{{end}} is not a placeholder"},
		"method":              {".Amount", ".Amount.Minor", "fr.yaml:2: paid: {{.Amount.Minor}} is not"},
		"broken":              {"Merci", "\"Merci {{.Name\"", "fr.yaml:3: plain: \"Merci {{.Name\" cannot be read"},
		"plural":              {"plain: Merci", "plain:\n  one: a\n  other: b", "fr.yaml:4: plain: plural forms"},
		"nested":              {"plain: Merci", "plain:\n  a: b", "fr.yaml:4: plain.a: no such phrase"},
		"not text":            {"Merci", "[1]", "fr.yaml: "},
		"yaml":                {"plain:", "\tplain:", "fr.yaml:"},
	} {
		text := strings.Replace(french, c.old, c.with, 1)
		if text == french {
			t.Fatalf("%s: nothing replaced", name)
		}
		if _, err := Load(schema, files("fr.yaml", text)); err == nil || !strings.HasPrefix(err.Error(), "phrases: "+c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
	if _, err := Load(schema, files("en.yaml", french)); err == nil || !strings.Contains(err.Error(), "default language \"fr\" has no file") {
		t.Errorf("no default: got %v", err)
	}
}
