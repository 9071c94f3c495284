package against

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"tenu/internal/drill"
	"tenu/internal/sandbox"
	"tenu/internal/sim"
)

// control is a sandbox partner's switches and books.
type control struct {
	server

	deployed deployedPartner
	offer    map[string][]sandbox.Kind // by operation
	seen     int64                     // movements in its book before the drill
}

// control finds a partner's switches, and refuses whatever is no sandbox, or is one that
// somebody else makes fail.
func newControl(ctx context.Context, client *http.Client, p deployedPartner) (*control, error) {
	c := &control{server: server{client: client, base: strings.TrimRight(p.Control, "/")}, deployed: p}
	var switches struct {
		Faults []sandbox.Fault           `json:"faults"`
		Offer  map[string][]sandbox.Kind `json:"offer"`
	}
	var tallies []sandbox.Tally
	err := c.call(ctx, http.MethodGet, "/faults", "", nil, &switches)
	if err == nil {
		err = c.call(ctx, http.MethodGet, "/books/tally", "", nil, &tallies)
	}
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s at %s does not answer as a sandbox (%w): %w; nothing was done", p.Name, p.Control, err, ErrNoTest)
	case len(switches.Offer) == 0:
		return nil, fmt.Errorf("%s at %s offers no faults: %w; nothing was done", p.Name, p.Control, ErrNoTest)
	case len(switches.Faults) > 0:
		return nil, fmt.Errorf("%s has faults switched on already (%s %s): switch them off first (DELETE %s/faults)", p.Name,
			switches.Faults[0].Operation, switches.Faults[0].Kind, c.base)
	}
	c.offer = switches.Offer
	for _, t := range tallies {
		c.seen += t.Movements
	}
	return c, nil
}

// failure is what one partner does wrong for a time.
type failure struct {
	of     *control
	faults []sandbox.Fault
	on     []int64 // the faults of it that are switched on
	begun  bool    // a switch was touched
}

// begin switches the failure on.
func (f *failure) begin(ctx context.Context) error {
	f.begun = true
	for i := range f.faults {
		var added sandbox.Fault
		if err := f.of.call(ctx, http.MethodPost, "/faults", "", &f.faults[i], &added); err != nil {
			return fmt.Errorf("make %s fail (%s %s): %w", f.of.deployed.Name, f.faults[i].Operation, f.faults[i].Kind, err)
		}
		f.on = append(f.on, added.ID)
	}
	return nil
}

// end switches it off. What is gone is off.
func (f *failure) end(ctx context.Context) error {
	for n := len(f.on); n > 0; n = len(f.on) {
		err := f.of.call(ctx, http.MethodDelete, "/faults/"+strconv.FormatInt(f.on[n-1], 10), "", nil, nil)
		var p *problem
		if err != nil && (!errors.As(err, &p) || p.Status != http.StatusNotFound) {
			return fmt.Errorf("switch a fault of %s off: %w", f.of.deployed.Name, err)
		}
		f.on = f.on[:n-1]
	}
	return nil
}

// maxMovements bounds what is read of one book.
const maxMovements = 4_000_000

// movements reads what a partner did since the drill began.
func (c *control) movements(ctx context.Context) ([]sandbox.Movement, error) {
	var all []sandbox.Movement
	for after := c.seen; len(all) < maxMovements; {
		var page []sandbox.Movement
		if err := c.call(ctx, http.MethodGet, "/books/movements?after="+strconv.FormatInt(after, 10), "", nil, &page); err != nil {
			return nil, fmt.Errorf("read the book of %s: %w", c.deployed.Name, err)
		}
		if len(page) == 0 {
			return all, nil
		}
		for i := range page { // else the same would be read for ever
			if page[i].Seq <= after {
				return nil, fmt.Errorf("read the book of %s: movement %d comes after %d", c.deployed.Name, page[i].Seq, after)
			}
			after = page[i].Seq
		}
		all = append(all, page...)
	}
	return nil, fmt.Errorf("read the book of %s: more than %d movements", c.deployed.Name, maxMovements)
}

// played is how a sandbox plays a fault of a scenario: as a kind of its own in some operations.
type played struct {
	kind sandbox.Kind
	in   []string
	// instead says that the protocol has nothing like it, and this is the nearest.
	instead bool
}

