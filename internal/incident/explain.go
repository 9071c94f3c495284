package incident

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"tenu/internal/purchase"
)

// suspect is a series that may be the cause of failures.
type suspect struct {
	series Series
	rule   Rule // "" as long as there is not enough evidence
	evidence
	in     Count   // of what is to be explained
	likely float64 // how likely the failures are if it is the cause, in nats
}

// checkPurchases looks for series whose purchases are not credited in time. When a
// provider fails, its products, channels and operators do so too: what is reported
// is the cause that explains the failures best, and then what is left unexplained.
func (d *Detector) checkPurchases(now purchase.Instant, r *Readings) {
	fires, slow := false, false
	for i := range r.Series {
		s := &r.Series[i]
		if len(s.Recent) == 0 || d.active[s.Series] != nil {
			continue
		}
		e := d.bought.sum(s.Recent, d.floor)
		fires = fires || d.rule(&e, s.Recent, r.Judged) != ""
		slow = slow || d.burns(slowBurn, s.Long, s.Recent, max(d.floor, r.Judged.Add(-slowShort)))
	}
	if !fires && !slow {
		d.undecided = 0
		return
	}
	if fires && r.Cells != nil {
		d.explain(now, r)
	}
	if slow && !fires && !d.failing() {
		d.explainSlow(now, r)
	}
}

// rule is the rule by which buckets of purchases fail, "" for none.
func (d *Detector) rule(e *evidence, buckets []SaleBucket, judged purchase.Instant) Rule {
	if d.bought.fails(e) {
		return RuleAbsolute
	}
	long := countFrom(buckets, max(d.floor, judged.Add(-time.Hour)))
	if d.burns(fastBurn, long, buckets, max(d.floor, judged.Add(-fastShort))) {
		return RuleFastBurn
	}
	return ""
}

// explain finds causes until nothing is left that fails.
func (d *Detector) explain(now purchase.Instant, r *Readings) {
	const most = 4 // causes in one step
	cells := slices.Clone(r.Cells(max(d.floor, r.Judged.Add(-time.Hour))))
	for s := range d.active {
		cells = without(cells, s)
	}
	for range most {
		causes := d.causes(now, cells, r.Judged)
		if len(causes) == 0 {
			return
		}
		for i := range causes {
			c := &causes[i]
			f := Finding{Series: c.series, Rule: c.rule, Since: c.since, At: now, Paid: c.paid, Failed: c.missed,
				Detail: fmt.Sprintf("%d of %d purchases charged since %s were not credited in time", c.missed, c.paid, c.since)}
			d.find(&f, 0)
			cells = without(cells, c.series)
		}
	}
}

// without are the cells that are not of the series.
func without(cells []Cell, s Series) []Cell {
	return slices.DeleteFunc(cells, func(c Cell) bool { return c.In(s) })
}

// causes is what fails for itself in the cells: one series, or, where all fail alike,
// every provider; none as long as that is not clear.
func (d *Detector) causes(now purchase.Instant, cells []Cell, judged purchase.Instant) []suspect {
	suspects := d.suspects(cells, judged)
	since, proven := judged, false
	var score float64
	for _, s := range suspects {
		if s.rule != "" {
			proven, score = true, max(score, s.score)
		}
		if s.rule != "" || s.score >= d.cfg.Alarm/2 {
			since = min(since, s.since)
		}
	}
	if !proven {
		return nil
	}
	whole := d.likelihoods(cells, suspects, since)
	slices.SortStableFunc(suspects, func(a, b suspect) int { return cmp.Compare(b.likely, a.likely) })
	all := whole > suspects[0].likely+clearly
	if all {
		providers := slices.DeleteFunc(slices.Clone(suspects), func(s suspect) bool { return s.rule == "" || s.series.By != ByProvider })
		if len(providers) > 1 {
			return providers
		}
	}
	if (all || !evident(suspects)) && score < sure*d.cfg.Alarm {
		if d.undecided == 0 {
			d.undecided = now
		}
		if now.Sub(d.undecided) < patience {
			return nil
		}
	}
	d.undecided = 0
	i := slices.IndexFunc(suspects, func(s suspect) bool { return s.rule != "" })
	return suspects[i : i+1]
}

// A cause is evident when it is likelier by so many nats than any other one that is of
// other purchases. When it is not, more evidence is waited for: until there is sure times
// as much as an alarm needs, or patience ends.
const (
	clearly  = 3
	sure     = 1.8
	patience = 20 * time.Minute
)

// evident reports whether the likeliest of suspects is proven, and clearly the cause.
func evident(suspects []suspect) bool {
	best := suspects[0]
	for _, s := range suspects[1:] {
		if s.in != best.in {
			return best.rule != "" && best.likely-s.likely >= clearly
		}
	}
	return best.rule != ""
}

// suspects are the series that cells with failures are of, with their evidence.
func (d *Detector) suspects(cells []Cell, judged purchase.Instant) []suspect {
	var suspects []suspect
	seen := map[Series]bool{}
	for i := range cells {
		if countFrom(cells[i].Buckets, 0).Missed == 0 {
			continue
		}
		for _, s := range cells[i].Of {
			if s.Name == "" || seen[s] {
				continue
			}
			seen[s] = true
			buckets := merged(cells, s)
			e := d.bought.sum(buckets, d.floor)
			rule := d.rule(&e, buckets, judged)
			if rule == RuleFastBurn {
				e = burnt(buckets, max(d.floor, judged.Add(-time.Hour)))
			}
			suspects = append(suspects, suspect{series: s, rule: rule, evidence: e})
		}
	}
	slices.SortFunc(suspects, func(a, b suspect) int { return a.series.compare(b.series) })
	return suspects
}

