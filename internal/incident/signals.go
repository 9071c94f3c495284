package incident

import (
	"errors"
	"sync"
	"time"

	"tenu/internal/purchase"
)

// SignalsConfig is what signals are made from. Everything has a default.
type SignalsConfig struct {
	// Expected is within what time of its charge a purchase should be credited (default 10 s).
	Expected time.Duration
	// Grace is how long after that it may take until a credit in time is committed and
	// counted (default 1 s).
	Grace time.Duration
	// Operator is the operator of a recipient, "" where it is not known. It is called
	// under the engine's lock and must be cheap. Nil: none is known.
	Operator func(purchase.MSISDN) string
	// Partners tells how the partners are seen, at each reading. Nil: nobody is asked.
	Partners func() []Partner
	// Paused tells which series are not sold for now, at each reading. Nil: none.
	Paused func() []Series
	// MaxSeries bounds the series that are counted (default 1 000). A purchase of one
	// beyond is counted under its other dimensions only. Those of which nothing was
	// sold for six hours make room for others.
	MaxSeries int
}

// Check says what is wrong with the configuration.
func (c SignalsConfig) Check() error {
	c.fill()
	switch {
	case c.Expected < time.Second || c.Expected > 5*time.Minute:
		return errors.New("signals: expected must be between 1 s and 5 min")
	case c.Grace < 0 || c.Grace > time.Minute:
		return errors.New("signals: grace must be between 0 and 1 min")
	case c.MaxSeries < 1:
		return errors.New("signals: at least one series must be counted")
	}
	return nil
}

func (c *SignalsConfig) fill() {
	if c.Expected == 0 {
		c.Expected = 10 * time.Second
	}
	if c.Grace == 0 {
		c.Grace = time.Second
	}
	if c.MaxSeries == 0 {
		c.MaxSeries = 1000
	}
	if c.Operator == nil {
		c.Operator = func(purchase.MSISDN) string { return "" }
	}
}

// Signals counts what this process sees of purchases, messages and partners, in
// memory that is bounded whatever comes in. An Exchange adds the purchases that other nodes
// saw. It is empty when a process begins. Safe for concurrent use.
type Signals struct {
	cfg SignalsConfig

	mu        sync.Mutex
	flows     map[Series]*flow
	order     []*flow // sorted by series; nil when a flow came or went
	cells     map[cellKey]*cell
	others    map[cellKey]*cell // what other nodes told, of the same flows
	ages      map[Series]*ages
	notices   tally
	answers   map[Series]*answerRing
	swept     purchase.Instant
	uncounted int64
}

// flow is the purchases of one series.
type flow struct {
	series Series
	tally
	total    int64            // paid, since it is counted
	lastPaid purchase.Instant // when the last one was charged
	sums     cached
	// lines are those of a provider that it refused for the recipient's line: they are no failure of its, and not paid here.
	// nil where there was none yet.
	lines *tally
}

// cached is what of a flow is summed up anew once a minute only. What a commit that
// came late changes in it is seen then.
type cached struct {
	minute int64            // of the reading, in minutes
	hour   Count            // from an hour ago to the fine buckets
	long   Count            // from six hours ago to the fine buckets
	fine   Count            // of the fine buckets
	till   purchase.Instant // before it
}

// cellKey is the series that a purchase is of, by dimension.
type cellKey struct{ product, provider, payer, channel, operator string }

// series are the key's, in the order of the dimensions.
func (k *cellKey) series() [5]Series {
	return [5]Series{{ByProduct, k.product}, {ByProvider, k.provider}, {ByPayer, k.payer}, {ByChannel, k.channel}, {ByOperator, k.operator}}
}

// cell is the purchases that are the same in every dimension: by them one cause is
// told from another.
type cell struct {
	key   cellKey
	flows [5]*flow // nil where the series is not counted
	tally
}

// maxCells bounds the cells; purchases beyond are counted by series only.
const maxCells = 4096

