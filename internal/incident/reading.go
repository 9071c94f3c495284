package incident

import (
	"cmp"
	"slices"

	"tenu/internal/purchase"
)

// Readings are what is known at one moment.
type Readings struct {
	At purchase.Instant
	// Judged is until when, by the charge, it is known of every purchase whether it was
	// credited in time.
	Judged   purchase.Instant
	Series   []Reading        // sorted by series
	Partners []PartnerReading // sorted by series
	Notices  []SaleBucket     // messages of the last hour: Paid are all, InTime those that were brought
	Paused   []Series
	// Cells returns the purchases charged in [from, Judged) and not more than an hour ago
	// by everything that they are of, in any order; what other nodes told apart. It is
	// asked only when something fails. Nil: nothing is known.
	Cells func(from purchase.Instant) []Cell
}

// Reading is what is known of the purchases of one series.
type Reading struct {
	Series
	Total    int64            // paid since it is counted
	LastPaid purchase.Instant // 0 for never
	Hour     Count            // of the last hour, judged
	Long     Count            // of the last six hours, judged
	// Recent are the judged buckets of the last hour that count something, oldest first: by
	// minute, and the last ten minutes by five seconds. They are left out where fewer
	// than MinMissed were not credited in time.
	Recent []SaleBucket
	// Lines are the same buckets of a provider by the line: Paid are all purchases that it was asked to credit, InTime those whose
	// line it did not refuse. They are left out where fewer than MinMissed were refused.
	Lines []SaleBucket
}

// MinMissed is how many purchases not credited in time within an hour are the least
// that any rule can find something in.
const MinMissed = 5

// Cell is purchases that are the same in every dimension.
type Cell struct {
	Of      [5]Series // in the order of the dimensions
	Buckets []SaleBucket
}

// In reports whether the cell's purchases are of the series.
func (c *Cell) In(s Series) bool {
	return s.By >= ByProduct && s.By <= ByOperator && c.Of[s.By-1].Name == s.Name
}

func (s Series) compare(t Series) int {
	return cmp.Or(cmp.Compare(s.By, t.By), cmp.Compare(s.Name, t.Name))
}

// Read returns what is known now. It asks the partners' states.
func (s *Signals) Read(now purchase.Instant) Readings {
	var r Readings
	s.ReadInto(&r, now)
	return r
}

// ReadInto is Read into memory that served before. What r held is overwritten.
func (s *Signals) ReadInto(r *Readings, now purchase.Instant) {
	var partners []Partner
	r.Paused = nil
	if s.cfg.Partners != nil {
		partners = s.cfg.Partners()
	}
	if s.cfg.Paused != nil {
		r.Paused = s.cfg.Paused()
	}
	r.At, r.Judged = now, floorTo(now.Add(-s.cfg.Expected-s.cfg.Grace), fineWidth)
	r.Cells = s.cellsOf(now, r.Judged)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sweep(now)
	s.readFlows(r)
	s.readPartners(r, partners)
	r.Notices = s.notices.recent(r.Notices[:0], now, floorTo(now, fineWidth))
}

func (s *Signals) readFlows(r *Readings) {
	if s.order == nil {
		for _, f := range s.flows {
			s.order = append(s.order, f)
		}
		slices.SortFunc(s.order, func(a, b *flow) int { return a.series.compare(b.series) })
	}
	r.Series = slices.Grow(r.Series[:0], len(s.order))[:len(s.order)]
	for i, f := range s.order {
		f.read(&r.Series[i], r.At, r.Judged)
	}
}

// read fills a reading. What is older than the fine buckets is summed up once a minute.
func (f *flow) read(r *Reading, now, judged purchase.Instant) {
	j, sums := joint(now), &f.sums
	if minute := epochOf(now, coarseWidth); sums.minute != minute || judged < sums.till {
		*sums = cached{minute: minute, hour: f.coarse.sum(floorTo(now.Add(-recentReach), coarseWidth), j),
			long: f.coarse.sum(floorTo(now.Add(-coarseReach), coarseWidth), j), till: j}
	}
	sums.fine = sums.fine.plus(f.fine.sum(sums.till, judged))
	sums.till = judged
	r.Series, r.Total, r.LastPaid = f.series, f.total, f.lastPaid
	r.Hour, r.Long = sums.hour.plus(sums.fine), sums.long.plus(sums.fine)
	r.Recent = r.Recent[:0]
	if r.Hour.Missed >= MinMissed {
		r.Recent = f.recent(r.Recent, now, judged)
	}
	r.Lines = f.byLine(r.Lines[:0], now, judged)
}

