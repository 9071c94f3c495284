// Package against plays a drill's scenario on a running test deployment, from outside: it
// sells over the deployment's own API, makes its sandbox partners fail by their switches,
// reads back what became of every purchase, and compares that with the partners' books. It
// must not touch a deployment that does not declare itself one for tests, and knows nothing
// of what is inside.
package against

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"

	"tenu/internal/drill"
	"tenu/internal/purchase"
)

// ErrNoTest is wrapped by the error about a deployment that is not for tests.
var ErrNoTest = errors.New("not a test deployment")

// The bounds of a drill.
const (
	MaxPurchases = 100_000
	MaxSpeed     = 10_000
	MaxRate      = 1000
	workers      = 32
	cleanWithin  = 30 * time.Second
)

// Options say how a scenario is played.
type Options struct {
	URL, Key  string // of the deployment's API
	Run       string // begins the keys of the purchases; no other run has it
	Seed      uint64
	Purchases int // 0: as many as the scenario says, and as Rate has room for
	// Speed is how much faster than the wall clock the scenario's goes.
	Speed float64
	// Rate is how many purchases are made in a second at most, and how many are read.
	Rate int
	// Products are what customers buy; none: airtime and the first bundle that are on sale.
	Products []string
	// Within is how long after the sales everybody is waited for.
	Within time.Duration
	// LeaveOut plays what can be played of a scenario, and says what was left out.
	LeaveOut bool
	Clock    purchase.Clock
	Client   *http.Client
	// Each is told what happens, as lines; nil: nobody is.
	Each func(line string)
}

// check refuses what cannot be.
func (o *Options) check() error {
	switch {
	case o.Clock == nil || o.Client == nil || o.Run == "":
		return errors.New("drill: a clock, a client and a name of the run are needed")
	case !(o.Speed >= 1 && o.Speed <= MaxSpeed):
		return fmt.Errorf("drill: the speed must be between 1 and %d", MaxSpeed)
	case o.Rate < 1 || o.Rate > MaxRate:
		return fmt.Errorf("drill: the rate must be between 1 and %d", MaxRate)
	case o.Purchases < 0 || o.Purchases > MaxPurchases:
		return fmt.Errorf("drill: purchases must be between 1 and %d", MaxPurchases)
	case o.Within <= 0:
		return errors.New("drill: the time to wait must be positive")
	}
	return nil
}

// Run plays a scenario on a deployment. It returns an error where nothing was or can be
// measured; what the deployment did wrong is part of the result.
func Run(ctx context.Context, s *drill.Scenario, o Options) (*Result, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	g, err := prepare(ctx, s, &o)
	if err != nil {
		return nil, err
	}
	err = g.play(ctx)
	// Whatever happened, nothing is left failing.
	clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanWithin)
	defer cancel()
	if err = errors.Join(err, g.plan.off(clean)); err != nil {
		return nil, fmt.Errorf("play %s against %s: %w", s.Name, o.URL, err)
	}
	return g.judge(ctx)
}

// game is a scenario under way on a deployment.
type game struct {
	*Options

	s          *drill.Scenario
	api        *server
	deployment *deployment
	controls   []*control
	plan       plan
	sales      []sale
	began      purchase.Instant
	ended      purchase.Instant // of the sales
	settled    purchase.Instant // nobody was unsettled any more; zero: somebody is
}

// prepare asks everybody who they are, and plans; nothing is changed yet.
func prepare(ctx context.Context, s *drill.Scenario, o *Options) (*game, error) {
	g := &game{Options: o, s: s, api: &server{client: o.Client, base: strings.TrimRight(o.URL, "/"), key: o.Key}}
	var err error
	if g.deployment, err = deployed(ctx, g.api); err != nil {
		return nil, err
	}
	for _, p := range g.deployment.Partners {
		c, err := newControl(ctx, o.Client, p)
		if err != nil {
			return nil, err
		}
		g.controls = append(g.controls, c)
	}
	if err := g.quiet(ctx); err != nil {
		return nil, err
	}
	p := &planner{s: s, speed: o.Speed, leaveOut: o.LeaveOut}
	if err := p.match(g.controls); err != nil {
		return nil, err
	}
	if err := g.slowEnough(); err != nil {
		return nil, err
	}
	if err := p.make(); err != nil {
		return nil, err
	}
	p.notes = append(g.plan.notes, p.notes...)
	g.plan = p.plan
	n, err := g.count()
	if err != nil {
		return nil, err
	}
	return g, g.order(n)
}

// quiet refuses a deployment on which something fails already: what is measured would not be
// this drill's.
func (g *game) quiet(ctx context.Context) error {
	if g.deployment.Status == "" {
		return nil
	}
	told, err := records(ctx, g.Client, g.deployment.Status)
	if err != nil {
		g.plan.notes = append(g.plan.notes, err.Error())
		return nil
	}
	for i := range told {
		if x := &told[i]; x.Status == "ongoing" || x.Status == "recovering" {
			return fmt.Errorf("incident %s of the deployment is %s: what is measured would not be this drill's; wait until it is resolved", x.ID, x.Status)
		}
	}
	return nil
}