// NewSignals returns signals that have seen nothing yet. The configuration must pass
// its Check.
func NewSignals(cfg SignalsConfig) *Signals {
	cfg.fill()
	return &Signals{cfg: cfg, flows: map[Series]*flow{}, cells: map[cellKey]*cell{}, others: map[cellKey]*cell{},
		ages: map[Series]*ages{}, notices: newTally(recentSlots), answers: map[Series]*answerRing{}}
}

// Committed counts a change as the engine's Config.Committed tells it.
//
// Purchases are counted by the time of their charge, on this process's clock, if this
// process saw the charge. Those that it took over after their charge are known as
// unsettled only: of what the former process sold, the ones that went well never
// come here, so the rest would look like an outage.
func (s *Signals) Committed(c *purchase.Change) {
	p := &c.Now
	if c.Was.State == p.State && (c.Was.Provider == p.Provider || p.State != purchase.Crediting) {
		return
	}
	charged := p.ChargedAt - p.Skew
	own := p.ChargedAt != 0 && (p.Resumed == 0 || p.ChargedAt > p.Resumed)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unsettled(c.Was.State, c.Was.Provider, p, -1)
	s.unsettled(p.State, p.Provider, p, 1)
	if !own {
		return
	}
	now := charged
	if c.Evidence != nil {
		now = max(now, c.Evidence.At-p.Skew)
	}
	who := bitOf(p.Recipient)
	switch was := c.Was.State; {
	case p.State == 0:
		if was == purchase.Crediting {
			s.cell(p, c.Was.Provider).count(asTaken, charged, now, 0)
		}
	case was == purchase.Charging || was == purchase.Declined:
		if p.State != purchase.Crediting && p.State != purchase.Refunding {
			return
		}
		of := s.cell(p, p.Provider)
		of.count(asPaid, charged, now, who)
		if p.State == purchase.Refunding {
			of.count(asFailed, charged, now, who)
		}
	case was != purchase.Crediting:
	case p.State == purchase.Crediting: // another provider tries
		s.cell(p, c.Was.Provider).failOver(s.cell(p, p.Provider), charged, now, who)
	case p.State == purchase.Credited && now.Sub(charged) <= s.cfg.Expected:
		s.cell(p, p.Provider).count(asInTime, charged, now, who)
	case p.State == purchase.Credited:
		s.cell(p, p.Provider).count(asLate, charged, now, who)
	case lineRefused(c.Evidence):
		s.cell(p, c.Was.Provider).excuse(charged, now, who)
	default:
		s.cell(p, c.Was.Provider).count(asFailed, charged, now, who)
	}
}

// lineRefused reports whether a provider refused a purchase for the recipient's line. That is the line's fault, not its own,
// unless it says so of nearly every line (RuleLines).
func lineRefused(e *purchase.Evidence) bool {
	return e != nil && e.Leg == purchase.Credit && e.Kind == purchase.Refused &&
		(e.Reason == purchase.ReasonUnknownLine || e.Reason == purchase.ReasonBarredLine)
}

// excuse takes a purchase out of what is paid, and counts it with its provider as refused for its line.
func (c *cell) excuse(charged, now purchase.Instant, who uint64) {
	c.count(asTaken, charged, now, 0)
	f := c.flows[ByProvider-1]
	if f == nil {
		return
	}
	if f.lines == nil {
		lines := newTally(recentSlots)
		f.lines = &lines
	}
	f.lines.count(asPaid, charged, now, who)
}

// bitOf is the bit of a recipient in SaleBucket.Who.
func bitOf(n purchase.MSISDN) uint64 {
	const golden = 0x9E3779B97F4A7C15      // spreads numbers that are alike
	return 1 << (uint64(n) * golden >> 58) //nolint:gosec // any 64 bits will do
}