// byLine fills Reading.Lines.
func (f *flow) byLine(into []SaleBucket, now, judged purchase.Instant) []SaleBucket {
	if f.lines == nil || now.Sub(f.lines.used) > recentReach {
		return into
	}
	refused := f.lines.recent(nil, now, judged)
	if countFrom(refused, 0).Paid < MinMissed {
		return into
	}
	into = f.recent(into, now, judged)
	for i := range into {
		into[i].InTime, into[i].Who, into[i].Served = into[i].Paid, 0, 0
	}
	for _, b := range refused {
		i, both := slices.BinarySearchFunc(into, b.At, func(b SaleBucket, at purchase.Instant) int { return cmp.Compare(b.At, at) })
		if !both {
			into = slices.Insert(into, i, SaleBucket{At: b.At, Width: b.Width})
		}
		into[i].Paid, into[i].Who = into[i].Paid+b.Paid, b.Who
	}
	return into
}

func (s *Signals) readPartners(r *Readings, partners []Partner) {
	slices.SortFunc(partners, func(a, b Partner) int { return a.Series.compare(b.Series) })
	partners = partners[:min(len(partners), maxPartners)]
	r.Partners = slices.Grow(r.Partners[:0], len(partners))[:len(partners)]
	for i := range partners {
		p, into := &partners[i], &r.Partners[i]
		ring := s.answers[p.Series]
		if ring == nil && len(s.answers) < maxPartners {
			ring = &answerRing{slots: make([]answerSlot, fineSlots)}
			s.answers[p.Series] = ring
		}
		into.Partner, into.Unsettled, into.Oldest, into.Recent = *p, 0, 0, into.Recent[:0]
		if ring != nil {
			ring.note(p, r.At)
			into.Recent = ring.read(into.Recent, r.At)
		}
		if a := s.ages[p.Series]; a != nil {
			into.Unsettled, into.Oldest = a.count, a.oldest(r.At)
		}
	}
}

func (s *Signals) cellsOf(now, judged purchase.Instant) func(purchase.Instant) []Cell {
	return func(from purchase.Instant) []Cell {
		s.mu.Lock()
		defer s.mu.Unlock()
		cells := make([]Cell, 0, len(s.cells)+len(s.others))
		for _, of := range []map[cellKey]*cell{s.cells, s.others} {
			for _, c := range of {
				buckets := c.recent(nil, now, judged)
				first, _ := slices.BinarySearchFunc(buckets, from, func(b SaleBucket, from purchase.Instant) int {
					return cmp.Compare(b.At.Add(b.Width), from+1)
				})
				if buckets = buckets[first:]; len(buckets) > 0 {
					cells = append(cells, Cell{c.key.series(), buckets})
				}
			}
		}
		return cells
	}
}

// Minutes returns, by minute, the purchases of a series that were charged in [from,
// till), at most six hours ago: for each minute one bucket, also where nothing was sold.
// The last ones are not judged yet (Readings.Judged).
func (s *Signals) Minutes(of Series, from, till purchase.Instant) []SaleBucket {
	from = max(floorTo(from, coarseWidth), floorTo(till.Add(-coarseReach), coarseWidth))
	if till <= from {
		return nil
	}
	minutes := make([]SaleBucket, 0, till.Sub(from)/coarseWidth+1)
	for at := from; at < till; at = at.Add(coarseWidth) {
		minutes = append(minutes, SaleBucket{At: at, Width: coarseWidth})
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.flows[of]
	if f == nil {
		return minutes
	}
	for _, b := range f.coarse.read(nil, from, floorTo(till.Add(coarseWidth-1), coarseWidth)) {
		if i := int(b.At.Sub(from) / coarseWidth); i < len(minutes) {
			minutes[i] = b
		}
	}
	return minutes
}

// Sold counts the purchases of a series that were charged since an instant, ten minutes
// ago at most: all, those credited, and those not credited in time. What is neither is
// still awaited. It is the SwitchConfig's Reading. A bucket of 5 s that the instant is within counts
// as before it.
func (s *Signals) Sold(of Series, since, now purchase.Instant) (paid, credited, failed int64) {
	from := max(floorTo(since.Add(fineWidth-1), fineWidth), floorTo(now.Add(-fineReach), fineWidth))
	judged := floorTo(now.Add(-s.cfg.Expected-s.cfg.Grace), fineWidth)
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.flows[of]
	if f == nil || now <= from {
		return 0, 0, 0
	}
	for _, b := range f.fine.read(nil, from, floorTo(now.Add(fineWidth), fineWidth)) {
		paid += int64(b.Paid)
		credited += int64(b.InTime) + int64(b.Late)
		if b.At.Add(b.Width) <= judged {
			failed += b.Missed()
		} else {
			failed += int64(b.Late) + int64(b.Failed)
		}
	}
	return paid, credited, failed
}

// Counts says how many series and cells are kept, and how many purchases were not
// counted in some dimension because there was no room.
func (s *Signals) Counts() (series, cells int, uncounted int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.flows), len(s.cells), s.uncounted
}
