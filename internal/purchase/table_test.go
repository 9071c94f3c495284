package purchase

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the generated pages")

// TestStatesPage checks that docs/states.md is the table.
func TestStatesPage(t *testing.T) {
	path := filepath.Join("..", "..", "docs", "states.md")
	want := statesPage()
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Error("docs/states.md is not the table: run go test ./internal/purchase -run TestStatesPage -update")
	}
}

func statesPage() string {
	var b strings.Builder
	b.WriteString(`# The states of a purchase

Generated from the table in internal/purchase/table.go by
` + "`go test ./internal/purchase -run TestStatesPage -update`" + `. Do not edit.

In each state, rows are tried from the top; the first whose event and condition match is taken. An event
without a row teaches nothing new in that state and changes nothing. *due* is the purchase's own timer.
*asked* is a wish of people, or of their rules; *answer asked* is one for the partner's answer, now.
Postings read "from account to account": the first is credited, the second debited.

`)
	b.WriteString("```mermaid\nstateDiagram-v2\n    [*] --> charging: purchase and charge attempt recorded\n")
	drawn := map[[2]State]bool{}
	for i := range Table {
		row := &Table[i]
		edge := [2]State{row.From, row.To}
		if row.To == 0 || drawn[edge] {
			continue
		}
		drawn[edge] = true
		var on []string
		for j := range Table {
			if other := &Table[j]; other.From == row.From && other.To == row.To && !contains(on, other.On()) {
				on = append(on, other.On())
			}
		}
		b.WriteString("    " + row.From.String() + " --> " + row.To.String() + ": " + strings.Join(on, ", ") + "\n")
	}
	b.WriteString("```\n")
	for _, state := range States {
		b.WriteString("\n## " + state.String() + "\n\n| event | when | to | effects |\n| --- | --- | --- | --- |\n")
		for i := range Table {
			row := &Table[i]
			if row.From != state {
				continue
			}
			to := "(stays)"
			if row.To != 0 {
				to = "**" + row.To.String() + "**"
			}
			b.WriteString("| " + strings.Join([]string{row.On(), row.Condition(), to, strings.Join(row.Effects(), "; ")}, " | ") + " |\n")
		}
	}
	return b.String()
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}
