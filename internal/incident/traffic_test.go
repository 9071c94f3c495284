package incident

import (
	"math"
	"math/rand/v2"
	"time"

	"tenu/internal/purchase"
)

// traffic is a simulated installation as its signals see it: customers who buy by the
// rhythm of the day and the week, partners who do what they are asked but for
// ordinary failures, and outages.
type traffic struct {
	rng     *rand.Rand
	signals *Signals
	now     purchase.Instant // a whole second
	perDay  float64
	day     int64
	busy    float64 // of the day

	partners  map[Series]*Partner
	tripped   map[Series]purchase.Instant
	unwell    map[Series]purchase.Instant // blips: until when
	sick      purchase.Instant            // until when one says that it is degraded
	ordinary  bool                        // failures that are no outage
	outage    *outage
	later     [900][]deed // by second
	change    purchase.Change
	id        purchase.ID
	purchases int64
	missed    int64
}

// deed is something that happens to a purchase later.
type deed struct {
	of    sale
	to    purchase.State
	after time.Duration // of the charge
	ok    bool          // of a message
}

type sale struct {
	product, provider, payer, channel string
	operator                          int
	recipient                         purchase.MSISDN
	charged                           purchase.Instant
	wait                              int // seconds that are left beyond what traffic.later holds
}

// outage is what fails from an instant on.
type outage struct {
	kind  string
	of    Series
	since purchase.Instant
	first purchase.Instant // the first customer harmed
	share float64          // of the purchases, where it is partial (0.3)
	also  *outage          // a second one
}

type share struct {
	name string
	of   float64
}

var (
	products   = []share{{"airtime", 0.5}, {"data-day", 0.2}, {"data-week", 0.12}, {"night", 0.08}, {"sms-pack", 0.1}}
	channels   = []share{{"ussd", 0.55}, {"app", 0.25}, {"api", 0.12}, {"sms", 0.08}}
	payers     = []share{{"wallet", 0.7}, {"bank", 0.3}}
	partnersOf = []Series{{ByPayer, "wallet"}, {ByPayer, "bank"}, {ByProvider, "ocs"}, {ByProvider, "air"}}
	// The operators have their own charging systems, but for the last.
	operators = []share{{"orange", 0.55}, {"moov", 0.33}, {"telecel", 0.12}}
	providers = []string{"ocs", "air", "air"}

	// What is sold by the hour of the day, of what is sold at the busiest one.
	hours = []float64{0.06, 0.02, 0.012, 0.01, 0.015, 0.06, 0.25, 0.5, 0.7, 0.75, 0.75, 0.8, 0.9, 0.8, 0.7, 0.7, 0.75, 0.85, 1, 1, 0.9, 0.7, 0.4, 0.15}
	// And by the day of the week, from Thursday, with which 1970 began.
	days = []float64{1, 1.1, 1.05, 0.75, 0.95, 0.95, 1}
)

func operatorOf(n purchase.MSISDN) string { return operators[n%1000].name }

func newTraffic(seed uint64, perDay float64, start purchase.Instant) *traffic {
	rng := rand.New(rand.NewPCG(seed, 7)) //nolint:gosec // chance that can be repeated
	t := &traffic{rng: rng, now: floorTo(start, time.Second), perDay: perDay, ordinary: true, day: -1,
		partners: map[Series]*Partner{}, tripped: map[Series]purchase.Instant{}, unwell: map[Series]purchase.Instant{}}
	for _, s := range partnersOf {
		t.partners[s] = &Partner{Series: s}
	}
	t.signals = NewSignals(SignalsConfig{Operator: operatorOf, Partners: func() []Partner {
		var all []Partner
		for _, s := range partnersOf {
			p := t.partners[s]
			p.Tripped = t.now < t.tripped[s]
			all = append(all, *p)
		}
		return all
	}})
	return t
}

// usual is how many are sold per second, before what makes one day unlike another.
func usual(perDay float64, at purchase.Instant) float64 {
	var sum float64
	for _, h := range hours {
		sum += h
	}
	hour := float64(at%purchase.Instant(24*time.Hour.Microseconds())) / float64(time.Hour.Microseconds())
	i := int(hour)
	frac := hour - float64(i)
	level := hours[i]*(1-frac) + hours[(i+1)%24]*frac
	return perDay * days[epochOf(at, 24*time.Hour)%7] * level / sum / 3600
}

