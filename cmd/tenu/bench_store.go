package main

import "tenu/internal/bench"

// storeScenarios measure what the size of the store costs. They share one that is
// filled by the first of them.
func storeScenarios(r *benchRun, bed *bench.Bed) []bench.Scenario {
	filled := bench.NewFilled(bed)
	r.later(filled.Close)
	return []bench.Scenario{
		{Name: "growth", Store: bed.Store, Run: filled.Growth,
			About: "Purchases sold on a store that holds very many, against an empty one."},
		{Name: "care", Store: bed.Store, Run: filled.Care,
			About: "Look-ups by four agents at once in a store that holds very many: a number's newest 20, and a purchase with all its rows."},
		{Name: "console", Store: bed.Store, Run: filled.Console,
			About: "Two hundred agents at the console of such a store with a case for every tenth purchase, while sales go on: the screen of a customer opened by four at once, and a sale until an open screen shows it."},
	}
}
