// Package tidy holds the house rules that no linter checks, as ordinary tests
// over the repository's own files. It must know nothing of tenu but where its
// files are.
package tidy

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// root is the repository; paths within it are slash-separated and relative.
var root = os.DirFS("../..")

var generated = regexp.MustCompile(`(?m)^// Code generated .* DO NOT EDIT\.$`)

// files lists the repository's own files whose name ends as given. Modules of
// other people, what was built, and hidden folders but .ci are left out.
func files(t *testing.T, suffix string) []string {
	t.Helper()
	var found []string
	err := fs.WalkDir(root, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := path.Base(name)
		if entry.IsDir() && name != "." && (base == "node_modules" || base == "bin" || base[0] == '.' && base != ".ci") {
			return fs.SkipDir
		}
		if !entry.IsDir() && strings.HasSuffix(name, suffix) {
			found = append(found, name)
		}
		return nil
	})
	if err != nil {
		t.Fatalf("list the repository: %v", err)
	}
	if len(found) == 0 {
		t.Fatalf("the repository has no file that ends in %q", suffix)
	}
	return found
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	text, err := fs.ReadFile(root, name)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// source is one parsed Go file of the module tenu.
type source struct {
	name string
	*ast.File
}

// sources parses the Go files of the module, testdata aside, by package folder.
func sources(t *testing.T) map[string][]source {
	t.Helper()
	packages := map[string][]source{}
	for _, name := range files(t, ".go") {
		if strings.Contains(name, "/testdata/") || strings.HasPrefix(name, "test/") || strings.HasPrefix(name, "tools/") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, read(t, name), parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		packages[path.Dir(name)] = append(packages[path.Dir(name)], source{name, file})
	}
	return packages
}

// folders are the keys of sources in order.
func folders(packages map[string][]source) []string { return slices.Sorted(maps.Keys(packages)) }

func isTest(name string) bool { return strings.HasSuffix(name, "_test.go") }

func TestEveryPackageSaysWhatItHolds(t *testing.T) {
	packages := sources(t)
	for _, folder := range folders(packages) {
		var docs []string
		for _, file := range packages[folder] {
			if file.Doc != nil {
				docs = append(docs, file.Doc.Text())
			}
		}
		name := strings.TrimSuffix(packages[folder][0].Name.Name, "_test")
		want := "Package " + name + " "
		if name == "main" {
			want = "Command " + path.Base(folder) + " "
		}
		switch {
		case len(docs) != 1:
			t.Errorf("%s: %d package comments, one is wanted", folder, len(docs))
		case !strings.HasPrefix(docs[0], want):
			t.Errorf("%s: the package comment does not begin with %q", folder, want)
		}
	}
}

func TestNoFileIsTooLong(t *testing.T) {
	const most = 700
	for _, suffix := range []string{".go", ".sh", ".sql"} {
		for _, name := range files(t, suffix) {
			text := read(t, name)
			if lines := bytes.Count(text, []byte("\n")); lines > most && !generated.Match(text) {
				t.Errorf("%s has %d lines, %d at most: would two nouns read better?", name, lines, most)
			}
		}
	}
}

func TestPackageNamesSaySomething(t *testing.T) {
	for _, folder := range folders(sources(t)) {
		for word := range strings.SplitSeq(folder, "/") {
			if slices.Contains([]string{"util", "utils", "common", "models", "pkg", "helpers", "helper", "misc", "base", "shared"}, word) {
				t.Errorf("%s: %q says nothing about what it holds", folder, word)
			}
		}
	}
}

func TestEveryMigrationIsOneOfAPair(t *testing.T) {
	dialects := map[string][]string{"sqlite": nil, "postgres": nil}
	for _, name := range files(t, ".sql") {
		dir, base := path.Split(name)
		if !strings.HasPrefix(dir, "internal/store/migrations/") {
			continue
		}
		dialect := path.Base(dir)
		if _, known := dialects[dialect]; !known {
			t.Errorf("%s: no such dialect as %s", name, dialect)
		}
		dialects[dialect] = append(dialects[dialect], base)
	}
	if len(dialects["sqlite"]) == 0 || !slices.Equal(dialects["sqlite"], dialects["postgres"]) {
		t.Errorf("migrations of SQLite %q and of PostgreSQL %q are not the same steps", dialects["sqlite"], dialects["postgres"])
	}
}

func TestModulesAgreeOnGo(t *testing.T) {
	version := regexp.MustCompile(`(?m)^go (\S+)$`)
	versions := map[string][]string{}
	for _, name := range files(t, "go.mod") {
		for _, match := range version.FindAllSubmatch(read(t, name), -1) {
			versions[string(match[1])] = append(versions[string(match[1])], name)
		}
	}
	if len(versions) != 1 {
		t.Errorf("the modules name different versions of Go: %v", versions)
	}
}
