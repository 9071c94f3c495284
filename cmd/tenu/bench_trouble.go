package main

import "tenu/internal/bench"

// troubleScenarios measure what is open when partners or nodes fail.
func troubleScenarios(_ *benchRun, bed *bench.Bed) []bench.Scenario {
	return []bench.Scenario{
		{Name: "open", Store: bed.Store, Run: bed.Open,
			About: "Purchases whose payer acknowledged and answers later: their memory, and sales beside them."},
		{Name: "recover", Store: bed.Store, Run: bed.Recover,
			About: "A node finds the open purchases of one that was stopped hard: its former self, and another."},
		{Name: "drain", Store: bed.Store, Run: bed.Drain,
			About: "Purchases that an outage of the provider left stuck are settled at the rate that it allows, beside new sales."},
	}
}
