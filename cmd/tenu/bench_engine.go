package main

import "tenu/internal/bench"

// engineScenarios measure the engine and its store with partners in the process.
func engineScenarios(_ *benchRun, bed *bench.Bed) []bench.Scenario {
	without := ""
	if bed.Store == "postgres" && bed.TPCB == nil {
		without = " pgbench is not beside this server: TPC-B is left out."
	}
	return []bench.Scenario{
		{Name: "floor", Store: bed.Store, Run: bed.Floor,
			About: "The rows of a purchase written by a bare loop, in batches and one by one." + without},
		{Name: "engine", Store: bed.Store, Run: bed.Engine,
			About: "Purchases sold by the engine, with partners in the process that answer at once." + without},
		{Name: "log", Store: bed.Store, Run: bed.Logged,
			About: "The same sales with the append-only log and without, in turns: the median of eight pairs."},
		{Name: "audit", Store: bed.Store, Run: bed.Audited,
			About: "An append-only log of very many leaves: to find and prove those of a purchase, and to audit all of it against the database."},
		{Name: "lone", Store: bed.Store, Run: bed.Lone,
			About: "One purchase at a time, with nothing else going on and partners that take no time."},
		{Name: "hot", Store: bed.Store, Run: bed.Hot,
			About: "All purchases booked to one payer, provider and channel, or spread over sixteen of each."},
	}
}
