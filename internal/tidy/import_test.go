package tidy

import (
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// imports are the packages of this module that each folder's code imports,
// tests aside, as folders.
func imports(t *testing.T) map[string][]string {
	t.Helper()
	graph := map[string][]string{}
	for folder, files := range sources(t) {
		for _, file := range files {
			if isTest(file.name) {
				continue
			}
			for _, spec := range file.Imports {
				name, err := strconv.Unquote(spec.Path.Value)
				if err != nil {
					t.Fatalf("%s: import %s: %v", file.name, spec.Path.Value, err)
				}
				if own, ok := strings.CutPrefix(name, "tenu/"); ok && !slices.Contains(graph[folder], own) {
					graph[folder] = append(graph[folder], own)
				}
			}
		}
		slices.Sort(graph[folder])
	}
	return graph
}

// The import table is kept by depguard; a package that it does not name would
// be free to import anything.
func TestEveryPackageStandsInTheImportTable(t *testing.T) {
	rules := string(read(t, ".golangci.yml"))
	packages := sources(t)
	for _, folder := range folders(packages) {
		if !strings.HasPrefix(folder, "internal/") || slices.IndexFunc(packages[folder], func(s source) bool { return !isTest(s.name) }) < 0 {
			continue
		}
		rule := `"**/` + folder + `/*.go"`
		if path.Dir(folder) == "internal/partner" { // one rule for all protocols
			rule = `"**/internal/partner/*/*.go"`
		}
		if !strings.Contains(rules, rule) {
			t.Errorf("%s: no depguard rule of .golangci.yml has the files %s", folder, rule)
		}
	}
}

// An adapter is a folder of internal/partner. What lies below one, such as the
// codec of its protocol, may serve the sandbox too; depguard says whom.
func TestPartnersDoNotKnowEachOther(t *testing.T) {
	for folder, imported := range imports(t) {
		for _, other := range imported {
			if path.Dir(other) == "internal/partner" && !strings.HasPrefix(folder, "cmd/") {
				t.Errorf("%s imports %s: only the command wires partners", folder, other)
			}
		}
	}
}

// A change deep down must not surprise too many floors above. The command, which
// wires everything, is no floor.
func TestImportsAreShallow(t *testing.T) {
	const most = 10 // drill/against > drill > sim > store > push > customer > sale > catalogue > purchase > ledger > money
	graph := imports(t)
	var longest func(string) []string
	longest = func(folder string) []string {
		var below []string
		for _, other := range graph[folder] {
			if chain := longest(other); len(chain) > len(below) {
				below = chain
			}
		}
		return append([]string{folder}, below...)
	}
	for folder := range graph {
		if chain := longest(folder); strings.HasPrefix(folder, "internal/") && len(chain)-1 > most {
			t.Errorf("%d imports deep, %d at most: %s", len(chain)-1, most, strings.Join(chain, " > "))
		}
	}
}
