package drill

import (
	"fmt"
	"strings"

	"tenu/internal/sim"
)

// Generate writes a scenario file drawn from a seed: a day on which one to three things
// fail. The same seed gives the same file.
func Generate(seed uint64) []byte {
	draws := uint64(0)
	n := func(most int) int {
		draws++
		return int(sim.Chance(seed, 70, draws) * float64(most))
	}
	var b strings.Builder
	fmt.Fprintf(&b, "# Drawn from seed %d.\ntitle: {fr: \"Scénario tiré au sort n° %d\", en: \"Random scenario %d\"}\n", seed, seed, seed)
	fmt.Fprintf(&b, "begins: \"2024-09-%02d 09:00\"\nends: \"12:00\"\npurchases: 4000\nnodes: %d\nrules: {resolve_within: 4h}\n", 1+n(28), 1+n(2))
	fmt.Fprintf(&b, "rhythm:\n  - {from: \"09:00\", weight: %d}\n  - {from: \"10:00\", weight: %d}\n  - {from: \"11:00\", weight: %d}\n", 50+n(100), 50+n(100), 50+n(100))
	yes := func(percent int) string { return fmt.Sprint(n(100) < percent) }
	query := yes(80)
	// A wallet that cannot be asked twice leaves refunds that only people can settle, by other means: none is drawn.
	fmt.Fprintf(&b, "partners:\n  - {name: wallet, role: payer, declines: %d%%, query: true, cancel: %s}\n", n(8), yes(30))
	fmt.Fprintf(&b, "  - {name: charging, role: provider, idempotent: %s, query: %s, cancel: %s, timeout: %ds}\n", yes(80), query, yes(30), 4+n(8))
	b.WriteString("windows:\n")
	taken := map[string]bool{}
	for range 1 + n(3) {
		partner := []string{"charging", "charging", "wallet", sim.CentreName}[n(4)]
		if taken[partner] {
			continue
		}
		taken[partner] = true
		from, lasts := 20+n(60), 3+n(50)
		fmt.Fprintf(&b, "  - {partner: %s, from: \"%02d:%02d\", till: \"%02d:%02d\", ", partner, 9+from/60, from%60, 9+(from+lasts)/60, (from+lasts)%60)
		if partner == sim.CentreName {
			fmt.Fprintf(&b, "faults: {centre_down: %d%%, message_unheard: %d%%}}\n", n(100), n(30))
			continue
		}
		left := 100
		share := func() int {
			x := n(left * 2 / 3)
			left -= x
			return x
		}
		fmt.Fprintf(&b, "faults: {dropped: %d%%, accepted: %d%%, reply_lost: %d%%, request_lost: %d%%, late_execution: %d%%, server_error: %d%%, query_lost: %d%%}, late: %dm-%dm}\n",
			share(), share(), share(), share(), share(), share(), n(80), 1+n(5), 6+n(60))
	}
	if n(2) == 0 {
		what := []sim.Fault{sim.CrashBeforeCommit, sim.CrashAfterCommit, sim.CrashBeforeSend, sim.CrashAfterSend, sim.CrashInOutbox, sim.CrashInCare, sim.Stopped, sim.StoreUnavailable}
		fmt.Fprintf(&b, "troubles:\n  - {at: \"09:%02d\", what: %s, node: 1, lasts: %ds}\n", 25+n(30), what[n(len(what))], 5+n(60))
	}
	return []byte(b.String())
}