// rate is usual with the day's own level, and a payday at the end of the month.
func (t *traffic) rate() float64 {
	if day := epochOf(t.now, 24*time.Hour); day != t.day {
		t.day, t.busy = day, 0.8+0.4*t.rng.Float64()
		if dom := t.now.Time().Day(); dom >= 27 && dom <= 29 {
			t.busy *= 1.9
		}
	}
	return usual(t.perDay, t.now) * t.busy
}

func poisson(rng *rand.Rand, mean float64) int {
	if mean > 50 {
		return max(0, int(math.Round(mean+math.Sqrt(mean)*rng.NormFloat64())))
	}
	n, p, limit := 0, rng.Float64(), math.Exp(-mean)
	for p > limit {
		p *= rng.Float64()
		n++
	}
	return n
}

func pick(rng *rand.Rand, of []share) int {
	x := rng.Float64()
	for i := range of {
		if x -= of[i].of; x < 0 {
			return i
		}
	}
	return len(of) - 1
}

// second lets one second pass.
func (t *traffic) second() {
	t.now = t.now.Add(time.Second)
	i := epochOf(t.now, time.Second) % int64(len(t.later))
	due := t.later[i]
	t.later[i] = nil
	for _, d := range due {
		t.do(d)
	}
	if t.ordinary {
		t.blips()
	}
	for range poisson(t.rng, t.rate()) {
		t.sell()
	}
}

// blips: some times a day a partner stumbles for some seconds, some times a week one says
// for minutes that it is degraded, and at night somebody tries a dead number again and again.
func (t *traffic) blips() {
	if t.rng.Float64() < 3.0/7/86400 {
		t.partners[Series{ByProvider, "air"}].Health, t.sick = Degraded, t.now.Add(time.Duration(60+t.rng.IntN(400))*time.Second)
	}
	if t.now > t.sick {
		t.partners[Series{ByProvider, "air"}].Health = Available
	}
	if t.now.Time().Hour() == 3 && t.rng.Float64() < 0.3/3600 {
		s := t.wish()
		for range 8 {
			s.charged = t.now.Add(time.Duration(t.rng.IntN(300)) * time.Second)
			t.at(deed{of: s, to: purchase.Charging}, int(s.charged.Sub(t.now)/time.Second))
		}
	}
	if t.rng.Float64() > 6.0/86400 {
		return
	}
	for _, s := range partnersOf {
		if t.rng.Float64() < 0.25 {
			t.unwell[s] = t.now.Add(time.Duration(2+t.rng.IntN(7)) * time.Second)
			return
		}
	}
}

func (t *traffic) at(d deed, seconds int) {
	if most := len(t.later) - 1; seconds > most {
		d.of.wait, seconds = seconds-most, most
	}
	i := (epochOf(t.now, time.Second) + int64(max(1, seconds))) % int64(len(t.later))
	t.later[i] = append(t.later[i], d)
}

// tell hands a change to the signals, as the engine does.
func (t *traffic) tell(s *sale, was, is purchase.State, at purchase.Instant) {
	c := &t.change
	*c = purchase.Change{}
	t.id++
	c.Was = purchase.Before{State: was, Provider: s.provider}
	p := &c.Now
	p.ID, p.Version, p.State = t.id, 1, is
	p.Product, p.Provider, p.Payer, p.Channel, p.Recipient = s.product, s.provider, s.payer, s.channel, s.recipient
	p.CreatedAt = s.charged
	if is != purchase.Charging && is != purchase.Declined {
		p.ChargedAt = s.charged
	}
	if was == 0 {
		c.Was = purchase.Before{}
	} else {
		p.Version = 2
		c.Evidence = &purchase.Evidence{At: at}
	}
	t.signals.Committed(c)
}

// ask counts an answer of a partner, and lets its circuit open as a guard's would.
func (t *traffic) ask(s Series, good bool) {
	p := t.partners[s]
	if good {
		p.Answers.Done++
		return
	}
	p.Answers.Unknown++
	if t.rng.Float64() < 0.1 {
		t.tripped[s] = t.now.Add(5 * time.Second)
	}
}

func (t *traffic) wish() sale {
	o := pick(t.rng, operators)
	s := sale{product: products[pick(t.rng, products)].name, channel: channels[pick(t.rng, channels)].name,
		payer: payers[pick(t.rng, payers)].name, operator: o, provider: providers[o], charged: t.now.Add(time.Duration(t.rng.IntN(1e6)) * time.Microsecond)}
	s.recipient = purchase.MSISDN(1000*t.rng.IntN(500_000) + o)
	return s
}

