package sim

import (
	"context"
	"fmt"
	"slices"

	"tenu/internal/auth"
	"tenu/internal/care"
	"tenu/internal/purchase"
)

// desked is care's store as one node sees it: it fails as the node's store does, and
// the process may end before or after any write.
type desked struct {
	care.Store // reads that are not named below always succeed
	f          *flaky
}

// errEnded is what a process that has ended learns of its last write.
var errEnded = fmt.Errorf("%w: the process ended", purchase.ErrUnavailable)

// put does one write. The process may end before or after it, and then does nothing more.
func (s *desked) put(do func() error) error {
	n := s.f.n
	if n.died {
		return errEnded
	}
	if n.armed == CrashInCare && !n.w.calm {
		n.armed, n.died = 0, true
		if n.w.dice(21, uint64(n.w.seq)).chance(50) { //nolint:gosec // a count
			return errEnded
		}
		_ = do() // nobody hears of it
		return errEnded
	}
	return s.f.write(do)
}

// get fails reads.
func (s *desked) get() error {
	if s.f.n.died {
		return errEnded
	}
	return s.f.read()
}

// AddReport is care.ReportStore.
func (s *desked) AddReport(ctx context.Context, r care.Report) (first care.Report, added bool, err error) {
	err = s.put(func() error {
		first, added, err = s.Store.AddReport(ctx, r)
		if err == nil && added {
			s.f.w.files.reported(&first)
		}
		return err
	})
	return first, added, err
}

// ChangeCase is care.CaseStore.
func (s *desked) ChangeCase(ctx context.Context, c care.Change) (now care.Case, err error) {
	err = s.put(func() error {
		now, err = s.Store.ChangeCase(ctx, c)
		if err == nil {
			s.f.w.files.changed(&c, &now, clock{s.f.n}.Now())
		}
		return err
	})
	return now, err
}

// Openings is care.CaseStore. That there is nothing to read is known from the auditor's
// copy, here and below, which is compared with the store at the end: it spares most reads.
func (s *desked) Openings(ctx context.Context, limit int) ([]care.Opening, error) {
	if err := s.get(); err != nil || len(s.f.w.files.loose) == 0 {
		return nil, err
	}
	return s.Store.Openings(ctx, limit)
}

// DueCases is care.CaseStore.
func (s *desked) DueCases(ctx context.Context, till purchase.Instant, limit int) ([]care.Case, purchase.Instant, error) {
	if err := s.get(); err != nil {
		return nil, 0, err
	}
	if next := s.f.w.files.dueCases(); next == 0 || next > till {
		return nil, next, nil
	}
	return s.Store.DueCases(ctx, till, limit)
}

// DueRequests is care.RequestStore.
func (s *desked) DueRequests(ctx context.Context, till purchase.Instant, limit int) ([]care.Request, purchase.Instant, error) {
	if err := s.get(); err != nil {
		return nil, 0, err
	}
	if next := s.f.w.files.dueRequests(); next == 0 || next > till {
		return nil, next, nil
	}
	return s.Store.DueRequests(ctx, till, limit)
}

// DueCallbacks is care.CallbackStore.
func (s *desked) DueCallbacks(ctx context.Context, till purchase.Instant, limit int) ([]care.Callback, purchase.Instant, error) {
	if err := s.get(); err != nil {
		return nil, 0, err
	}
	if next := s.f.w.files.dueCallbacks(); next == 0 || next > till {
		return nil, next, nil
	}
	return s.Store.DueCallbacks(ctx, till, limit)
}

// Waiting is care.CallbackStore.
func (s *desked) Waiting(ctx context.Context, till purchase.Instant, limit int) ([]care.Callback, error) {
	if err := s.get(); err != nil || len(s.f.w.files.openCalls.open) == 0 {
		return nil, err
	}
	return s.Store.Waiting(ctx, till, limit)
}

// Bulks is care.DeskStore.
func (s *desked) Bulks(ctx context.Context, staff auth.StaffID, since purchase.Instant) ([]care.Bulk, error) {
	if err := s.get(); err != nil || s.f.w.files.bulks == 0 {
		return nil, err
	}
	return s.Store.Bulks(ctx, staff, since)
}

// Cases is care.CaseStore.
func (s *desked) Cases(ctx context.Context, ids ...care.CaseID) ([]care.Case, error) {
	if err := s.get(); err != nil {
		return nil, err
	}
	return s.Store.Cases(ctx, ids...)
}