// slowEnough refuses a speed at which what fails is over before the deployment, whose clock
// is real, can have seen it.
func (g *game) slowEnough() error {
	least := time.Duration(g.deployment.DeliverWithin+g.deployment.Expected) * time.Millisecond
	for i := range g.s.Script.Windows {
		w := &g.s.Script.Windows[i]
		if lasts := time.Duration(float64(w.Till-w.From) / g.Speed); lasts < least && g.Speed > 1 {
			return g.s.Errorf(fmt.Sprintf("windows[%d].till", i), "at --speed %g it lasts %s. The deployment's clock is real: it needs %s to see and to tell what fails (deliver_within and expected), so at most --speed %.4g",
				g.Speed, lasts.Round(time.Millisecond), least, max(1, math.Floor((w.Till-w.From).Seconds()/least.Seconds()*10)/10))
		}
	}
	return nil
}

// count is how many purchases are made: as many as wished, or as many as the rate has room for.
func (g *game) count() (int, error) {
	n := g.Purchases
	if n == 0 {
		n = min(g.s.Purchases, MaxPurchases)
	}
	peak := g.peak(n)
	if peak <= g.Rate {
		return n, nil
	}
	if g.Purchases != 0 {
		return 0, fmt.Errorf("drill: %d purchases at --speed %g are up to %d in a second, and --rate is %d: fewer --purchases, or a lower --speed", n, g.Speed, peak, g.Rate)
	}
	for peak > g.Rate && n > 1 {
		n = max(1, n*g.Rate/(peak+1))
		peak = g.peak(n)
	}
	g.plan.notes = append(g.plan.notes, fmt.Sprintf("%d purchases instead of the scenario's %d: more than --rate %d in a second otherwise", n, g.s.Purchases, g.Rate))
	return n, nil
}

// peak is the most purchases that begin within a second.
func (g *game) peak(n int) (most int) {
	all := g.s.Arrivals(g.Seed, n)
	second := time.Duration(float64(time.Second) * g.Speed)
	for from, till := 0, 0; till < len(all); till++ {
		for all[till]-all[from] >= second {
			from++
		}
		most = max(most, till-from+1)
	}
	return most
}

// order decides what every customer buys.
func (g *game) order(n int) error {
	codes := g.Products
	if len(codes) == 0 {
		codes = g.deployment.usual()
	}
	for _, code := range codes {
		switch p, known := g.deployment.products[code]; {
		case !known:
			return fmt.Errorf("the deployment sells no product %q; it sells %s", code, strings.Join(g.deployment.codes(), ", "))
		case p.Paused:
			return fmt.Errorf("the sale of %q is paused on the deployment already: what is measured would not be this drill's", code)
		}
	}
	if len(codes) == 0 {
		return errors.New("the deployment sells nothing")
	}
	script := g.s.Script
	script.Seed = g.Seed
	g.sales = make([]sale, n)
	for i, at := range g.s.Arrivals(g.Seed, n) {
		r := script.Request(i)
		p := g.deployment.products[codes[i%len(codes)]]
		x := &g.sales[i]
		x.at, x.once = at, fmt.Sprintf("%s-%d", g.Run, i+1)
		x.wish = wish{Product: p.Code, Number: r.Recipient.String(), Payer: r.PayerNumber.String(), PayWith: g.plan.payers[r.Payer], Language: string(r.Language), Again: true}
		if !slices.Contains(p.PayWith, x.wish.PayWith) {
			return fmt.Errorf("the deployment does not let %q be paid with %s, but with %s", p.Code, x.wish.PayWith, strings.Join(p.PayWith, ", "))
		}
		if slices.Contains(p.PausedWith, x.wish.PayWith) {
			return fmt.Errorf("the sale of %q by %s is paused on the deployment already: what is measured would not be this drill's", p.Code, x.wish.PayWith)
		}
		if p.Kind == "airtime" {
			x.wish.Amount = fitting(r.Total, &p)
		}
	}
	return nil
}

// fitting is the amount that the product allows and that is nearest below one, or the least.
func fitting(amount int64, p *product) int64 {
	if p.Max > 0 {
		amount = min(amount, p.Max)
	}
	amount = max(amount, p.Min)
	if p.Step > 1 {
		amount = max(amount/p.Step, (p.Min+p.Step-1)/p.Step, 1) * p.Step
	}
	return amount
}

// codes are what is on sale.
func (d *deployment) codes() (list []string) {
	for code := range d.products {
		list = append(list, code)
	}
	slices.Sort(list)
	return list
}

// usual is what customers buy where nobody says what.
func (d *deployment) usual() (list []string) {
	for _, kind := range []string{"airtime", "bundle"} {
		for _, code := range d.codes() {
			if d.products[code].Kind == kind {
				list = append(list, code)
				break
			}
		}
	}
	return list
}

// say tells whoever watches.
func (g *game) say(format string, args ...any) {
	if g.Each != nil {
		g.Each(fmt.Sprintf(format, args...))
	}
}

// scenario is an instant on the scenario's clock.
func (g *game) scenario(at purchase.Instant) purchase.Instant {
	return g.s.Script.Begins.Add(time.Duration(float64(at.Sub(g.began)) * g.Speed))
}
