package regulator_test

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"tenu/internal/regulator"
)

var update = flag.Bool("update", false, "write what is generated")

const figuresPage = "../../docs/FIGURES.md"

// TestFiguresPage holds docs/FIGURES.md against the definitions.
func TestFiguresPage(t *testing.T) {
	var b strings.Builder
	b.WriteString("# Figures\n\nGenerated from internal/regulator/definition.go and failure.go; `make generate` writes it again.\n\n" +
		"Each figure has one definition. What happens is counted in the time of its evidence, so that a day that is over does not change; what is held and in\n" +
		"exposure is told as at the end of the period. Gifts of the house are left out. Times are rounded up: to a tenth of a second as far as a minute, to a\n" +
		"second above. Percentiles are by the nearest rank. Limits are of the country's [profile](REGULATOR.md), or the operator's own target where it has none.\n\n" +
		"| code | unit | French | English | definition | counted from |\n| --- | --- | --- | --- | --- | --- |\n")
	for i := range regulator.Definitions {
		d := &regulator.Definitions[i]
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s<br>%s | %s |\n", d.Code, d.Unit, d.French, d.English, d.Means, d.MeansInEN, d.Source)
	}
	b.WriteString("\n## Codes of failures\n\n| code | French | English |\n| --- | --- | --- |\n")
	for _, code := range regulator.Codes {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", code, regulator.SayCode(code, "fr"), regulator.SayCode(code, "en"))
	}
	if *update {
		if err := os.WriteFile(figuresPage, []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	page, err := os.ReadFile(figuresPage)
	if err != nil {
		t.Fatal(err)
	}
	if string(page) != b.String() {
		t.Error("docs/FIGURES.md is not what the definitions say: make generate")
	}
}

func TestDefinitionsAreWhole(t *testing.T) {
	seen := map[string]bool{}
	code := regexp.MustCompile(`^[a-z0-9_]+$`)
	for i := range regulator.Definitions {
		d := &regulator.Definitions[i]
		if !code.MatchString(d.Code) || seen[d.Code] {
			t.Errorf("code %q is used before, or is none", d.Code)
		}
		seen[d.Code] = true
		for _, text := range []string{d.French, d.English, d.Means, d.MeansInEN, d.Source, string(d.Unit)} {
			if text == "" || strings.Contains(text, "|") {
				t.Errorf("%s: a text is missing, or breaks the table", d.Code)
			}
		}
	}
	for _, c := range regulator.Codes {
		if regulator.SayCode(c, "fr") == c || regulator.SayCode(c, "en") == c {
			t.Errorf("code %s has no words", c)
		}
	}
}

func TestTimes(t *testing.T) {
	times := regulator.Times{}
	for _, d := range []time.Duration{-time.Second, 0, 1, 100 * time.Millisecond, 100*time.Millisecond + 1, 30 * time.Second, 30*time.Second + 1, time.Minute, time.Minute + 1, 24 * time.Hour, 24*time.Hour + 1} {
		times.Note(d)
	}
	for limit, want := range map[time.Duration]int64{0: 2, 30 * time.Second: 6, time.Minute: 8, 24 * time.Hour: 10} {
		if got := times.Within(limit); got != want {
			t.Errorf("%d within %s, and not %d", got, limit, want)
		}
	}
	for percent, want := range map[int64]time.Duration{1: 0, 50: 30 * time.Second, 100: 24*time.Hour + time.Second} {
		if got, ok := times.Fastest(percent); !ok || got != want {
			t.Errorf("fastest %d %%: %s, and not %s", percent, got, want)
		}
	}
	if _, ok := (regulator.Times{}).Fastest(50); ok {
		t.Error("nothing has a median")
	}
}

func TestWords(t *testing.T) {
	for d, want := range map[time.Duration]string{0: "0 s", 300 * time.Millisecond: "0,3 s", 59 * time.Second: "59 s", 61 * time.Second: "1 min 1 s", 24 * time.Hour: "24 h", 50 * time.Hour: "2 j 2 h"} {
		if got := strings.ReplaceAll(regulator.Took(d, "fr"), "\u00a0", " "); got != want {
			t.Errorf("%s: %q, and not %q", d, got, want)
		}
	}
	// A share is never rounded up to all.
	if got := strings.ReplaceAll(regulator.Part(99_999, 100_000, "en"), "\u00a0", " "); got != "99.9 % (99 999/100 000)" {
		t.Errorf("a share is %q", got)
	}
}
