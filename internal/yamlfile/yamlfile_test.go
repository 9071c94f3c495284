package yamlfile

import (
	"errors"
	"io/fs"
	"strings"
	"testing"
)

type sample struct {
	Country   string `yaml:"country"`
	Code      int    `yaml:"code"`
	Operators []struct {
		Name   string   `yaml:"name"`
		Mobile []string `yaml:"mobile"`
	} `yaml:"operators"`
	Labels map[string]string `yaml:"labels"`
}

const good = `# comment
country: BF
code: 226
operators:
  - name: one
    mobile: ["70", "71"]
  - name: two
    mobile:
      - "74"
      - "75"
labels:
  fr: Unités
`

func TestDecode(t *testing.T) {
	var s sample
	f, err := Decode("x.yaml", []byte(good), &s)
	if err != nil {
		t.Fatal(err)
	}
	if s.Country != "BF" || s.Code != 226 || len(s.Operators) != 2 || s.Operators[1].Mobile[1] != "75" {
		t.Errorf("decoded %+v", s)
	}
	for path, want := range map[string]string{
		"country":                "x.yaml:2: country: bad 7",
		"operators[0]":           "x.yaml:5: operators[0]: bad 7",
		"operators[1].name":      "x.yaml:7: operators[1].name: bad 7",
		"operators[1].mobile[1]": "x.yaml:10: operators[1].mobile[1]: bad 7",
		"operators[1].absent":    "x.yaml:7: operators[1].absent: bad 7",
		"operators[9].name":      "x.yaml:5: operators[9].name: bad 7",
		"labels.fr":              "x.yaml:12: labels.fr: bad 7",
		"absent":                 "x.yaml:1: absent: bad 7",
	} {
		if got := f.Errorf(path, "bad %d", 7).Error(); got != want {
			t.Errorf("got  %q\nwant %q", got, want)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"unknown key":    {"country: BF\nfoo: 1\n", "x.yaml:2: foo: unknown field \"foo\""},
		"nested unknown": {"operators:\n  - name: a\n    nmae: b\n", "x.yaml:3: operators[0].nmae: unknown field \"nmae\""},
		"repeated key":   {"country: BF\ncode: 1\ncountry: CI\n", "x.yaml:3: "},
		"wrong type":     {"country: BF\ncode: many\n", "x.yaml:2: code: \"many\" is not a whole number"},
		"syntax":         {"country: BF\ncode: [1\n", "x.yaml:2: "},
		"list expected":  {"operators: 5\n", "x.yaml:1: operators: "},
		"not a block":    {"- 1\n- 2\n", "x.yaml:1: "},
		"empty":          {"# nothing\n", "x.yaml:1: file is empty"},
		"nothing":        {"", "x.yaml:1: file is empty"},
		"two documents":  {"country: BF\n---\ncountry: CI\n", "x.yaml: file holds 2 YAML documents"},
		"deep brackets":  {"labels: " + strings.Repeat("[", MaxBytes/2), "x.yaml:1: nested more than 32 deep"},
		"deep blocks":    {"labels: " + strings.Repeat("{a: ", MaxBytes/8), "x.yaml:1: nested more than 32 deep"},
		"deep dashes":    {"operators:\n  " + strings.Repeat("- ", MaxBytes/4), "x.yaml:2: nested more than 32 deep"},
		"anchor":         {"country: &a BF\n", "x.yaml:1: anchors and aliases are not read"},
		"alias":          {"country: BF\nlabels: *a\n", "x.yaml:2: anchors and aliases are not read"},
		"tag":            {"country: !!str BF\n", "x.yaml:1: tags are not read"},
		"question mark":  {"? country\n: BF\n", "x.yaml:1: keys are not written with a question mark"},
		"too large":      {strings.Repeat("#", MaxBytes+1), "x.yaml: file has 1048577 bytes"},
	} {
		var s sample
		if _, err := Decode("x.yaml", []byte(c.text), &s); err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
}

func TestReadIsBounded(t *testing.T) {
	if data, err := Read("/dev/zero"); err == nil || len(data) > MaxBytes+1 {
		t.Errorf("read %d bytes, %v", len(data), err)
	}
	if _, err := Read("absent"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("absent: %v", err)
	}
	if data, err := Read("yamlfile_test.go"); err != nil || !strings.HasPrefix(string(data), "package yamlfile") {
		t.Errorf("this file: %v", err)
	}
}