var (
	walletCalls   = []string{"charge", "refund"}
	chargingCalls = []string{"credit", "reversal"}
)

// plays are the faults that a wallet, a charging system and an SMS centre of the sandbox can
// play, by role.
var plays = map[string]map[sim.Fault]played{
	payer: merged(calls(walletCalls), map[sim.Fault]played{
		sim.Garbage:        {kind: sandbox.Garbage, in: append([]string{"query"}, walletCalls...)},
		sim.QueryLost:      {kind: sandbox.LoseReply, in: []string{"query"}},
		sim.LieAbsent:      {kind: sandbox.NotFound, in: []string{"query"}},
		sim.CallbackLost:   {kind: sandbox.CallbackLost, in: []string{"callback"}},
		sim.CallbackTwice:  {kind: sandbox.CallbackTwice, in: []string{"callback"}},
		sim.CallbackEarly:  {kind: sandbox.CallbackEarly, in: walletCalls},
		sim.CallbackLate:   {kind: sandbox.CallbackLate, in: []string{"callback"}},
		sim.CallbackForged: {kind: sandbox.CallbackForged, in: []string{"callback"}},
	}),
	provider: merged(calls(chargingCalls), map[sim.Fault]played{
		sim.WrongProduct: {kind: sandbox.WrongProduct, in: []string{"credit"}},
	}),
	centre: {
		sim.CentreDown:     {kind: sandbox.Outage, in: []string{"message"}},
		sim.MessageRefused: {kind: sandbox.Refuse, in: []string{"message"}},
		sim.MessageUnheard: {kind: sandbox.LoseReply, in: []string{"message"}},
	},
}

// calls are the faults of whatever moves money or goods.
func calls(in []string) map[sim.Fault]played {
	return map[sim.Fault]played{
		sim.RequestLost:   {kind: sandbox.LoseRequest, in: in},
		sim.ReplyLost:     {kind: sandbox.LoseReply, in: in},
		sim.LateExecution: {kind: sandbox.Late, in: in},
		sim.Accepted:      {kind: sandbox.Late, in: in, instead: true},
		sim.Dropped:       {kind: sandbox.LoseRequest, in: in, instead: true},
		sim.RefusedOnce:   {kind: sandbox.Refuse, in: in},
		sim.ServerError:   {kind: sandbox.CachedError, in: in},
		sim.Garbage:       {kind: sandbox.Garbage, in: in},
		sim.Conflict:      {kind: sandbox.Conflict, in: in},
		sim.WrongAmount:   {kind: sandbox.WrongAmount, in: in},
		sim.WrongAccount:  {kind: sandbox.WrongNumber, in: in},
		sim.Doubled:       {kind: sandbox.Twice, in: in},
		sim.LieDone:       {kind: sandbox.Lie, in: in},
	}
}

func merged(all ...map[sim.Fault]played) map[sim.Fault]played {
	m := map[sim.Fault]played{}
	for _, each := range all {
		for f, p := range each {
			m[f] = p
		}
	}
	return m
}

// lying are the faults by which a partner's book belies what it says, whatever the platform does.
var lying = []sandbox.Kind{sandbox.Lie, sandbox.Twice, sandbox.WrongAmount, sandbox.WrongNumber, sandbox.WrongProduct}

// turn is when a failure begins or ends, on the scenario's clock.
type turn struct {
	at     time.Duration
	what   *failure
	begins bool
}

// plan is what is switched when.
type plan struct {
	always []*failure // for the whole drill
	turns  []turn     // in order
	left   []string
	notes  []string
	lies   bool
	payers map[string]string // by the scenario's name: how the deployment calls it
}

// between has a failure begin and end.
func (p *plan) between(from, till time.Duration, f *failure) {
	p.turns = append(p.turns, turn{from, f, true}, turn{till, f, false})
}

// off switches off whatever is on at the partners that the plan began to make fail. None had a fault before, and the
// answer that names one may be lost: all of theirs go.
func (p *plan) off(ctx context.Context) (err error) {
	done := map[*control]bool{}
	for _, f := range p.failures() {
		if !f.begun || done[f.of] {
			continue
		}
		done[f.of] = true
		if failed := f.of.call(ctx, http.MethodDelete, "/faults", "", nil, nil); failed != nil {
			err = errors.Join(err, fmt.Errorf("switch the faults of %s off: %w", f.of.deployed.Name, failed))
		}
	}
	return err
}

