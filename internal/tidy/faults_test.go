package tidy_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"tenu/internal/sim"
)

// proven is what docs/faults.md has a line for: letter and number from 1.
var proven = map[string]int{"L": 9, "P": 14, "N": 6, "C": 7, "R": 5, "w": 18, "o": 4, "s": 5, "p": 11, "h": 7}

// TestFaultsPage keeps docs/faults.md true: every invariant and fault has one
// line, which names a check that exists or says that it is not built yet.
func TestFaultsPage(t *testing.T) {
	data, err := os.ReadFile("../../docs/faults.md")
	if err != nil {
		t.Fatal(err)
	}
	tests := testNames(t)
	lines := map[string]int{}
	for line := range strings.Lines(string(data)) {
		row := regexp.MustCompile(`^\| ([A-Za-z])(\d+) \| (.*) \|$`).FindStringSubmatch(strings.TrimSpace(line))
		if row == nil {
			continue
		}
		id := row[1] + row[2]
		lines[id]++
		cells := strings.Split(row[3], " | ")
		proof := cells[len(cells)-1]
		if !regexp.MustCompile("`|simulation|verify|not built yet: .").MatchString(proof) {
			t.Errorf("%s names nothing that proves it", id)
		}
		for _, name := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(proof, -1) {
			_, err := sim.ParseFault(name[1])
			if err != nil && !slices.Contains(tests, name[1]) {
				t.Errorf("%s: neither a test nor a fault is called %s", id, name[1])
			}
		}
	}
	for letter, n := range proven {
		for i := range n {
			if id := fmt.Sprint(letter, i+1); lines[id] != 1 {
				t.Errorf("%s has %d lines", id, lines[id])
			}
		}
	}
}

// testNames are the tests and fuzz targets of the module.
func testNames(t *testing.T) (names []string) {
	t.Helper()
	declared := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "node_modules" || d.Name() == ".git" || d.Name() == "test" && filepath.Dir(path) == "../.."):
			return filepath.SkipDir
		case !strings.HasSuffix(path, "_test.go"):
			return nil
		}
		data, err := os.ReadFile(path) //nolint:gosec // a file of this module
		for _, found := range declared.FindAllStringSubmatch(string(data), -1) {
			names = append(names, found[1])
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}
