package incident

import (
	"math"
	"math/bits"
	"time"

	"tenu/internal/purchase"
)

// odds weigh how much likelier what is seen is of something that fails than of
// something that is well, in nats (natural logarithms).
//
// The weights are summed up from the last moment at which being well was likelier
// (the CUSUM of Page 1954). If purchases failed independently with the ordinary share,
// an alarm at h would be false once in at least e^h purchases (Lorden 1971): at 14 once
// in a million at the share that is called ordinary, 1 %, and, as the same bound says with
// the root of the likelihood ratio's equation, 1.39 instead of 1, once in 280 million at
// 0.4 %. They do not fail independently: a partner that stumbles for some seconds fails
// everybody of those seconds. So what one bucket can add is bounded, and a blip is one
// piece of evidence, however many fell into it: at a bound of 3.6 an alarm at 14 needs at
// least four buckets of 5 s with failures. Nor are those independent that one customer has
// who tries a dead number again and again: each recipient counts once.
type odds struct {
	bad, good float64 // weight of one that failed, and (negative) of one that did not
	most      float64 // that one fine bucket can add; a coarse one twice as much
	alarm     float64
}

// oddsOf weighs a share of failures that is ordinary against one that is failing.
func oddsOf(ordinary, failing, most, alarm float64) odds {
	return odds{bad: math.Log(failing / ordinary), good: math.Log((1 - failing) / (1 - ordinary)), most: most, alarm: alarm}
}

// weigh is the evidence of one bucket.
func (o *odds) weigh(missed, fine int64, width time.Duration) float64 {
	most := o.most
	if width > fineWidth {
		most *= 2
	}
	return min(most, float64(missed)*o.bad+float64(fine)*o.good)
}

// evidence is what buckets say.
type evidence struct {
	score        float64
	since        purchase.Instant // of the first failure that counts
	last         purchase.Instant // end of the last bucket that speaks for failing
	paid, missed int64            // since
	who          people           // whose purchases failed
}

// fails reports whether the evidence is enough.
func (o *odds) fails(e *evidence) bool { return e.score >= o.alarm }

// add takes one more bucket into account.
func (o *odds) add(e *evidence, b *SaleBucket) {
	missed := b.Missed()
	who := e.who
	w := o.weigh(who.add(b), int64(b.Paid)-missed, b.Width)
	if e.score+w <= 0 {
		*e = evidence{last: e.last}
		return
	}
	if e.score == 0 {
		e.since = b.At
	}
	e.score += w
	e.paid, e.missed, e.who = e.paid+int64(b.Paid), e.missed+missed, who
	if w > 0 {
		e.last = b.At.Add(b.Width)
	}
}

// people are recipients whose purchases failed, as bits.
type people uint64

// add adds those of a bucket, and returns how many of its failures are of recipients
// that were not there: all, where too many bits are taken to tell.
func (p *people) add(b *SaleBucket) int64 {
	const most, crowd = 40, 32 // bits
	missed := b.Missed()
	if missed == 0 {
		return 0
	}
	who := people(b.Who &^ b.Served)
	fresh := int64(bits.OnesCount64(uint64(who &^ *p)))
	if bits.OnesCount64(uint64(*p)) > most || bits.OnesCount64(b.Served) > crowd {
		fresh = missed
	}
	*p |= who
	return min(missed, fresh)
}

// sum is the evidence of the buckets from an instant on.
func (o *odds) sum(buckets []SaleBucket, from purchase.Instant) (e evidence) {
	for i := range buckets {
		if b := &buckets[i]; b.At >= from {
			o.add(&e, b)
		}
	}
	return e
}

// answers is the evidence of a partner's answers from an instant on. A circuit that is
// not closed counts as one bad answer.
func (o *odds) answers(buckets []AnswerBucket, from purchase.Instant) (e evidence) {
	for i := range buckets {
		if b := &buckets[i]; b.At >= from {
			bad := b.bad()
			o.add(&e, &SaleBucket{At: b.At, Width: fineWidth, Paid: count32(bad + b.Good), InTime: count32(b.Good), Who: ^uint64(0)})
		}
	}
	return e
}

func (b *AnswerBucket) bad() int64 {
	bad := b.Bad + b.HeldBack
	if b.Tripped {
		bad++
	}
	return bad
}

// recovery is the same the other way round: how much likelier it is that it works,
// summed up from the last moment at which failing was likelier.
type recovery struct {
	score float64
	last  purchase.Instant // end of the last bucket that speaks for failing
}

func (o *odds) recover(r *recovery, at purchase.Instant, width time.Duration, missed, fine int64) {
	w := float64(missed)*o.bad + float64(fine)*o.good
	r.score = max(0, r.score-w)
	if w > 0 {
		r.last = at.Add(width)
	}
}

// unlikely reports whether that many failures of independent purchases with a share of
// failures have a chance below e^-nats, by Chernoff's bound of the Poisson tail.
func unlikely(c Count, share, nats float64) bool {
	mean, k := float64(c.Paid)*share, float64(c.Missed)
	return k > mean && (mean == 0 || k*math.Log(k/mean)-k+mean >= nats)
}

// above reports whether a share of a count failed, or more.
func (c Count) above(share float64) bool {
	return c.Paid > 0 && float64(c.Missed) >= share*float64(c.Paid)
}

// countFrom is what buckets count from an instant on.
func countFrom(buckets []SaleBucket, from purchase.Instant) (c Count) {
	for i := range buckets {
		if b := &buckets[i]; b.At >= from {
			c.Paid += int64(b.Paid)
			c.Missed += b.Missed()
		}
	}
	return c
}

// count is countFrom with each recipient's failures counted once.
func (p people) count(buckets []SaleBucket, from purchase.Instant) (c Count) {
	for i := range buckets {
		if b := &buckets[i]; b.At >= from {
			fresh := p.add(b)
			c.Paid += int64(b.Paid) - b.Missed() + fresh
			c.Missed += fresh
		}
	}
	return c
}

func count32(n int64) uint32 { return uint32(max(0, min(n, math.MaxUint32))) }
