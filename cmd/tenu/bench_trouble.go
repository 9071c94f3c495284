package main

import "tenu/internal/bench"

// troubleScenarios measure what is open when partners or nodes fail.
func troubleScenarios(_ *benchRun, bed *bench.Bed) []bench.Scenario {
	return []bench.Scenario{
		{Name: "open", Store: bed.Store, Run: bed.Open,
			About: "Purchases whose payer acknowledged and answers later: their memory, and sales beside them."},
	}
}
