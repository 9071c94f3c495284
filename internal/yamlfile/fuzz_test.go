package yamlfile

import (
	"reflect"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"tenu/internal/fuzztest"
)

// FuzzDecode: what is read costs memory in proportion to its size, can be
// written and is read again as the same; what is not read is told of by file.
func FuzzDecode(f *testing.F) {
	f.Add(good)
	f.Add("country: BF\n---\ncountry: CI\n")
	f.Add("labels: {a: \"\\x00\", b: 'c''d', c: |\n  e\n  f\n}")
	f.Add("labels: [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[")
	f.Add("operators:\n- - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - -")
	f.Add("labels:\n  a: &a x\n  b: *a\n  <<: *a\n")
	f.Add("0[0: x\na..b: y\n$: z\n\"'\": a\n\"\\n\": b\n")
	f.Add("code: !!int \"226\"\n? country\n: 0x1_0\n")
	f.Fuzz(func(t *testing.T, text string) {
		var s sample
		var all map[string]any
		fuzztest.Within(t, 16<<20+2048*len(text), func() {
			if file, err := Decode("x.yaml", []byte(text), &all); err == nil {
				for key := range all {
					if err := file.Errorf(key, "bad"); !strings.HasPrefix(err.Error(), "x.yaml:") || len(err.Error()) > 2*maxPath {
						t.Errorf("%v", err)
					}
				}
			}
			_, err := Decode("x.yaml", []byte(text), &s)
			if err != nil && (!strings.HasPrefix(err.Error(), "x.yaml:") || len(err.Error()) > 6*maxPath) {
				t.Errorf("%d bytes, or the file is not named: %v", len(err.Error()), err)
			}
			if err != nil {
				s = sample{}
			}
		})
		written, err := yaml.Marshal(s)
		if err != nil {
			t.Fatalf("read %+v, cannot be written: %v", s, err)
		}
		var again sample
		if _, err := Decode("again.yaml", written, &again); err != nil || !reflect.DeepEqual(normal(again), normal(s)) {
			t.Fatalf("%+v\nwritten as\n%s\nread again as %+v, %v", s, written, again, err)
		}
	})
}

// normal makes empty and absent the same, which YAML does not tell apart.
func normal(s sample) sample {
	if len(s.Operators) == 0 {
		s.Operators = nil
	}
	for i := range s.Operators {
		if len(s.Operators[i].Mobile) == 0 {
			s.Operators[i].Mobile = nil
		}
	}
	if len(s.Labels) == 0 {
		s.Labels = nil
	}
	return s
}
