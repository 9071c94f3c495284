package incident

import "tenu/internal/purchase"

// Partner is a partner as this process sees it at one moment.
type Partner struct {
	Series  Series // by payer or by provider
	Health  Health // by its own words
	Tripped bool   // its circuit is not closed
	// Answers and HeldBack are totals since the process began.
	Answers  Answers
	HeldBack int64 // calls that did not leave because of the partner's trouble
}

// Health is what a partner says of itself.
type Health uint8

// The healths. One that cannot be asked is available.
const (
	Available Health = iota
	Degraded         // works, slowly or in part
	Unavailable
)

// Answers are totals of a partner's answers by class, as its guard counts them.
type Answers struct {
	Done    int64
	Refused int64 // for what was asked
	Closed  int64 // because the partner says that it is not available
	Pending int64
	Unknown int64
	Unsent  int64
	Other   int64
}

// Bad are the answers that speak of the partner's trouble.
func (a Answers) Bad() int64 { return a.Closed + a.Unknown + a.Unsent }

// Good are the answers of a partner that does its work.
func (a Answers) Good() int64 { return a.Done + a.Refused + a.Pending + a.Other }

// AnswerBucket counts the answers that came between the readings of [At, At+5 s).
type AnswerBucket struct {
	At        purchase.Instant
	Good, Bad int64
	HeldBack  int64
	Tripped   bool // the circuit was not closed at a reading
}

// PartnerReading is a partner with what came of it lately.
type PartnerReading struct {
	Partner
	// Unsettled are the purchases that wait for it: for a charge or a refund of a
	// payer, for a credit of a provider. Oldest is when the oldest of them was
	// charged, or begun where it is not yet; 0 where there is none.
	Unsettled int64
	Oldest    purchase.Instant
	Recent    []AnswerBucket // of the last ten minutes, those that count something
}

// answerRing keeps the answers of one partner by the time of reading.
type answerRing struct {
	good, bad, held int64 // totals at the last reading
	known           bool
	slots           []answerSlot
}

type answerSlot struct {
	epoch int64
	AnswerBucket
}

// maxPartners bounds the partners that are kept.
const maxPartners = 256

// note counts what came since the last reading. Totals that went down are those of a
// guard that began anew.
func (r *answerRing) note(p *Partner, now purchase.Instant) {
	good, bad, held := p.Answers.Good(), p.Answers.Bad(), p.HeldBack
	epoch := epochOf(now, fineWidth)
	s := &r.slots[turn(epoch, len(r.slots))]
	if s.epoch != epoch || s.At == 0 {
		*s = answerSlot{epoch, AnswerBucket{At: purchase.Instant(epoch * fineWidth.Microseconds())}}
	}
	if r.known {
		since := func(now, then int64) int64 {
			if now < then {
				return now
			}
			return now - then
		}
		s.Good += since(good, r.good)
		s.Bad += since(bad, r.bad)
		s.HeldBack += since(held, r.held)
	}
	s.Tripped = s.Tripped || p.Tripped
	r.good, r.bad, r.held, r.known = good, bad, held, true
}

// read appends the last ten minutes' buckets, oldest first.
func (r *answerRing) read(into []AnswerBucket, now purchase.Instant) []AnswerBucket {
	last := epochOf(now, fineWidth)
	first := last - int64(fineReach/fineWidth)
	for epoch, i := first, turn(first, len(r.slots)); epoch <= last; epoch++ {
		s := &r.slots[i]
		if s.epoch == epoch && (s.Good != 0 || s.Bad != 0 || s.HeldBack != 0 || s.Tripped) {
			into = append(into, s.AnswerBucket)
		}
		if i++; i == len(r.slots) {
			i = 0
		}
	}
	return into
}
