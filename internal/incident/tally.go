package incident

import (
	"time"

	"tenu/internal/purchase"
)

// SaleBucket counts the purchases that were charged in [At, At+Width).
type SaleBucket struct {
	At     purchase.Instant
	Width  time.Duration
	Paid   uint32
	InTime uint32 // of Paid, credited within Signals' Expected of the charge
	Late   uint32 // credited after that
	Failed uint32 // the money goes back, or went back
	// Who has a bit for each recipient, Served one for each who was credited in time. There
	// are 64 bits, which recipients share by chance: several bits are several recipients.
	Who, Served uint64
}

// Missed is how many were not credited in time. It is final only in buckets that are
// wholly before Readings.Judged.
func (b *SaleBucket) Missed() int64 { return int64(b.Paid) - min(int64(b.InTime), int64(b.Paid)) }

// Open is how many are neither credited nor given back yet.
func (b *SaleBucket) Open() int64 {
	return max(0, int64(b.Paid)-int64(b.InTime)-int64(b.Late)-int64(b.Failed))
}

// Share is the share of the paid purchases of some buckets that were credited in
// time, and how many were paid: the availability of what they count. It is 1 of 0.
func Share(buckets []SaleBucket) (share float64, paid int64) {
	var missed int64
	for i := range buckets {
		paid += int64(buckets[i].Paid)
		missed += buckets[i].Missed()
	}
	if paid == 0 {
		return 1, 0
	}
	return 1 - float64(missed)/float64(paid), paid
}

// The buckets that are kept. The fine ones reach a little further back than they
// are read, so that there is no gap before the coarse ones.
const (
	fineWidth   = 5 * time.Second
	fineReach   = 10 * time.Minute
	fineSlots   = int((fineReach + 2*time.Minute) / fineWidth)
	coarseWidth = time.Minute
	coarseReach = 6 * time.Hour
	coarseSlots = int(coarseReach/coarseWidth) + 2
	// recentReach is how far back single buckets are read for the rules.
	recentReach = time.Hour
	recentSlots = int(recentReach/coarseWidth) + 2
)

// tallySlot is one bucket of a ring. epoch is its time in widths, so that a slot that was
// not written for a whole turn, or by a clock that stood elsewhere, is known.
type tallySlot struct {
	epoch                      int64
	paid, inTime, late, failed uint32
	who, served                uint64
}

// tallies is a ring of buckets by charge time.
type tallies struct {
	width time.Duration
	slots []tallySlot
}

func newTallies(width time.Duration, slots int) tallies {
	return tallies{width, make([]tallySlot, slots)}
}

// epochOf is an instant in whole widths, rounded down also before 1970.
func epochOf(at purchase.Instant, width time.Duration) int64 {
	w := width.Microseconds()
	e := int64(at) / w
	if int64(at)%w < 0 {
		e--
	}
	return e
}

func floorTo(at purchase.Instant, width time.Duration) purchase.Instant {
	return purchase.Instant(epochOf(at, width) * width.Microseconds())
}

// turn is where an epoch lies in a ring of n slots.
func turn(epoch int64, n int) int {
	i := int(epoch % int64(n))
	if i < 0 {
		i += n
	}
	return i
}

func (r *tallies) place(epoch int64) *tallySlot { return &r.slots[turn(epoch, len(r.slots))] }

// span is the epochs of [from, till), both whole widths, that the ring can hold, and
// where the first one lies.
func (r *tallies) span(from, till purchase.Instant) (first, last int64, i int) {
	last = epochOf(till, r.width)
	first = max(epochOf(from, r.width), last-int64(len(r.slots)))
	return first, last, turn(first, len(r.slots))
}

// find is the bucket of an instant, nil when it is not kept any more.
func (r *tallies) find(at purchase.Instant) *tallySlot {
	epoch := epochOf(at, r.width)
	if s := r.place(epoch); s.epoch == epoch {
		return s
	}
	return nil
}

// begin is the bucket of an instant, emptied if it was another one's.
func (r *tallies) begin(at purchase.Instant) *tallySlot {
	epoch := epochOf(at, r.width)
	s := r.place(epoch)
	if s.epoch != epoch {
		*s = tallySlot{epoch: epoch}
	}
	return s
}

// read appends the buckets of [from, till) that count something, oldest first. Both
// must be whole widths.
func (r *tallies) read(into []SaleBucket, from, till purchase.Instant) []SaleBucket {
	first, last, i := r.span(from, till)
	for epoch := first; epoch < last; epoch++ {
		if s := &r.slots[i]; s.epoch == epoch && s.paid > 0 {
			into = append(into, SaleBucket{At: purchase.Instant(epoch * r.width.Microseconds()), Width: r.width,
				Paid: s.paid, InTime: s.inTime, Late: s.late, Failed: s.failed, Who: s.who, Served: s.served})
		}
		if i++; i == len(r.slots) {
			i = 0
		}
	}
	return into
}

// sum is what was paid and missed in [from, till), both whole widths.
func (r *tallies) sum(from, till purchase.Instant) (c Count) {
	first, last, i := r.span(from, till)
	for epoch := first; epoch < last; epoch++ {
		if s := &r.slots[i]; s.epoch == epoch {
			c.Paid += int64(s.paid)
			c.Missed += int64(s.paid - min(s.inTime, s.paid))
		}
		if i++; i == len(r.slots) {
			i = 0
		}
	}
	return c
}

// Count is purchases that were paid, and how many of them were not credited in time.
type Count struct{ Paid, Missed int64 }

func (c Count) plus(d Count) Count { return Count{c.Paid + d.Paid, c.Missed + d.Missed} }

// part is one thing that a purchase is counted as.
type part uint8

const (
	asPaid part = iota
	asInTime
	asLate
	asFailed
	asTaken // paid here, and another process's since: not counted any more
)

// tally is what is counted for a series, or for what series have in common.
type tally struct {
	fine, coarse tallies
	used         purchase.Instant // when something was last counted
}

func newTally(coarse int) tally {
	return tally{fine: newTallies(fineWidth, fineSlots), coarse: newTallies(coarseWidth, coarse)}
}

// count counts a purchase that was charged at an instant. Only a charge makes a bucket:
// what becomes of a purchase whose bucket is gone is not counted.
func (t *tally) count(p part, charged, now purchase.Instant, who uint64) {
	t.used = now
	for _, r := range []*tallies{&t.fine, &t.coarse} {
		if p == asPaid {
			s := r.begin(charged)
			s.paid++
			s.who |= who
			continue
		}
		s := r.find(charged)
		if s == nil {
			continue
		}
		switch p {
		case asInTime:
			s.inTime++
			s.served |= who
		case asLate:
			s.late++
		case asFailed:
			s.failed++
		case asTaken:
			s.paid -= min(s.paid, 1)
		case asPaid:
		}
	}
}

// joint is where reading goes from coarse to fine buckets.
func joint(now purchase.Instant) purchase.Instant { return floorTo(now.Add(-fineReach), coarseWidth) }

// recent appends the last hour's buckets that are before till: by minute, then fine.
func (t *tally) recent(into []SaleBucket, now, till purchase.Instant) []SaleBucket {
	j := joint(now)
	into = t.coarse.read(into, floorTo(now.Add(-recentReach), coarseWidth), min(j, floorTo(till, coarseWidth)))
	return t.fine.read(into, j, till)
}
