package tmf

import (
	"slices"
	"testing"

	"tenu/internal/care"
)

// The table of statuses is total both ways: every phase has one of the published
// statuses, and every published status is one phase's.
func TestStatusesAreTotal(t *testing.T) {
	published := []string{"acknowledged", "rejected", "pending", "held", "inProgress", "cancelled", "closed", "resolved"}
	var given []string
	for _, phase := range care.Phases {
		status := statuses[phase]
		if back, known := phaseOf(status); !known || back != phase {
			t.Errorf("phase %d is %q, which is phase %d", phase, status, back)
		}
		given = append(given, status)
	}
	slices.Sort(published)
	slices.Sort(given)
	if !slices.Equal(given, published) || len(statuses) != len(published) {
		t.Errorf("statuses %v, published are %v", given, published)
	}
	if _, known := phaseOf("lost"); known {
		t.Error("a status that is none is known")
	}
}

// What a client does by a status leads there, or is refused.
func TestDeedsLeadWhereTheyShould(t *testing.T) {
	leads := map[care.Event][]care.Phase{care.EventPaused: {care.PhaseWaiting}, care.EventResumed: {care.PhaseWorking},
		care.EventReopened: {care.PhaseFresh, care.PhaseWorking}, care.EventSettled: {care.PhaseSolved, care.PhaseClosed}, care.EventWithdrawn: {care.PhaseWithdrawn}}
	for _, from := range care.Phases {
		for _, to := range care.Phases {
			do := deedOf(from, to)
			over := from >= care.PhaseSolved
			switch {
			case do == "":
			case !slices.Contains(leads[do], to):
				t.Errorf("from %s to %s by %s", statuses[from], statuses[to], do)
			case over != (do == care.EventReopened), from == care.PhaseMerged:
				t.Errorf("%s is closed: %v, and %s makes it %s", statuses[from], over, do, statuses[to])
			}
		}
	}
}
