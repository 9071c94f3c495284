package main

import (
	"bytes"
	"encoding/json"
	"slices"
	"testing"

	"tenu/internal/bench"
)

// The scenarios over HTTP fail by themselves when a purchase is not credited, the
// books are not right, or a partner saw a purchase twice.
func TestBenchOverHTTP(t *testing.T) {
	var out, errs bytes.Buffer
	code := Run(t.Context(), []string{"bench", "api", "http", "--store", "sqlite", "--runs", "1", "--quick", "--json", "--dir", t.TempDir(),
		"--purchases", "400", "--point", "100ms"}, &out, &errs, func(string) string { return "" })
	if code != exitDone {
		t.Fatalf("exit %d: %s", code, errs.String())
	}
	var report bench.Report
	if err := json.Unmarshal(out.Bytes(), &report); err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"one by one", "whole path"} {
		if i >= len(report.Results) || !slices.ContainsFunc(report.Results[i].Figures, func(f bench.Figure) bool { return f.Name == want && f.Median > 0 }) {
			t.Errorf("no figure %q in %s", want, out.String())
		}
	}
}