// unsettled counts a purchase that enters or leaves a state with the partner that the
// state waits for.
func (s *Signals) unsettled(state purchase.State, provider string, p *purchase.Purchase, n int64) {
	series, since := Series{ByPayer, p.Payer}, p.ChargedAt
	switch state {
	case purchase.Charging:
		since = p.CreatedAt
	case purchase.Crediting:
		series = Series{ByProvider, provider}
	case purchase.Refunding:
	default:
		return
	}
	a := s.ages[series]
	if a == nil {
		if n < 0 || len(s.ages) >= maxAges {
			return
		}
		a = newAges()
		s.ages[series] = a
	}
	a.add(since-p.Skew, n)
}

// cell is the cell of a purchase with a provider. One that there is no room for is not kept.
func (s *Signals) cell(p *purchase.Purchase, provider string) *cell {
	key := cellKey{p.Product, provider, p.Payer, p.Channel, s.cfg.Operator(p.Recipient)}
	if c := s.cells[key]; c != nil {
		return c
	}
	c := &cell{key: key}
	for i, series := range key.series() {
		c.flows[i] = s.flow(series)
	}
	if len(s.cells) < maxCells {
		c.tally = newTally(recentSlots)
		s.cells[key] = c
	} else {
		s.uncounted++
	}
	return c
}

// flow is that of a series, nil when it is not counted.
func (s *Signals) flow(series Series) *flow {
	if f := s.flows[series]; f != nil || series.Name == "" {
		return f
	}
	if len(s.flows) >= s.cfg.MaxSeries {
		s.uncounted++
		return nil
	}
	f := &flow{series: series, tally: newTally(coarseSlots)}
	s.flows[series], s.order = f, nil
	return f
}

// count counts a purchase in the cell and in each of its series.
func (c *cell) count(p part, charged, now purchase.Instant, who uint64) {
	if c.fine.slots != nil {
		c.tally.count(p, charged, now, who)
	}
	for _, f := range c.flows {
		f.count(p, charged, now, who)
	}
}

func (f *flow) count(p part, charged, now purchase.Instant, who uint64) {
	if f == nil {
		return
	}
	f.tally.count(p, charged, now, who)
	if p == asPaid {
		f.total++
		f.lastPaid = charged
	}
}

// failOver counts a purchase whose provider failed and that another one now tries: it is
// one purchase in every dimension but the providers'.
func (c *cell) failOver(to *cell, charged, now purchase.Instant, who uint64) {
	const provider = ByProvider - 1
	c.flows[provider].count(asFailed, charged, now, who)
	to.flows[provider].count(asPaid, charged, now, who)
	if c.fine.slots != nil {
		c.tally.count(asFailed, charged, now, who)
	}
	if to.fine.slots != nil {
		to.tally.count(asPaid, charged, now, who)
	}
}

// Delivered counts that a message to a customer was brought to the phone, or could not
// be, at an instant.
func (s *Signals) Delivered(ok bool, at purchase.Instant) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.notices.count(asPaid, at, at, ^uint64(0))
	if ok {
		s.notices.count(asInTime, at, at, 0)
	} else {
		s.notices.count(asFailed, at, at, 0)
	}
}

// sweep forgets what nothing was counted of for six hours, when there is no room.
func (s *Signals) sweep(now purchase.Instant) {
	if now.Sub(s.swept) < coarseWidth && now >= s.swept {
		return
	}
	s.swept = now
	idle := func(t *tally) bool { return now.Sub(t.used) > coarseReach }
	for _, cells := range []map[cellKey]*cell{s.cells, s.others} {
		if len(cells) < maxCells && len(s.flows) < s.cfg.MaxSeries {
			continue
		}
		for key, c := range cells {
			if idle(&c.tally) {
				delete(cells, key)
			}
		}
	}
	if len(s.flows) >= s.cfg.MaxSeries {
		for series, f := range s.flows {
			if idle(&f.tally) {
				delete(s.flows, series)
				s.order = nil
			}
		}
	}
	for series, a := range s.ages {
		if a.count == 0 && len(s.ages) >= maxAges {
			delete(s.ages, series)
		}
	}
}