// failures are all of the plan; one may be there more than once.
func (p *plan) failures() []*failure {
	all := slices.Clone(p.always)
	for _, t := range p.turns {
		all = append(all, t.what)
	}
	return all
}

// planner makes a plan of a scenario for a deployment.
type planner struct {
	plan

	s        *drill.Scenario
	speed    float64
	leaveOut bool
	by       map[string]*control // by the scenario's names
}

// cannot says that something cannot be played: an error, or left out where that is wished.
func (p *planner) cannot(path, format string, args ...any) error {
	err := p.s.Errorf(path, format, args...)
	if !p.leaveOut {
		return fmt.Errorf("%w (--leave-out plays the rest)", err)
	}
	p.left = append(p.left, err.Error())
	return nil
}

// match finds who plays whom: who is called so, else the only one of the role that nobody
// of the scenario is called.
func (p *planner) match(all []*control) error {
	p.by, p.payers = map[string]*control{}, map[string]string{}
	named := func(name string) bool {
		return slices.ContainsFunc(p.s.Script.Partners, func(x sim.ScriptPartner) bool { return x.Name == name })
	}
	for i := range p.s.Script.Partners {
		x := &p.s.Script.Partners[i]
		role := provider
		if x.Payer {
			role = payer
		}
		var others []*control
		for _, c := range all {
			switch {
			case c.deployed.Role != role:
			case c.deployed.Name == x.Name:
				p.by[x.Name] = c
			case !named(c.deployed.Name):
				others = append(others, c)
			}
		}
		if p.by[x.Name] == nil && len(others) == 1 && !slices.ContainsFunc(p.s.Script.Partners[:i], func(y sim.ScriptPartner) bool { return p.by[y.Name] == others[0] }) {
			p.by[x.Name] = others[0]
		}
		if p.by[x.Name] == nil {
			return p.s.Errorf(fmt.Sprintf("partners[%d].name", i), "the deployment has no %s to play %q; it has %s", role, x.Name, names(all))
		}
		if x.Payer {
			p.payers[x.Name] = p.by[x.Name].deployed.Name
		}
	}
	for _, c := range all {
		if c.deployed.Role == centre {
			p.by[sim.CentreName] = c
		}
	}
	return nil
}

func names(all []*control) string {
	var list []string
	for _, c := range all {
		list = append(list, c.deployed.Name+" ("+c.deployed.Role+")")
	}
	return strings.Join(list, ", ")
}

// make plans everything.
func (p *planner) make() error {
	for i := range p.s.Script.Partners {
		x := &p.s.Script.Partners[i]
		if x.Declines == 0 {
			continue
		}
		f := sandbox.Fault{Operation: "credit", Kind: sandbox.Refuse, Rate: share(float64(x.Declines), 0), Apart: true}
		if x.Payer {
			f.Operation, f.Kind = "charge", sandbox.Unapproved
		}
		p.always = append(p.always, &failure{of: p.by[x.Name], faults: []sandbox.Fault{f}})
	}
	for i := range p.s.Script.Windows {
		if err := p.window(i); err != nil {
			return err
		}
	}
	for i, t := range p.s.Script.Troubles {
		c := p.by[sim.CentreName]
		if t.Fault != sim.CentreDown || c == nil {
			if err := p.cannot(fmt.Sprintf("troubles[%d].what", i), "a deployment cannot be made to suffer %q from outside: only its sandbox partners fail", t.Fault); err != nil {
				return err
			}
			continue
		}
		p.between(t.At, t.At+t.Lasts, &failure{of: c, faults: []sandbox.Fault{{Operation: "message", Kind: sandbox.Outage}}})
	}
	// Of one time, what ends goes before what begins.
	slices.SortStableFunc(p.turns, func(a, b turn) int {
		switch {
		case a.at != b.at:
			return int(a.at - b.at)
		case a.begins == b.begins:
			return 0
		case b.begins:
			return -1
		}
		return 1
	})
	return nil
}