// burnt is the evidence of a burn rule: all of the long window.
func burnt(buckets []SaleBucket, from purchase.Instant) (e evidence) {
	for i := range buckets {
		b := &buckets[i]
		if b.At < from || e.since == 0 && b.Missed() == 0 {
			continue
		}
		if e.since == 0 {
			e.since = b.At
		}
		e.paid, e.missed = e.paid+int64(b.Paid), e.missed+b.Missed()
	}
	return e
}

// merged are the buckets of the cells that are of a series.
func merged(cells []Cell, s Series) []SaleBucket {
	at := map[purchase.Instant]int{}
	var buckets []SaleBucket
	for i := range cells {
		if !cells[i].In(s) {
			continue
		}
		for _, b := range cells[i].Buckets {
			j, ok := at[b.At]
			if !ok {
				at[b.At] = len(buckets)
				buckets = append(buckets, b)
				continue
			}
			m := &buckets[j]
			m.Paid, m.InTime, m.Late, m.Failed, m.Who = m.Paid+b.Paid, m.InTime+b.InTime, m.Late+b.Late, m.Failed+b.Failed, m.Who|b.Who
			m.Served |= b.Served
		}
	}
	slices.SortFunc(buckets, func(a, b SaleBucket) int { return int(max(-1, min(1, a.At-b.At))) })
	return buckets
}

// likelihoods says of each suspect how likely the failures since an instant are if it
// fails and everything else is as usual, and returns it for everything failing alike.
func (d *Detector) likelihoods(cells []Cell, suspects []suspect, since purchase.Instant) (whole float64) {
	counts := make([]Count, len(cells))
	var all Count
	for i := range cells {
		counts[i] = people(0).count(cells[i].Buckets, since)
		all = all.plus(counts[i])
	}
	for i := range suspects {
		var in Count
		for j := range cells {
			if cells[j].In(suspects[i].series) {
				in = in.plus(counts[j])
			}
		}
		suspects[i].in, suspects[i].likely = in, d.likelihood(in, all)-handicap(suspects[i].series.By)
	}
	return d.likelihood(all, all)
}

func (d *Detector) likelihood(in, all Count) float64 {
	ordinary := 2 * d.budget
	share := float64(in.Missed) / max(1, float64(in.Paid))
	if share < 3*ordinary {
		share = ordinary
	}
	return in.log(share) + Count{all.Paid - in.Paid, all.Missed - in.Missed}.log(ordinary)
}

// log is the logarithm of a count's likelihood if a share fails.
func (c Count) log(share float64) float64 {
	share = min(share, 0.999)
	return float64(c.Missed)*math.Log(share) + float64(c.Paid-c.Missed)*math.Log(1-share)
}

// handicap is how much less likely a dimension is the cause before anything is known:
// partners fail more often than single products, and where one provider has a single
// product, it is said to be the provider.
func handicap(by Dimension) float64 {
	switch by {
	case ByProvider:
		return 0
	case ByPayer:
		return 1
	case ByProduct, ByChannel, ByOperator, ByCentre:
	}
	return 2
}

// explainSlow finds the cause of what burns the budget slowly, by the totals of six hours.
func (d *Detector) explainSlow(now purchase.Instant, r *Readings) {
	var all Count
	for i := range r.Series {
		if r.Series[i].By == ByProvider {
			all = all.plus(r.Series[i].Long)
		}
	}
	var best suspect
	for i := range r.Series {
		s := &r.Series[i]
		if !d.burns(slowBurn, s.Long, s.Recent, max(d.floor, r.Judged.Add(-slowShort))) {
			continue
		}
		c := suspect{series: s.Series, evidence: burnt(s.Recent, d.floor), likely: d.likelihood(s.Long, all) - handicap(s.By)}
		if best.series.By == 0 || c.likely > best.likely {
			best = c
		}
	}
	if best.series.By == 0 {
		return
	}
	of, ok := d.recentCause(r, best.series)
	if !ok {
		return
	}
	f := Finding{Series: of, Rule: RuleSlowBurn, Since: best.since, At: now}
	for i := range r.Series {
		if s := &r.Series[i]; s.Series == of {
			f.Paid, f.Failed = s.Long.Paid, s.Long.Missed
		}
	}
	f.Detail = fmt.Sprintf("%d of %d purchases of six hours were not credited in time", f.Failed, f.Paid)
	d.find(&f, 0)
}

// recentCause is the likeliest cause of the last hour's failures, if a series is about
// as likely: a small series burns its budget by the failures of a large one before
// that does.
func (d *Detector) recentCause(r *Readings, of Series) (Series, bool) {
	if r.Cells == nil {
		return of, true
	}
	since := max(d.floor, r.Judged.Add(-time.Hour))
	cells := r.Cells(since)
	suspects := d.suspects(cells, r.Judged)
	d.likelihoods(cells, suspects, since)
	best, likely := suspect{likely: math.Inf(-1)}, math.Inf(-1)
	for _, s := range suspects {
		if s.likely > best.likely {
			best = s
		}
		if s.series == of {
			likely = s.likely
		}
	}
	return best.series, best.series.By != 0 && likely >= best.likely-clearly
}
