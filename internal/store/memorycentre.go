package store

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"

	"tenu/internal/auth"
	"tenu/internal/purchase"
	"tenu/internal/voice/centre"
)

var _ centre.Store = (*Memory)(nil)

// memoryCentre keeps agents and calls. It knows of no callbacks: none of those that it sums up was kept.
type memoryCentre struct {
	guard   sync.Mutex
	agents  map[auth.StaffID]centre.Agent
	calls   map[string]centre.Call
	refused map[[2]int64]int // by hour and epoch
}

func newMemoryCentre() *memoryCentre {
	return &memoryCentre{agents: map[auth.StaffID]centre.Agent{}, calls: map[string]centre.Call{}, refused: map[[2]int64]int{}}
}

// OnDuty is centre.Store.
func (m *memoryCentre) OnDuty(_ context.Context, since purchase.Instant) (found []centre.Agent, err error) {
	m.guard.Lock()
	defer m.guard.Unlock()
	for _, a := range m.agents {
		if a.State != centre.Away || a.Since >= since {
			found = append(found, a)
		}
	}
	slices.SortFunc(found, func(a, b centre.Agent) int {
		return cmp.Or(cmp.Compare(a.Since, b.Since), cmp.Compare(a.Staff, b.Staff))
	})
	return found, nil
}

// Agent is centre.Store.
func (m *memoryCentre) Agent(_ context.Context, staff auth.StaffID) (centre.Agent, error) {
	m.guard.Lock()
	defer m.guard.Unlock()
	if a, there := m.agents[staff]; there {
		return a, nil
	}
	return centre.Agent{Staff: staff, State: centre.Away}, nil
}

// MoveAgents is centre.Store.
func (m *memoryCentre) MoveAgents(_ context.Context, agents ...centre.Agent) (moved int, err error) {
	m.guard.Lock()
	defer m.guard.Unlock()
	for _, a := range agents {
		if m.agents[a.Staff].Version != a.Version-1 || m.taken(&a) {
			break
		}
		m.agents[a.Staff] = a
		moved++
	}
	return moved, nil
}

// taken reports whether another agent is at the telephone, or has the call.
func (m *memoryCentre) taken(a *centre.Agent) bool {
	for _, o := range m.agents {
		if a.State == centre.Away || o.State == centre.Away || o.Staff == a.Staff {
			continue
		}
		if o.Extension == a.Extension || a.Busy() && o.Busy() && (o.Call == a.Call || o.Callback != 0 && o.Callback == a.Callback) {
			return true
		}
	}
	return false
}

// AddCalls is centre.Store.
func (m *memoryCentre) AddCalls(_ context.Context, calls []centre.Call, refused []centre.Refused) error {
	m.guard.Lock()
	defer m.guard.Unlock()
	for i := range calls {
		if !slices.Contains(centre.Releases, calls[i].Release) {
			return errors.New("keep calls: no such release")
		}
	}
	for _, c := range calls {
		if _, there := m.calls[c.ID]; !there {
			m.calls[c.ID] = c
		}
	}
	for _, r := range refused {
		key := [2]int64{int64(r.Hour), r.Epoch}
		m.refused[key] = max(m.refused[key], r.Count)
	}
	return nil
}

// CallsOf is centre.Store.
func (m *memoryCentre) CallsOf(_ context.Context, number purchase.MSISDN, limit int) (found []centre.Call, err error) {
	m.guard.Lock()
	defer m.guard.Unlock()
	for _, c := range m.calls {
		if c.Number == number {
			found = append(found, c)
		}
	}
	slices.SortFunc(found, func(a, b centre.Call) int { return cmp.Or(cmp.Compare(b.At, a.At), cmp.Compare(b.ID, a.ID)) })
	return found[:min(limit, len(found))], nil
}

// CallFigures is centre.Store.
func (m *memoryCentre) CallFigures(_ context.Context, from, till purchase.Instant) (centre.Figures, error) {
	m.guard.Lock()
	defer m.guard.Unlock()
	f := centre.Figures{Released: map[centre.Release]int{}}
	for key, n := range m.refused {
		if hour := purchase.Instant(key[0]); hour >= from && hour < till {
			f.Refused += n
		}
	}
	f.Offered = f.Refused
	for _, c := range m.calls {
		if c.At < from || c.At >= till {
			continue
		}
		f.Offered++
		f.Released[c.Release]++
		f.Answer += c.Answered.Sub(c.At)
		wished := c.Queued != 0 || c.Callback != 0
		switch {
		case c.Taken != 0:
			f.Got++
			f.Waited += c.Taken.Sub(c.Queued)
			if c.Taken.Sub(c.Queued) <= centre.Prompt {
				f.InTime++
			}
		case !wished && c.Answered.Sub(c.At) <= centre.Prompt:
			f.InTime++
		}
		if wished {
			f.Queued++
		}
	}
	return f, nil
}
