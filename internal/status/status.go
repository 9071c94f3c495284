// Package status tells the public how the service is: pages that any host can serve
// outside of the platform, what writes them, what answers by reference whether a purchase
// is affected, and who is told by SMS. It must know nothing of SQL or of partners, and
// nothing of a customer gets into a page.
package status

import (
	"context"
	"time"

	"tenu/internal/incident"
	"tenu/internal/money"
	"tenu/internal/purchase"
)

// State is how a component is.
type State uint8

// The states, from the best to the worst.
const (
	Operational State = iota + 1
	Degraded          // sold, but slow or in part
	Paused            // not sold, or not wholly: nobody is charged
)

// word is the state in status.json and in the names of phrases.
func (s State) word() string {
	switch s {
	case Operational:
		return "operational"
	case Degraded:
		return "degraded"
	case Paused:
		return "paused"
	}
	return "unknown"
}

// Component is something that customers use, by the series it is counted as.
type Component struct {
	Series incident.Series
	Name   map[purchase.Language]string // as customers call it
	State  State
	Days   []Day // the oldest first, at most Kept
}

// Day is what is known of a component on one day.
type Day struct {
	At       purchase.Instant // midnight, where the installation is
	Measured time.Duration    // of the day, 0 where nothing is known of it
	Degraded time.Duration
	Paused   time.Duration
}

// Kept is how many days incidents and days are shown for.
const Kept = 90

// The bounds of what is shown: the newest incidents, the first components.
const (
	mostIncidents  = 200
	mostComponents = 100
)

// Incident is an incident with what became of those affected. Entries are its whole
// timeline; what is not for the public is left out of it here: of an entry only its event
// and time are shown, never its text or who made it.
type Incident struct {
	incident.Incident
	Totals  incident.Totals
	Entries []incident.Entry
}

// current reports whether it fails or is being opened again.
func (i *Incident) current() bool {
	return i.Status == incident.Ongoing || i.Status == incident.Recovering
}

// Snapshot is everything that is shown, at one instant.
type Snapshot struct {
	At         purchase.Instant
	Currency   money.Currency
	Components []Component
	Incidents  []Incident // the newest first: all that are not closed, and those of the last Kept days
	Listed     []Listed   // whom the list for other hosts tells of
	ListedMore bool       // and there are more
}

// state is that of the worst component, or of the worst incident where no component shows it.
func (s *Snapshot) state() State {
	worst := Operational
	for i := range s.Components {
		worst = max(worst, s.Components[i].State)
	}
	for i := range s.Incidents {
		if s.Incidents[i].current() {
			worst = max(worst, Degraded)
		}
	}
	return worst
}

// ongoing reports whether an incident is under way.
func (s *Snapshot) ongoing() bool { return s.state() != Operational }

// Source makes snapshots.
type Source interface {
	// Snapshot is what is known at an instant.
	Snapshot(ctx context.Context, now purchase.Instant) (Snapshot, error)
}

// available is the share of the measured time of the last days in which a component was
// not paused, in hundredths of a percent, rounded down; false where nothing was measured.
func (c *Component) available(days int) (share int64, known bool) {
	var measured, paused time.Duration
	for _, d := range c.Days[max(len(c.Days)-days, 0):] {
		measured += d.Measured
		paused += min(d.Paused, d.Measured)
	}
	if measured <= 0 {
		return 0, false
	}
	return int64((measured - paused) / time.Second * 10_000 / max(measured/time.Second, 1)), true
}

// public are the events of a timeline that everybody is shown.
func public(e incident.Event) bool {
	switch e {
	case incident.EventOpened, incident.EventPaused, incident.EventStep, incident.EventTold, incident.EventText, incident.EventExpected,
		incident.EventRecovered, incident.EventResolved, incident.EventClosed, incident.EventAgain:
		return true
	case incident.EventProbe, incident.EventOwner, incident.EventSeverity, incident.EventParty, incident.EventNote,
		incident.EventOwed, incident.EventDone, incident.EventLate:
	}
	return false
}
