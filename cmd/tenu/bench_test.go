package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tenu/internal/bench"
)

// TestBench checks that the command measures what is asked for, prints it, and
// writes the report beside its charts.
func TestBench(t *testing.T) {
	out := t.TempDir()
	code, stdout, stderr := tenu(t, noEnv, "bench", "lone", "growth", "care", "--store", "sqlite", "--quick", "--runs", "2", "--out", out,
		"--dir", t.TempDir(), "--lone", "3", "--stored", "300", "--purchases", "100", "--customers", "50", "--lookups", "4")
	if code != 0 {
		t.Fatal(code, stderr)
	}
	for _, want := range []string{"lone", "three bare commits", "growth", "× empty", "by reference, p95"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("%q is not in\n%s", want, stdout)
		}
	}
	text, err := os.ReadFile(filepath.Join(out, "report.json"))
	if err != nil {
		t.Fatal(err)
	}
	var report bench.Report
	if err := json.Unmarshal(text, &report); err != nil {
		t.Fatal(err)
	}
	if len(report.Results) != 3 || report.Cores == 0 || len(report.Results[0].Figures[0].Runs) != 2 {
		t.Errorf("%s", text)
	}
	if _, err := os.Stat(filepath.Join(out, "cost-of-a-purchase-against-the-size-of-the-store.svg")); err != nil {
		t.Error(err)
	}
}

// TestBenchRefuses checks that what makes no sense is refused before anything is begun.
func TestBenchRefuses(t *testing.T) {
	for _, args := range [][]string{{"what"}, {"--lone", "-1"}, {"--sales", "9000"}, {"--store", "oracle"}} {
		if code, stdout, stderr := tenu(t, noEnv, append([]string{"bench", "--store", "sqlite"}, args...)...); code != 2 || stdout != "" || stderr == "" {
			t.Errorf("%v: %d %s%s", args, code, stdout, stderr)
		}
	}
}
