package sim_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"tenu/internal/sim"
)

var update = flag.Bool("update", false, "write docs/planted.md")

// plantedPurchases is within how many purchases a defect must be found.
const plantedPurchases = 10_000

// plantedCare is the same for a defect of care, whose simulation is slower.
const plantedCare = 1000

// defect is a mistake in the source that the simulation must find.
type defect struct {
	name  string
	why   string // what is wrong about it, in one sentence
	hunks []hunk
}

// careful reports whether it is a mistake in what care does.
func (d *defect) careful() bool { return strings.HasPrefix(d.name, "care_") }

// within is within how many purchases it must be found.
func (d *defect) within() int {
	if d.careful() {
		return plantedCare
	}
	return plantedPurchases
}

// hunk is a place in a file below internal where old, which occurs there once,
// becomes new. $ in new is the switch: an expression that is true in a process
// that has the defect. Without it, new does what old does.
type hunk struct{ file, old, new string }

// change is a hunk found in its file.
type change struct {
	at, end int
	new     string
}

// TestPlantedDefects builds the simulation once with every defect behind a
// switch, and runs it once for each, and once for none.
func TestPlantedDefects(t *testing.T) {
	binary := buildPlanted(t)
	t.Run("none", func(t *testing.T) {
		for _, kind := range []defect{{}, {name: "care_"}} {
			if v := runPlanted(t, binary, &kind); v != nil {
				t.Errorf("without any defect: %v", v)
			}
		}
	})
	for _, d := range defects {
		t.Run(d.name, func(t *testing.T) {
			v := runPlanted(t, binary, &d)
			if v == nil {
				t.Fatalf("not found within %d purchases: %s", d.within(), d.why)
			}
			t.Logf("found within %d purchases: %v", v.World*sim.WorldSize, v)
		})
	}
}

// TestPlantedPage keeps docs/planted.md, written with -update.
func TestPlantedPage(t *testing.T) {
	var page bytes.Buffer
	page.WriteString("# Planted defects\n\n" +
		"Mistakes that are easily made, each planted in a copy of the source by `TestPlantedDefects`, which fails unless the\n" +
		fmt.Sprintf("simulation finds each within %d 000 purchases, those of care within %d of a simulation with care. This page is generated from the test's list by `make generate`.\n\n", plantedPurchases/1000, plantedCare) +
		"| defect | the mistake |\n| --- | --- |\n")
	for _, d := range defects {
		fmt.Fprintf(&page, "| `%s` | %s |\n", d.name, d.why)
	}
	path := filepath.Join("..", "..", "docs", "planted.md")
	if *update {
		if err := os.WriteFile(path, page.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	stored, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(stored, page.Bytes()) {
		t.Errorf("%s is not what the list of defects says: make generate", path)
	}
}

// buildPlanted builds the simulation from copies of the source with the defects.
func buildPlanted(t *testing.T) (binary string) {
	t.Helper()
	dir := t.TempDir()
	changes := map[string][]change{}
	for _, d := range defects {
		for _, h := range d.hunks {
			place(t, changes, d.name, h)
		}
	}
	overlay := struct{ Replace map[string]string }{map[string]string{}}
	for file, list := range changes {
		copied := filepath.Join(dir, strings.ReplaceAll(file, "/", "-"))
		if err := os.WriteFile(copied, plant(t, file, list), 0o600); err != nil {
			t.Fatal(err)
		}
		path, err := filepath.Abs(filepath.Join("..", file))
		if err != nil {
			t.Fatal(err)
		}
		overlay.Replace[path] = copied
	}
	text, err := json.Marshal(overlay)
	if err != nil {
		t.Fatal(err)
	}
	list := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(list, text, 0o600); err != nil {
		t.Fatal(err)
	}
	binary = filepath.Join(dir, "sim.test")
	build := exec.CommandContext(t.Context(), "go", "test", "-c", "-tags", "planted", "-overlay", list, "-o", binary, ".")
	if said, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build with the defects: %v\n%s", err, said)
	}
	return binary
}

// place finds a hunk in its file.
func place(t *testing.T, changes map[string][]change, name string, h hunk) {
	t.Helper()
	source := sourceOf(t, h.file)
	if n := strings.Count(source, h.old); n != 1 {
		t.Fatalf("defect %s: %s has %d times %q: the code has moved on, and the defect with it", name, h.file, n, h.old)
	}
	at := strings.Index(source, h.old)
	changes[h.file] = append(changes[h.file], change{at, at + len(h.old), strings.ReplaceAll(h.new, "$", fmt.Sprintf("planted.Is(%q)", name))})
}

// plant returns a file with its changes.
func plant(t *testing.T, file string, list []change) []byte {
	t.Helper()
	source := sourceOf(t, file)
	slices.SortFunc(list, func(a, b change) int { return a.at - b.at })
	var out bytes.Buffer
	done := strings.Index(source, "\npackage ") + 1
	done += strings.IndexByte(source[done:], '\n') + 1
	out.WriteString(source[:done] + "\nimport \"tenu/internal/sim/planted\"\n")
	for _, c := range list {
		if c.at < done {
			t.Fatalf("%s: two defects change %q", file, source[c.at:c.end])
		}
		out.WriteString(source[done:c.at] + c.new)
		done = c.end
	}
	out.WriteString(source[done:])
	return out.Bytes()
}

func sourceOf(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", filepath.FromSlash(file)))
	if err != nil {
		t.Fatal(err)
	}
	return "\n" + string(text)
}

// runPlanted simulates in a process that has the defect, and returns the first
// violation that was found.
func runPlanted(t *testing.T, binary string, d *defect) *sim.Violation {
	t.Helper()
	run := exec.CommandContext(t.Context(), binary, "-test.run", "^TestPlantedRun$", "-test.timeout", "4m")
	run.Env = append(os.Environ(), "TENU_PLANTED="+d.name, "GOGC=1000")
	if d.careful() {
		run.Env = append(run.Env, "TENU_PLANTED_CARE="+directory(t))
	}
	said, err := run.Output()
	var first *sim.Violation
	if err == nil {
		err = json.NewDecoder(bytes.NewReader(said)).Decode(&first)
	}
	if err != nil {
		t.Fatalf("the simulation did not end well: %v\n%s", err, said)
	}
	return first
}
