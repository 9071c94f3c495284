package incident

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"tenu/internal/purchase"
)

// DetectorConfig is what a detector goes by. Everything has a default.
type DetectorConfig struct {
	// Objective is the share of purchases that should be credited in time (default 0.995).
	// What is left of 1 is the error budget; twice the budget is taken for ordinary.
	Objective float64
	// Failing is the share of purchases not credited in time that the absolute rule
	// looks for (default 0.2). Lower ones are the burn rules'.
	Failing float64
	// Alarm is how much evidence the rules for a few minutes need, in nats (default 14).
	Alarm float64
	// Blip bounds the evidence of one bucket of 5 s, in nats (default 3.6).
	Blip float64
	// DegradedFor is how long a partner may call itself degraded while nothing else
	// speaks against it (default 10 min).
	DegradedFor time.Duration
	// Centre names the series of the messages (default "sms").
	Centre string
	// MaxSeries bounds the series whose rhythm is learnt (default 1 000).
	MaxSeries int
}

func (c *DetectorConfig) fill() {
	for _, f := range []struct {
		of        *float64
		otherwise float64
	}{{&c.Objective, 0.995}, {&c.Failing, 0.2}, {&c.Alarm, 14}, {&c.Blip, 3.6}} {
		if *f.of == 0 {
			*f.of = f.otherwise
		}
	}
	if c.DegradedFor == 0 {
		c.DegradedFor = 10 * time.Minute
	}
	if c.Centre == "" {
		c.Centre = "sms"
	}
	if c.MaxSeries == 0 {
		c.MaxSeries = 1000
	}
}

// Check says what is wrong with the configuration.
func (c DetectorConfig) Check() error {
	c.fill()
	switch {
	case !(c.Objective >= 0.95 && c.Objective < 1):
		return errors.New("detector: the objective must be from 0.95 to below 1")
	case !(c.Failing >= 4*(1-c.Objective) && c.Failing <= 0.9):
		return errors.New("detector: failing must be from four error budgets to 0.9")
	case !(c.Blip > 0 && c.Blip <= c.Alarm && c.Alarm <= 100):
		return errors.New("detector: the alarm must be at most 100, and a blip no more than the alarm")
	case c.DegradedFor < 0 || c.MaxSeries < 1:
		return errors.New("detector: no time and no number may be negative")
	}
	return nil
}

// Detector finds by readings what fails, and what does so no more. It knows no clock and
// no chance: the same readings in the same order make the same findings. Safe for
// concurrent use.
type Detector struct {
	cfg      DetectorConfig
	budget   float64
	bought   odds // of purchases
	answered odds // of partners' answers
	brought  odds // of messages
	known    odds // of lines, by the providers

	mu        sync.Mutex
	last      purchase.Instant
	active    map[Series]*active
	floor     purchase.Instant // purchases charged before it are explained
	undecided purchase.Instant // since when something fails whose cause is not clear
	disturbed purchase.Instant // when something failed or was paused last
	partners  map[Series]*standing
	rhythms   map[Series]*rhythm
}

// active is a finding that lasts.
type active struct {
	Finding
	total int64 // of the series when it was found
}

// standing is since when a partner has been well or not by its own words.
type standing struct {
	health Health
	since  purchase.Instant
}

const (
	// recovered is how much evidence, in nats, says that something works again.
	recovered = 5
	// calm is for how long nothing may speak for failing before it is called well.
	calm = time.Minute
	// calmAnswers is the same for a partner by its answers and its own words.
	calmAnswers = 30 * time.Second
	// waiting is how many purchases must wait for a partner before its answers count: one
	// bad order that is tried again and again says nothing of the partner.
	waiting = 3
	// leap is from when on the clock is taken to have been set.
	leap = time.Minute
)

// NewDetector returns a detector that has found nothing. The configuration must pass
// its Check.
func NewDetector(cfg DetectorConfig) *Detector {
	cfg.fill()
	budget := 1 - cfg.Objective
	return &Detector{cfg: cfg, budget: budget,
		bought:   oddsOf(2*budget, cfg.Failing, cfg.Blip, cfg.Alarm),
		answered: oddsOf(0.05, 0.5, cfg.Blip, cfg.Alarm),
		brought:  oddsOf(0.05, 0.4, cfg.Blip, cfg.Alarm),
		known:    oddsOf(0.3, 0.9, cfg.Blip, cfg.Alarm),
		active:   map[Series]*active{}, partners: map[Series]*standing{}, rhythms: map[Series]*rhythm{}}
}

