package tidy

import (
	"fmt"
	"io/fs"
	"iter"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	pathMention   = regexp.MustCompile("(?:^|[\\s`(\"'])((?:cmd|docs|internal|test|tools|\\.ci)/[\\w./*-]*\\w)")
	linkMention   = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	targetMention = regexp.MustCompile("(?m)(?:^|`)make ([a-z]+)")
)

func exists(t *testing.T, name string) bool {
	t.Helper()
	found, err := fs.Glob(root, name)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return len(found) > 0
}

func TestPagesMentionNoMissingFile(t *testing.T) {
	for _, page := range files(t, ".md") {
		text := string(read(t, page))
		for _, match := range pathMention.FindAllStringSubmatch(text, -1) {
			if !exists(t, match[1]) {
				t.Errorf("%s mentions %s, which does not exist", page, match[1])
			}
		}
		for _, match := range linkMention.FindAllStringSubmatch(text, -1) {
			link, err := url.Parse(match[1])
			if err != nil {
				t.Errorf("%s: link to %s: %v", page, match[1], err)
				continue
			}
			if link.IsAbs() || link.Path == "" {
				continue
			}
			if target := path.Join(path.Dir(page), link.Path); !exists(t, target) {
				t.Errorf("%s links to %s, which does not exist", page, target)
			}
		}
	}
}

func TestCommentsMentionNoMissingPage(t *testing.T) {
	mention := regexp.MustCompile(`\bdocs/[\w./-]+\.md\b`)
	for _, sources := range sources(t) {
		for _, file := range sources {
			for _, group := range file.Comments {
				for _, page := range mention.FindAllString(group.Text(), -1) {
					if !exists(t, page) {
						t.Errorf("%s mentions %s, which does not exist", file.name, page)
					}
				}
			}
		}
	}
}

// Comments name invariants by letter and number.
func TestCommentsNameInvariantsThatExist(t *testing.T) {
	page := string(read(t, "docs/invariants.md"))
	mention := regexp.MustCompile(`\binvariants? ([A-Z]\d+)`)
	for _, sources := range sources(t) {
		for _, file := range sources {
			for _, group := range file.Comments {
				for _, match := range mention.FindAllStringSubmatch(group.Text(), -1) {
					if !strings.Contains(page, "| "+match[1]+" |") {
						t.Errorf("%s names the invariant %s, which docs/invariants.md does not", file.name, match[1])
					}
				}
			}
		}
	}
}

func TestPagesMentionNoMissingTarget(t *testing.T) {
	makefile := string(read(t, "Makefile"))
	for _, page := range append(files(t, ".md"), ".ci/run") {
		for _, match := range targetMention.FindAllStringSubmatch(string(read(t, page)), -1) {
			if !strings.Contains(makefile, "\n"+match[1]+":") {
				t.Errorf("%s mentions make %s, which is no target", page, match[1])
			}
		}
	}
}

func TestDecisionsAreComplete(t *testing.T) {
	name := regexp.MustCompile(`^docs/adr/(\d{4})-[a-z0-9-]+\.md$`)
	const most = 80 // lines of one page
	pages := slices.DeleteFunc(files(t, ".md"), func(s string) bool { return path.Dir(s) != "docs/adr" })
	if len(pages) == 0 {
		t.Fatal("docs/adr holds no decision")
	}
	for i, page := range pages {
		match := name.FindStringSubmatch(page)
		if match == nil {
			t.Errorf("%s is not named NNNN-title.md", page)
			continue
		}
		if want := i + 1; match[1] != fmt.Sprintf("%04d", want) {
			t.Errorf("%s: number %s, %04d comes next", page, match[1], want)
		}
		text := string(read(t, page))
		if !strings.HasPrefix(text, "# "+match[1]+". ") {
			t.Errorf("%s does not begin with its number and title", page)
		}
		var headings []string
		for heading, body := range sections(text) {
			headings = append(headings, heading)
			if strings.TrimSpace(body) == "" {
				t.Errorf("%s: %s is empty", page, heading)
			}
		}
		if want := []string{"Context", "Decision", "Consequences"}; !slices.Equal(headings, want) {
			t.Errorf("%s has the sections %q, want %q", page, headings, want)
		}
		if lines := strings.Count(text, "\n"); lines > most {
			t.Errorf("%s has %d lines, a page has %d at most", page, lines, most)
		}
	}
}

// sections yields the second-level headings of a page with what stands below each.
func sections(text string) iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for _, part := range strings.Split("\n"+text, "\n## ")[1:] {
			heading, body, _ := strings.Cut(part, "\n")
			if !yield(heading, body) {
				return
			}
		}
	}
}

// Each promise stands in a numbered section of docs/PROMISES.md, with lines
// such as "- `internal/purchase` `TestWalk`: what it shows".
func TestEveryPromiseNamesATest(t *testing.T) {
	test := regexp.MustCompile("`((?:cmd|internal)/[\\w/]+)` `((?:Test|Fuzz)\\w+)")
	declared := tests(t)
	promises := 0
	for heading, body := range sections(string(read(t, "docs/PROMISES.md"))) {
		promises++
		if !strings.HasPrefix(heading, fmt.Sprintf("%d. ", promises)) {
			t.Errorf("promise %q: number %d comes next", heading, promises)
		}
		matches := test.FindAllStringSubmatch(body, -1)
		if len(matches) == 0 {
			t.Errorf("promise %q names no test", heading)
		}
		for _, match := range matches {
			if !slices.Contains(declared[match[1]], match[2]) {
				t.Errorf("promise %q: %s has no test %s", heading, match[1], match[2])
			}
		}
	}
	if promises != 7 {
		t.Errorf("%d promises, seven were made", promises)
	}
}

// tests are the names of tests and fuzz targets by package folder.
func tests(t *testing.T) map[string][]string {
	t.Helper()
	declaration := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	declared := map[string][]string{}
	for _, name := range files(t, "_test.go") {
		for _, match := range declaration.FindAllSubmatch(read(t, name), -1) {
			declared[path.Dir(name)] = append(declared[path.Dir(name)], string(match[1]))
		}
	}
	return declared
}