// Load is care.CaseStore. It is answered from the auditor's copy, too.
func (s *desked) Load(_ context.Context, ids ...purchase.ID) ([]purchase.Record, error) {
	if err := s.get(); err != nil {
		return nil, err
	}
	found := make([]purchase.Record, 0, len(ids))
	for _, id := range slices.Compact(slices.Sorted(slices.Values(ids))) {
		if r := s.f.w.book.records[id]; r != nil {
			found = append(found, kept(r))
		}
	}
	return found, nil
}

// AddRequest is care.RequestStore.
func (s *desked) AddRequest(ctx context.Context, r care.Request, since care.Periods, may func(care.Standing) error) (kept care.Request, err error) {
	err = s.put(func() error {
		kept, err = s.Store.AddRequest(ctx, r, since, may)
		if err == nil {
			s.f.w.files.asked(&kept, since, clock{s.f.n}.Now())
		}
		return err
	})
	return kept, err
}

// DecideRequest is care.RequestStore.
func (s *desked) DecideRequest(ctx context.Context, r care.Request, may func(care.Standing) error) (now care.Request, err error) {
	err = s.put(func() error {
		now, err = s.Store.DecideRequest(ctx, r, may)
		if err == nil {
			s.f.w.files.decided(&now)
		}
		return err
	})
	return now, err
}

// MoveRequest is care.RequestStore.
func (s *desked) MoveRequest(ctx context.Context, r care.Request) error {
	return s.put(func() error {
		err := s.Store.MoveRequest(ctx, r)
		if err == nil {
			s.f.w.files.moved(&r)
		}
		return err
	})
}

// AddCallback is care.CallbackStore.
func (s *desked) AddCallback(ctx context.Context, c care.Callback, most int) (kept care.Callback, added bool, err error) {
	err = s.put(func() error {
		kept, added, err = s.Store.AddCallback(ctx, c, most)
		if err == nil && added {
			s.f.w.files.promised(&kept)
		}
		return err
	})
	return kept, added, err
}

// CancelCallback is care.CallbackStore.
func (s *desked) CancelCallback(ctx context.Context, id int64, number purchase.MSISDN, at purchase.Instant) (c care.Callback, err error) {
	err = s.put(func() error {
		c, err = s.Store.CancelCallback(ctx, id, number, at)
		if err == nil {
			s.f.w.files.cancelled(&c)
		}
		return err
	})
	return c, err
}

// ChangeCallback is care.CallbackStore.
func (s *desked) ChangeCallback(ctx context.Context, c care.CallbackChange) error {
	return s.put(func() error {
		err := s.Store.ChangeCallback(ctx, c)
		if err == nil {
			s.f.w.files.called(&c, clock{s.f.n}.Now())
			if c.Follow != nil {
				s.follow(ctx, &c.Now)
			}
		}
		return err
	})
}

// AddTreatment is care.RuleStore.
func (s *desked) AddTreatment(ctx context.Context, t care.Treatment, budget int64, since purchase.Instant) error {
	return s.put(func() error {
		err := s.Store.AddTreatment(ctx, t, budget, since)
		if err == nil {
			s.f.w.files.treatment(&t, since)
		}
		return err
	})
}

// AddBulk is care.DeskStore.
func (s *desked) AddBulk(ctx context.Context, b care.Bulk) (id care.BulkID, err error) {
	err = s.put(func() error {
		if id, err = s.Store.AddBulk(ctx, b); err == nil {
			s.f.w.files.bulks++
		}
		return err
	})
	return id, err
}

// MoveBulk is care.DeskStore.
func (s *desked) MoveBulk(ctx context.Context, b care.Bulk) (moved bool, err error) {
	err = s.put(func() error {
		if moved, err = s.Store.MoveBulk(ctx, b); moved && b.ClosedAt != 0 {
			s.f.w.files.bulks--
		}
		return err
	})
	return moved, err
}

// AddLook is care.DeskStore.
func (s *desked) AddLook(ctx context.Context, l care.Look) error {
	return s.put(func() error {
		err := s.Store.AddLook(ctx, l)
		if err == nil {
			s.f.w.files.looked(&l)
		}
		return err
	})
}

// follow notes the promise that makes a broken one good, as the store numbered it.
func (s *desked) follow(ctx context.Context, broken *care.Callback) {
	newest, err := s.Store.Callbacks(ctx, broken.Number, 1)
	if err != nil || len(newest) == 0 || newest[0].Follows != broken.ID {
		s.f.w.fail("C7", broken.Purchase, "callback %d is broken, and none follows it: %v", broken.ID, cause(err))
		return
	}
	s.f.w.files.follow(&newest[0])
}