// Step takes readings into account and returns what is newly found: series that
// fail, and series that do so no more (Well), each at most once. It should be called
// every few seconds. The readings may be used again afterwards.
func (d *Detector) Step(now purchase.Instant, r Readings) []Finding {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.clock(now)
	if len(r.Paused) > 0 {
		d.disturbed = now
	}
	lasting := d.lasting()
	d.checkPartners(now, &r)
	d.checkPurchases(now, &r)
	d.checkLines(now, &r)
	d.checkSilence(now, &r)
	d.checkNotices(now, &r)
	var findings []Finding
	for _, f := range d.lasting() {
		if !slices.ContainsFunc(lasting, func(g Finding) bool { return g.Series == f.Series }) {
			findings = append(findings, f)
		}
	}
	for _, f := range lasting {
		if d.works(now, &r, d.active[f.Series]) {
			f.At, f.Well = now, true
			findings = append(findings, f)
			d.end(f.Series, r.Judged)
		}
	}
	if d.failing() {
		d.disturbed = now
	}
	d.last = now
	return findings
}

// clock makes nothing lie in the future when the clock was set back, and trusts no
// rhythm over a time that nobody saw.
func (d *Detector) clock(now purchase.Instant) {
	if now < d.last {
		d.floor, d.undecided, d.disturbed = min(d.floor, now), min(d.undecided, now), min(d.disturbed, now)
		for _, a := range d.active {
			a.At, a.Since = min(a.At, now), min(a.Since, now)
		}
		for _, s := range d.partners {
			s.since = min(s.since, now)
		}
	}
	if d.last != 0 && (now < d.last || now.Sub(d.last) > leap) {
		d.disturbed = now
	}
}

// Active returns what fails, as it was found, sorted by series.
func (d *Detector) Active() []Finding {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.lasting()
}

func (d *Detector) lasting() []Finding {
	if len(d.active) == 0 {
		return nil
	}
	findings := make([]Finding, 0, len(d.active))
	for _, a := range d.active {
		findings = append(findings, a.Finding)
	}
	slices.SortFunc(findings, func(a, b Finding) int { return a.Series.compare(b.Series) })
	return findings
}

// Well reports whether nothing was found of the series that lasts.
func (d *Detector) Well(s Series) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.active[s] == nil
}

// End forgets a finding, because a person or a probe says that the series works. It
// is found again if purchases that are charged from now on fail.
func (d *Detector) End(s Series, now purchase.Instant) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.active[s] != nil {
		d.end(s, now)
	}
}

func (d *Detector) end(s Series, explained purchase.Instant) {
	if s.By != ByCentre {
		d.floor = max(d.floor, explained)
	}
	delete(d.active, s)
}

// failing reports whether something fails that purchases need.
func (d *Detector) failing() bool {
	for s := range d.active {
		if s.By != ByCentre {
			return true
		}
	}
	return false
}

// find keeps a finding, if the series is not failing already.
func (d *Detector) find(f *Finding, total int64) {
	if d.active[f.Series] == nil {
		d.active[f.Series] = &active{*f, total}
	}
}

// checkPartners looks at what partners answer, and at what they say of themselves.
func (d *Detector) checkPartners(now purchase.Instant, r *Readings) {
	for i := range r.Partners {
		p := &r.Partners[i]
		s := d.partners[p.Series]
		if s == nil {
			if len(d.partners) >= maxPartners {
				continue
			}
			s = &standing{p.Health, now}
			d.partners[p.Series] = s
		}
		if s.health != p.Health {
			*s = standing{p.Health, now}
		}
		e := d.answered.answers(p.Recent, d.floor)
		f := Finding{Series: p.Series, Since: e.since, At: now, Paid: e.paid, Failed: e.missed}
		switch {
		case p.Health == Unavailable:
			f.Rule, f.Since, f.Paid, f.Failed = RuleHeartbeat, s.since, 0, 0
			f.Detail = "it says that it is unavailable"
		case d.answered.fails(&e) && p.Unsettled >= waiting && now.Sub(e.last) <= calmAnswers:
			f.Rule = RuleAnswers
			if early := e.since.Add(-calm); p.Oldest > early { // its purchase was charged before the first bad answer
				f.Since = min(f.Since, p.Oldest)
			}
			f.Detail = fmt.Sprintf("%d of %d answers say nothing or do not come, %d purchases wait for it", e.missed, e.paid, p.Unsettled)
		case p.Health == Degraded && now.Sub(s.since) >= d.cfg.DegradedFor:
			f.Rule, f.Since, f.Paid, f.Failed = RuleHeartbeat, s.since, 0, 0
			f.Detail = fmt.Sprintf("it has said for %s that it is degraded", now.Sub(s.since).Round(time.Second))
		case p.Health == Degraded && (e.score >= d.cfg.Alarm/2 || d.halfFails(r, p.Series)):
			f.Rule, f.Since = RuleHeartbeat, s.since
			f.Detail = "it says that it is degraded, and purchases or calls fail"
		default:
			continue
		}
		d.find(&f, 0)
	}
}

// halfFails reports whether half the evidence is there that purchases of the series fail.
func (d *Detector) halfFails(r *Readings, s Series) bool {
	for i := range r.Series {
		if r.Series[i].Series == s {
			e := d.bought.sum(r.Series[i].Recent, d.floor)
			return e.score >= d.cfg.Alarm/2
		}
	}
	return false
}