func (t *traffic) sell() {
	s := t.wish()
	out := t.strikes(&s)
	if out != nil && out.kind == "silence" {
		return
	}
	t.purchases++
	t.tell(&s, 0, purchase.Charging, s.charged)
	payer := Series{ByPayer, s.payer}
	if out != nil && out.kind == "payer" || t.now < t.unwell[payer] {
		t.ask(payer, false)
		t.at(deed{of: s, to: purchase.Declined}, 90+t.rng.IntN(60))
		return
	}
	t.ask(payer, true)
	t.tell(&s, purchase.Charging, purchase.Crediting, s.charged)
	t.credit(s, out)
}

// strikes is the outage, if it strikes the purchase.
func (t *traffic) strikes(s *sale) *outage {
	for out := t.outage; out != nil; out = out.also {
		if t.struck(out, s) {
			return out
		}
	}
	return nil
}

func (t *traffic) struck(out *outage, s *sale) bool {
	if s.charged < out.since || out.kind == "notices" {
		return false
	}
	share := out.share
	if share == 0 {
		share = 0.3
	}
	r := purchase.Request{Product: s.product, Provider: s.provider, Payer: s.payer, Channel: s.channel}
	if !out.of.Of(&r, operators[s.operator].name) || out.kind == "partial" && t.rng.Float64() > share {
		return false
	}
	if out.first == 0 || s.charged < out.first {
		out.first = s.charged
	}
	return true
}

// credit decides what becomes of a charged purchase.
func (t *traffic) credit(s sale, out *outage) {
	provider := Series{ByProvider, s.provider}
	delay := func(least, most float64) {
		d := time.Duration((least + (most-least)*t.rng.Float64()) * float64(time.Second))
		t.at(deed{of: s, to: purchase.Credited, after: d}, int(d/time.Second)+1)
		if d > 10*time.Second {
			t.missed++
		}
	}
	never := func(seconds int) {
		t.missed++
		t.at(deed{of: s, to: purchase.Refunding, after: time.Duration(seconds) * time.Second}, seconds)
	}
	switch {
	case out != nil && out.kind == "slow":
		t.ask(provider, true)
		delay(15, 60)
	case out != nil && out.kind == "lost":
		t.ask(provider, false)
		if t.rng.Float64() < 0.7 {
			delay(12, 40)
		} else {
			never(3600)
		}
	case out != nil && out.kind == "refused":
		t.ask(provider, true)
		never(2)
	case out != nil:
		t.ask(provider, true)
		never(3600)
	case t.now < t.unwell[provider]:
		t.ask(provider, false)
		delay(2, 30)
	case t.ordinary && t.rng.Float64() < 0.002:
		t.ask(provider, true)
		delay(11, 90)
	case t.ordinary && t.rng.Float64() < 0.001:
		t.ask(provider, true)
		never(1 + t.rng.IntN(3))
	default:
		t.ask(provider, true)
		delay(0.3, 4)
	}
}

// do lets happen what was to happen later.
func (t *traffic) do(d deed) {
	switch {
	case d.of.wait > 0:
		wait := d.of.wait
		d.of.wait = 0
		t.at(d, wait)
	case d.to == purchase.Declined:
		t.tell(&d.of, purchase.Charging, purchase.Declined, t.now)
	case d.to == purchase.Charging: // of a dead number
		d.of.charged = t.now
		t.purchases, t.missed = t.purchases+1, t.missed+1
		t.tell(&d.of, 0, purchase.Charging, t.now)
		t.tell(&d.of, purchase.Charging, purchase.Crediting, t.now)
		t.at(deed{of: d.of, to: purchase.Refunding, after: time.Second}, 1)
	case d.to == 0:
		t.signals.Delivered(d.ok, t.now)
	default:
		t.tell(&d.of, purchase.Crediting, d.to, d.of.charged.Add(d.after))
		ok := !t.ordinary || t.rng.Float64() < 0.97
		if out := t.outage; out != nil && out.kind == "notices" && t.now >= out.since {
			ok = ok && t.rng.Float64() < 0.15
			if !ok && out.first == 0 {
				out.first = t.now.Add(3 * time.Second)
			}
		}
		t.at(deed{ok: ok}, 3)
	}
}
