package numbering

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"tenu/internal/purchase"
)

func TestDirectory(t *testing.T) {
	d := NewDirectory(burkina(t))
	want := func(text string, operator purchase.Operator) {
		t.Helper()
		number, got, err := d.Parse(text)
		if err != nil || got != operator {
			t.Errorf("%s: got %s %v, want %s", text, got, err, operator)
		}
		if got, err := d.Operator(number); err != nil || got != operator {
			t.Errorf("%s as a number: got %s %v, want %s", text, got, err, operator)
		}
	}
	want("70112233", "moov")

	table, err := d.ReadPorted("ported.csv", strings.NewReader("# yesterday's\n22670112233,orange\n 70112234 , telecel \n+22607000000,moov\n22670112233,orange\n"))
	if err != nil {
		t.Fatal(err)
	}
	if table.Len() != 3 {
		t.Errorf("got %d lines, want 3", table.Len())
	}
	d.SetPorted(table)
	want("70112233", "orange")
	want("70112234", "telecel")
	want("07 00 00 00", "moov")
	want("70112235", "moov")

	d.SetPorted(nil)
	want("70112233", "moov")
}

func TestReadPortedRefuses(t *testing.T) {
	p := burkina(t)
	for name, c := range map[string]struct{ text, want string }{
		"unknown operator":  {"70112233,moov\n70112234,nobody\n", "p.csv:2: operator \"nobody\" is not"},
		"malformed":         {"7011223,moov\n", "p.csv:1: not a telephone number"},
		"letters":           {"7011223x,moov\n", "p.csv:1: not a telephone number"},
		"foreign":           {"33612345678,moov\n", "p.csv:1: not a telephone number"},
		"fixed":             {"25301122,moov\n", "p.csv:1: number of a fixed line"},
		"one field":         {"70112233,moov\n70112234\n", "p.csv:2: wrong number of fields"},
		"three fields":      {"70112233,moov,2026\n", "p.csv:1: wrong number of fields"},
		"heading":           {"number,operator\n", "p.csv:1: not a telephone number"},
		"quotes":            {"\"70112233,moov\n", "p.csv:1: "},
		"two operators":     {"70112233,moov\n70112299,moov\n22670112233,orange\n", "p.csv: lines 1 and 3 give one number"},
		"same line thrice":  {"70112233,moov\n70112233,moov\n70112233,orange\n", "p.csv: lines 1 and 2 and 3 give one number"},
		"fields swapped":    {"70112234,70112233\n", "p.csv:1: a number stands where"},
		"never closed":      {"70112233,moov\n70112234,\"" + strings.Repeat("moov\n", 1<<20), "p.csv: 1048576 bytes without a number"},
		"operator is empty": {"70112233,\n", "p.csv:1: operator \"\" is not"},
	} {
		_, err := p.ReadPorted("p.csv", strings.NewReader(c.text))
		if err == nil || !strings.HasPrefix(err.Error(), "ported numbers: "+c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "70112233") {
			t.Errorf("%s: the error holds a full number: %v", name, err)
		}
	}
}

// A table answers as a map would.
func TestPortedProperty(t *testing.T) {
	p := burkina(t)
	operators := p.Operators()
	rapid.Check(t, func(t *rapid.T) {
		model := map[purchase.MSISDN]purchase.Operator{}
		var text strings.Builder
		for range rapid.IntRange(0, 50).Draw(t, "lines") {
			// A narrow range, so that neighbours and repetitions come up.
			number := purchase.MSISDN(22670000000 + rapid.Int64Range(0, 60).Draw(t, "number"))
			if _, taken := model[number]; !taken {
				model[number] = rapid.SampledFrom(operators).Draw(t, "operator")
			}
			fmt.Fprintf(&text, "%d,%s\n", number, model[number])
		}
		table, err := p.ReadPorted("p.csv", strings.NewReader(text.String()))
		if err != nil {
			t.Fatal(err)
		}
		if table.Len() != len(model) {
			t.Fatalf("%d lines, want %d", table.Len(), len(model))
		}
		for number := purchase.MSISDN(22669999999); number <= 22670000061; number++ {
			got, ok := table.Operator(number)
			want, ported := model[number]
			if got != want || ok != ported {
				t.Fatalf("%d: got %q %v, want %q %v", number, got, ok, want, ported)
			}
		}
	})
}

func portedTable(b testing.TB, lines int) []byte {
	b.Helper()
	var text bytes.Buffer
	for i := range lines {
		fmt.Fprintf(&text, "226%08d,telecel\n", 60_000_000+(i*7919)%20_000_000)
	}
	return text.Bytes()
}

// A million lines load, and cost 8 bytes each.
func TestPortedMillion(t *testing.T) {
	p := burkina(t)
	table, err := p.ReadPorted("p.csv", bytes.NewReader(portedTable(t, 1_000_000)))
	if err != nil {
		t.Fatal(err)
	}
	if table.Len() != 1_000_000 || cap(table.lines) > 1_000_100 {
		t.Errorf("%d lines in %d places", table.Len(), cap(table.lines))
	}
}

func BenchmarkReadPorted(b *testing.B) {
	p, text := burkina(b), portedTable(b, 1_000_000)
	for b.Loop() {
		if _, err := p.ReadPorted("p.csv", bytes.NewReader(text)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPortedOperator(b *testing.B) {
	table, err := burkina(b).ReadPorted("p.csv", bytes.NewReader(portedTable(b, 1_000_000)))
	if err != nil {
		b.Fatal(err)
	}
	number := purchase.MSISDN(22660000000)
	for b.Loop() {
		number = 22660000000 + (number+7919)%20_000_000
		table.Operator(number)
	}
}
