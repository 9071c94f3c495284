package main

import (
	"reflect"
	"strings"
	"testing"

	"tenu/internal/care"
)

// What the example shows are the defaults, and a configuration without them has them too.
func TestCareDefaults(t *testing.T) {
	for name, text := range map[string]string{"example": readExample(t), "left out": withoutCare(t)} {
		cfg, err := parseConfig("tenu.yaml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if got := cfg.Care.policy(); !reflect.DeepEqual(got, care.DefaultPolicy()) {
			t.Errorf("%s: %+v, want %+v", name, got, care.DefaultPolicy())
		}
		if got := cfg.Care.clocks(); got != care.DefaultClocks() {
			t.Errorf("%s: %+v, want %+v", name, got, care.DefaultClocks())
		}
	}
}

// withoutCare is the example without its section on care.
func withoutCare(t *testing.T) string {
	t.Helper()
	text := readExample(t)
	from := indexOf(t, text, "\ncare:\n")
	return text[:from] + text[from+indexOf(t, text[from:], "\n# The USSD gateway"):]
}

func indexOf(t *testing.T, text, part string) int {
	t.Helper()
	at := strings.Index(text, part)
	if at < 0 {
		t.Fatalf("the example does not hold %q", part)
	}
	return at
}