// checkNotices looks at whether messages are brought.
func (d *Detector) checkNotices(now purchase.Instant, r *Readings) {
	e := d.brought.sum(r.Notices, 0)
	if a := d.active[d.centre()]; a == nil && d.brought.fails(&e) {
		d.find(&Finding{Series: d.centre(), Rule: RuleNotices, Since: e.since, At: now, Paid: e.paid, Failed: e.missed,
			Detail: fmt.Sprintf("%d of %d messages could not be brought", e.missed, e.paid)}, 0)
	}
}

// checkLines looks for providers that refuse nearly every line as unknown or barred, as one that lost its subscribers would.
// Customers who mistype, dead numbers and a list of old ones are far from that.
func (d *Detector) checkLines(now purchase.Instant, r *Readings) {
	for i := range r.Series {
		s := &r.Series[i]
		if len(s.Lines) == 0 || d.active[s.Series] != nil {
			continue
		}
		if e := d.known.sum(s.Lines, d.floor); d.known.fails(&e) {
			d.find(&Finding{Series: s.Series, Rule: RuleLines, Since: e.since, At: now, Paid: e.paid, Failed: e.missed,
				Detail: fmt.Sprintf("%d of %d lines were refused as unknown or barred", e.missed, e.paid)}, 0)
		}
	}
}

func (d *Detector) centre() Series { return Series{ByCentre, d.cfg.Centre} }

// works reports whether what was found fails no more.
func (d *Detector) works(now purchase.Instant, r *Readings, a *active) bool {
	if a == nil {
		return false
	}
	var partner *PartnerReading
	for i := range r.Partners {
		if r.Partners[i].Series == a.Series {
			partner = &r.Partners[i]
		}
	}
	if partner != nil && !d.answers(now, partner, a) {
		return false
	}
	switch a.Rule {
	case RuleNotices:
		return d.brought.recovered(r.Notices, a.At, now)
	case RuleAnswers, RuleHeartbeat:
		return partner != nil
	default: // of purchases
	}
	for i := range r.Series {
		s := &r.Series[i]
		if s.Series != a.Series {
			continue
		}
		if a.Rule == RuleSilence {
			return s.Total >= a.total+3 && now.Sub(s.LastPaid) < calm
		}
		if a.Rule == RuleLines {
			return len(s.Lines) == 0 || d.known.recovered(s.Lines, a.At, r.Judged)
		}
		if s.Hour.Missed < MinMissed && len(s.Recent) == 0 {
			return float64(s.Hour.Missed)*d.bought.bad+float64(s.Hour.Paid-s.Hour.Missed)*d.bought.good <= -recovered
		}
		return d.bought.recovered(s.Recent, a.At, r.Judged)
	}
	return false
}

// answers reports whether a partner does its work by its words and answers: where it
// was found by its answers, good ones must have come since.
func (d *Detector) answers(now purchase.Instant, p *PartnerReading, a *active) bool {
	if s := d.partners[p.Series]; s != nil && s.health != Available || s != nil && s.since > a.Since && now.Sub(s.since) < calmAnswers {
		return false
	}
	var back recovery
	for i := range p.Recent {
		if b := &p.Recent[i]; b.At.Add(fineWidth) > a.At {
			d.answered.recover(&back, b.At, fineWidth, b.bad(), b.Good)
		}
	}
	if p.Tripped || back.last != 0 && now.Sub(back.last) < calmAnswers {
		return false
	}
	return a.Rule != RuleAnswers || back.score >= recovered
}

// recovered reports whether purchases since an instant say that it works again.
func (o *odds) recovered(buckets []SaleBucket, from, now purchase.Instant) bool {
	var back recovery
	for i := range buckets {
		if b := &buckets[i]; b.At.Add(b.Width) > from {
			o.recover(&back, b.At, b.Width, b.Missed(), int64(b.Paid)-b.Missed())
		}
	}
	return back.score >= recovered && now.Sub(max(back.last, from)) >= calm
}

// The burn rules of the Site Reliability Workbook, chapter 5: a multiple of the error
// budget over a long and a short window. The failures must in both be more than
// chance makes of an ordinary share, or the first failure of a quiet night would do; and
// in the short one they must lie in several buckets, or one blip would do.
const (
	burntBuckets = 5

	fastBurn, slowBurn   = 14.4, 6.0
	fastShort, slowShort = 5 * time.Minute, 30 * time.Minute
)

var likelyLong, likelyShort = -math.Log(1e-7), -math.Log(1e-5)

// burns reports whether both windows burn the budget by a multiple, the short one
// for several recipients.
func (d *Detector) burns(times float64, long Count, buckets []SaleBucket, short purchase.Instant) bool {
	if !long.above(times*d.budget) || !unlikely(long, 2*d.budget, likelyLong) {
		return false
	}
	failing := 0
	for i := range buckets {
		if b := &buckets[i]; b.At >= short && b.Missed() > 0 {
			failing++
		}
	}
	c := people(0).count(buckets, short)
	return failing >= burntBuckets && c.above(times*d.budget) && unlikely(c, 2*d.budget, likelyShort)
}
