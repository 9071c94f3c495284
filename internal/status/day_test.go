package status

import (
	"testing"
	"time"

	"tenu/internal/incident"
	"tenu/internal/purchase"
)

func TestComponentOf(t *testing.T) {
	far := time.FixedZone("far", 2*3600) // its days begin two hours earlier
	at := func(day, hour, minute int) purchase.Instant {
		return purchase.At(time.Date(2024, 7, day, hour, minute, 0, 0, far))
	}
	ocs, wallet := incident.Series{By: incident.ByProvider, Name: "ocs"}, incident.Series{By: incident.ByPayer, Name: "wallet"}
	pauses := []incident.Pause{
		{Series: ocs, At: at(8, 23, 0), EndedAt: at(9, 1, 30)},   // over midnight
		{Series: ocs, At: at(9, 1, 0), EndedAt: at(9, 2, 0)},     // of another hand, at the same time
		{Series: wallet, At: at(9, 3, 0)},                        // lasts
		{Series: ocs, At: at(5, 9, 59), EndedAt: at(5, 10, 0)},   // before anything was measured
		{Series: ocs, At: at(9, 12, 0), EndedAt: at(9, 12, 0)},   // of no length
		{Series: ocs, At: at(1, 12, 0), EndedAt: at(1, 13, 0)},   // likewise
		{Series: ocs, At: at(9, 13, 50), EndedAt: at(9, 13, 55)}, // within the incident
	}
	incidents := []incident.Incident{{Series: ocs, Status: incident.Closed, Since: at(9, 13, 45), ResolvedAt: at(9, 14, 0), ClosedAt: at(9, 15, 0)}}
	now, since := at(9, 16, 0), at(7, 6, 0)
	c := ComponentOf(ocs, nil, pauses, incidents, since, now, far)
	if c.State != Operational || len(c.Days) != Kept {
		t.Fatalf("%v with %d days", c.State, len(c.Days))
	}
	for i, want := range []Day{
		{At: at(6, 0, 0)},
		{At: at(7, 0, 0), Measured: 18 * time.Hour},
		{At: at(8, 0, 0), Measured: 24 * time.Hour, Paused: time.Hour},
		{At: at(9, 0, 0), Measured: 16 * time.Hour, Paused: 2*time.Hour + 5*time.Minute, Degraded: 10 * time.Minute},
	} {
		if got := c.Days[Kept-4+i]; got != want {
			t.Errorf("day %d: %+v, not %+v", i, got, want)
		}
	}
	if c := ComponentOf(wallet, nil, pauses, incidents, since, now, far); c.State != Paused || c.Days[Kept-1].Paused != 13*time.Hour {
		t.Errorf("%+v", c.Days[Kept-1])
	}
	incidents = append(incidents, incident.Incident{Series: ocs, Status: incident.Ongoing, Since: at(9, 15, 30)})
	if c := ComponentOf(ocs, nil, pauses, incidents, since, now, far); c.State != Degraded || c.Days[Kept-1].Degraded != 40*time.Minute {
		t.Errorf("%v %+v", c.State, c.Days[Kept-1])
	}
	incidents[1].Status, incidents[1].ResolvedAt = incident.Resolved, now
	if c := ComponentOf(ocs, nil, pauses, incidents, since, now, far); c.State != Operational {
		t.Errorf("resolved now, and %v", c.State)
	}
}
