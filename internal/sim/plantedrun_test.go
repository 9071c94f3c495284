//go:build planted

package sim_test

import (
	"encoding/json"
	"os"
	"testing"

	"tenu/internal/sim"
)

// TestPlantedRun simulates with the defect that the environment names, and
// prints what was found, null for nothing.
func TestPlantedRun(t *testing.T) {
	o := sim.Options{Seed: 1, Purchases: plantedPurchases, Workers: 2}
	if dir := os.Getenv("TENU_PLANTED_CARE"); dir != "" {
		o.Care, o.Purchases, o.Open = true, plantedCare, sim.SQLite(dir)
	}
	r, err := sim.Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	var first *sim.Violation
	if len(r.Violations) > 0 {
		first = r.Violations[0]
	}
	if err := json.NewEncoder(os.Stdout).Encode(first); err != nil {
		t.Fatal(err)
	}
}