// window plans one window.
func (p *planner) window(i int) error {
	w, path := &p.s.Script.Windows[i], fmt.Sprintf("windows[%d]", i)
	c := p.by[w.Partner]
	if c == nil {
		return p.cannot(path+".partner", "the deployment has no %s of the sandbox; it speaks to another, or to none", w.Partner)
	}
	taken := map[string]float64{} // of each operation's calls, of a thousand, by what came before
	for _, a := range p.always {
		for _, f := range a.faults {
			if a.of == c {
				taken[f.Operation] += f.Rate * sim.Thousand
			}
		}
	}
	var faults []sandbox.Fault
	for _, x := range w.Faults {
		key := path + ".faults." + x.Fault.String()
		how, known := plays[c.deployed.Role][x.Fault]
		in := slices.DeleteFunc(slices.Clone(how.in), func(operation string) bool { return !slices.Contains(c.offer[operation], how.kind) })
		if !known || len(in) == 0 {
			if err := p.cannot(key, "the sandbox's %s (%s) has no such fault", c.deployed.Name, c.deployed.Role); err != nil {
				return err
			}
			continue
		}
		if how.instead {
			p.note(fmt.Sprintf("%s of %s is played as %s", x.Fault, c.deployed.Name, how.kind))
		}
		p.lies = p.lies || slices.Contains(lying, how.kind)
		delays := []time.Duration{0}
		if how.kind == sandbox.Late || how.kind == sandbox.CallbackLate {
			var err error
			if delays, err = p.late(path, w, c); err != nil {
				return err
			}
		}
		for _, operation := range in {
			for _, delay := range delays {
				of := float64(x.Of) / float64(len(delays))
				if f := (sandbox.Fault{Operation: operation, Kind: how.kind, Rate: share(of, taken[operation]), DelayMS: delay.Milliseconds(), Apart: true}); f.Rate > 0 {
					faults = append(faults, f)
				}
				taken[operation] += of
			}
		}
	}
	if w.Answers.High > 0 {
		faults = append(faults, slow(c, w.Answers)...)
	}
	if len(faults) > 0 {
		p.between(w.From, w.Till, &failure{of: c, faults: faults})
	}
	return nil
}

func (p *planner) note(text string) {
	if !slices.Contains(p.notes, text) {
		p.notes = append(p.notes, text)
	}
}

// share is the rate at which what nothing before has hit must be hit, so that of a thousand
// calls so many are.
func share(of, taken float64) float64 {
	switch left := sim.Thousand - taken; {
	case of <= 0:
		return 0
	case left > of:
		return of / left
	}
	return 1
}

// steps is in how many times a span is drawn: a fault of the sandbox has one delay.
const steps = 5

// spread are the middles of a span's parts.
func spread(s sim.Span) (list []time.Duration) {
	for i := range steps {
		list = append(list, s.Low+(s.High-s.Low)*time.Duration(2*i+1)/(2*steps))
	}
	return list
}

// late is how much later a window's late calls are executed. It shrinks as the day does, and
// is within what the partner promises the deployment.
func (p *planner) late(path string, w *sim.Window, c *control) ([]time.Duration, error) {
	promised := time.Duration(c.deployed.Lateness) * time.Millisecond
	span := w.Late
	if span.High == 0 {
		span = sim.Span{Low: time.Millisecond, High: time.Minute}
		if promised > 0 {
			span.High = min(span.High, time.Duration(p.speed*float64(promised)))
		}
	}
	span = sim.Span{Low: time.Duration(float64(span.Low) / p.speed), High: time.Duration(float64(span.High) / p.speed)}
	if promised > 0 && span.High > promised {
		return nil, p.s.Errorf(path+".late", "at --speed %g it is up to %s, later than the deployment's %s promises (%s): at least --speed %.4g, or a shorter span",
			p.speed, span.High.Round(time.Millisecond), c.deployed.Name, promised, p.speed*span.High.Seconds()/promised.Seconds())
	}
	return spread(span), nil
}

// slow are the faults by which a partner takes as long as a span says. It is on the real clock, as
// the deployment's patience is.
func slow(c *control, answers sim.Span) (faults []sandbox.Fault) {
	operations := walletCalls
	switch c.deployed.Role {
	case provider:
		operations = chargingCalls
	case centre:
		operations = []string{"message"}
	}
	for _, operation := range operations {
		for i, delay := range spread(answers) {
			faults = append(faults, sandbox.Fault{Operation: operation, Kind: sandbox.SlowAnswer, Rate: 1 / float64(steps-i), DelayMS: delay.Milliseconds()})
		}
	}
	return faults
}
