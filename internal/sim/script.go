package sim

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"tenu/internal/money"
	"tenu/internal/purchase"
)

// Script is what happens in a world that follows a scenario instead of dice: who buys
// when, which partners fail how and for how long, what customers and staff do. Times
// are since it begins. What is left open, which customer buys what and which call meets
// a fault of a share, is drawn from the seed.
type Script struct {
	Seed     uint64
	Begins   purchase.Instant
	Location *time.Location
	// Arrivals are when customers buy, one purchase each.
	Arrivals []time.Duration
	// Ends is when nothing new begins by itself: the world goes on until all is settled.
	Ends time.Duration
	// Customers is how many different numbers pay.
	Customers int
	Rules     purchase.Rules
	Nodes     int
	// Lease is how long a node's right to write lasts, and with it how often nodes look for something to do; zero: 30 s.
	Lease    time.Duration
	Partners []ScriptPartner
	Windows  []Window
	// Messages is how many messages the SMS centre takes in a second.
	Messages int
	Habits   Habits
	Line     Line
	Troubles []Trouble
	// Pace is called before the clock moves on to an instant; nil: as fast as it goes.
	Pace func(ctx context.Context, to purchase.Instant) error
	// Each is told of each minute when it is over; nil: nobody is.
	Each func(Minute)
	// Trace is told what happens, as lines; nil: nobody is.
	Trace io.Writer
}

// Thousand is the whole of which shares are parts.
const Thousand = 1000

// CentreName is what the SMS centre is called in windows.
const CentreName = "centre"

// Span is a time that is drawn anew each time: from Low, below High.
type Span struct{ Low, High time.Duration }

func (s Span) draw(d *dice) time.Duration {
	if s.High <= s.Low {
		return s.Low
	}
	return d.between(s.Low, s.High)
}

// ScriptPartner is a partner with its promises, and what it does when nothing fails.
type ScriptPartner struct {
	Name       string
	Payer      bool // charges and refunds; otherwise it credits and takes back
	Share      int  // of a thousand purchases
	Capability purchase.Capability
	AtOnce     int  // calls under way at once
	Answers    Span // how long it takes to answer
	Declines   int  // of a thousand charges or credits that it refuses for good
}

// Window is a time in which a partner, or the SMS centre, does not behave.
type Window struct {
	Partner    string
	From, Till time.Duration
	Faults     []Share
	Late       Span // how much later it executes what it does late; zero: within a minute
	Answers    Span // how long it takes to answer meanwhile; zero: as ever
}

// Share is how many of a thousand calls, or messages, or news, meet a fault.
type Share struct {
	Fault Fault
	Of    int
}

// Habits are what customers do who paid and have neither units nor money.
type Habits struct {
	Untold, Told int  // of a thousand complain, without and with a message that says how it is
	After        Span // the charge
	Again        Span // after the complaint, while there is still nothing
	Times        int  // complaints of one customer about one purchase at most
	Phone        int  // of a thousand complaints are calls to the line
	Call         int  // of a thousand who do not get through, or use the app, want to be called back
	Reached      int  // of a thousand callbacks find the customer
}

// Line is the telephone line of the customers and its staff, who make the callbacks too.
type Line struct {
	Agents        int
	Handling      Span // how long one call takes
	Patience      Span // how long a customer waits to be answered
	Opens, Closes time.Duration
	Informed      int // of a thousand callers whom an announcement of what fails is enough for
}

// Trouble is something that befalls a node, the store or the SMS centre.
type Trouble struct {
	At    time.Duration
	Fault Fault
	Node  int // from 0
	Lasts time.Duration
}

// The kinds of faults that a window or a trouble may name.
var (
	queryFaults  = []Fault{NoConnection, Garbage, QueryLost, LieAbsent, EarlyRefusal}
	cancelFaults = []Fault{NoConnection, Garbage, QueryLost, CancelUnheard}
	newsFaults   = []Fault{CallbackLost, CallbackTwice, CallbackEarly, CallbackLate, CallbackForged}
	centreFaults = []Fault{CentreDown, MessageUnheard, MessageRefused}
	troubles     = []Fault{CrashBeforeCommit, CrashAfterCommit, CrashBeforeSend, CrashAfterSend, CrashInOutbox, CrashInCare, Stopped, Drained,
		StoreUnavailable, CommitLost, CommitUnheard, CommitLanding, ReadFailed, CutOff, CentreDown}
)

// PartnerFaults lists what windows of a partner may name.
func PartnerFaults() []Fault {
	all := slices.Concat(doFaults, queryFaults, cancelFaults, newsFaults)
	slices.Sort(all)
	return slices.Compact(all)
}

// CentreFaults lists what windows of the SMS centre may name.
func CentreFaults() []Fault { return slices.Clone(centreFaults) }

// Troubles lists what may befall nodes, store and centre.
func Troubles() []Fault { return slices.Clone(troubles) }

// Overfull reports whether the shares of a window are more than the whole of some kind of call.
func (w *Window) Overfull() bool {
	for _, kind := range [][]Fault{doFaults, queryFaults, cancelFaults, newsFaults, centreFaults} {
		sum := 0
		for _, s := range w.Faults {
			if slices.Contains(kind, s.Fault) {
				sum += s.Of
			}
		}
		if sum > Thousand {
			return true
		}
	}
	return false
}

// window is the one of a partner at a time, nil for none.
func (s *Script) window(partner string, at time.Duration) *Window {
	for i := range s.Windows {
		if w := &s.Windows[i]; w.Partner == partner && w.From <= at && at < w.Till {
			return w
		}
	}
	return nil
}

// draw is the fault that one call of a kind meets at a time, 0 for none.
func (s *Script) draw(d *dice, partner string, at time.Duration, kind []Fault) Fault {
	w := s.window(partner, at)
	if w == nil {
		return 0
	}
	at1000 := d.n(Thousand)
	for _, x := range w.Faults {
		if !slices.Contains(kind, x.Fault) {
			continue
		}
		if at1000 -= x.Of; at1000 < 0 {
			return x.Fault
		}
	}
	return 0
}

// late is how much later a partner executes what it does late.
func (s *Script) late(d *dice, partner string, at time.Duration) time.Duration {
	p := s.partner(partner)
	most := time.Minute
	if p != nil && p.Capability.Lateness > 0 {
		most = min(most, p.Capability.Lateness)
	}
	if w := s.window(partner, at); w != nil && w.Late.High > 0 {
		return max(w.Late.draw(d), time.Millisecond)
	}
	return d.between(time.Millisecond, most)
}

// takes is how long a partner takes to answer a call about a buyer, counted from 1, at a time.
func (s *Script) takes(partner string, buyer uint64, leg purchase.Leg, op purchase.Op, times int, at time.Duration) time.Duration {
	d := s.dice(45, uint64(s.index(partner)+1), buyer, uint64(leg), uint64(op), uint64(times)) //nolint:gosec // small numbers
	span := Span{time.Millisecond, 300 * time.Millisecond}
	if p := s.partner(partner); p != nil && p.Answers.High > 0 {
		span = p.Answers
	}
	if w := s.window(partner, at); w != nil && w.Answers.High > 0 {
		span = w.Answers
	}
	return max(span.draw(d), time.Millisecond)
}

func (s *Script) partner(name string) *ScriptPartner {
	for i := range s.Partners {
		if s.Partners[i].Name == name {
			return &s.Partners[i]
		}
	}
	return nil
}

// atOnce is how many calls of a partner may be under way.
func (s *Script) atOnce(name string) int {
	if p := s.partner(name); p != nil {
		return max(p.AtOnce, 1)
	}
	return 1
}

// index is a partner's place, for its dice.
func (s *Script) index(name string) int {
	return slices.IndexFunc(s.Partners, func(p ScriptPartner) bool { return p.Name == name })
}

// dice are drawn for something that happens to a buyer.
func (s *Script) dice(labels ...uint64) *dice { return roll(append([]uint64{s.Seed}, labels...)...) }

// Request is what a buyer asks for.
func (s *Script) Request(buyer int) purchase.Request {
	d := s.dice(uint64(buyer), 2) //nolint:gosec // an index
	r := purchase.Request{Client: "app", ClientKey: fmt.Sprintf("key-%d", buyer), Channel: pick(d, "app", "app", "ussd", "sms", "api"),
		Language: purchase.Language(pick(d, "fr", "fr", "fr", "en")), PayerNumber: purchase.MSISDN(22670000000 + d.n(s.Customers)),
		Product: pick(d, "airtime", "airtime", "data-1gb"), Offer: 1, Currency: money.XOF}
	r.Payer, r.Provider = s.shared(d, true), s.shared(d, false)
	if r.Recipient = r.PayerNumber; d.chance(20) {
		r.Recipient = purchase.MSISDN(22676000000 + d.n(s.Customers))
	}
	r.Bundle = r.Product != "airtime"
	r.Units = int64(pick(d, 200, 500, 1000, 1050, 2000, 5000))
	r.Total = r.Units
	r.Digest = digest(buyer, 0)
	return r
}

// shared is a partner drawn by the partners' shares.
func (s *Script) shared(d *dice, payer bool) string {
	at, last := d.n(Thousand), ""
	for i := range s.Partners {
		if p := &s.Partners[i]; p.Payer == payer && p.Share > 0 {
			last = p.Name
			if at -= p.Share; at < 0 {
				break
			}
		}
	}
	return last
}

// Fate is what a partner does with the first try of a leg.
type Fate struct {
	Fault    Fault // that it meets, 0 for none
	Declined bool  // it would be refused for good
	Takes    time.Duration
	Late     time.Duration // how much later it is executed, where it is executed late
}

// Fate is that of a buyer's leg at a time, drawn as the partners of a world draw it.
func (s *Script) Fate(partner string, buyer int, leg purchase.Leg, at time.Duration) Fate {
	b := uint64(buyer) + 1                                                             //nolint:gosec // an index
	d := s.dice(8, uint64(s.index(partner)), b, uint64(leg), uint64(purchase.OpDo), 1) //nolint:gosec // small numbers
	f := Fate{Fault: s.draw(d, partner, at, doFaults), Declined: s.declines(partner, b, leg)}
	f.Late, f.Takes = s.late(d, partner, at), s.takes(partner, b, leg, purchase.OpDo, 1, at)
	p := s.partner(partner)
	if f.Fault == Doubled && p.Capability.Idempotent {
		f.Fault = 0 // it knows the request for the same
	}
	if f.Fault == 0 && f.Takes >= p.Capability.Timeout {
		f.Fault = ReplyLost // it answers when nobody listens any more
	}
	return f
}

// declines reports whether a partner refuses a leg of a buyer, counted from 1, for good.
func (s *Script) declines(partner string, buyer uint64, leg purchase.Leg) bool {
	p := s.partner(partner)
	return p != nil && (leg == purchase.Charge || leg == purchase.Credit) && s.dice(9, buyer, uint64(leg)).n(Thousand) < p.Declines
}

// Complaint is what a customer does about a purchase of which there is nothing to be seen.
type Complaint struct {
	After    time.Duration // the charge, or the complaint before
	Mood     int           // complains where fewer of a thousand than that do not
	Phone    bool
	Call     bool // wants to be called back
	Patience time.Duration
	Handling time.Duration
	Informed int // is content with an announcement that is enough for more of a thousand than that
}

// Complaint is a buyer's of a number, counted from 0. It is the same for every platform.
func (s *Script) Complaint(buyer, times int) Complaint {
	d := s.dice(40, uint64(buyer), uint64(times)) //nolint:gosec // small numbers
	after := s.Habits.After
	if times > 0 {
		after = s.Habits.Again
	}
	return Complaint{After: after.draw(d), Mood: d.n(Thousand), Phone: d.n(Thousand) < s.Habits.Phone, Call: d.n(Thousand) < s.Habits.Call,
		Patience: s.Line.Patience.draw(d), Handling: s.Line.Handling.draw(d), Informed: d.n(Thousand)}
}

// payers are the names of those who charge.
func (s *Script) payers() (names []string) {
	for i := range s.Partners {
		if s.Partners[i].Payer {
			names = append(names, s.Partners[i].Name)
		}
	}
	return names
}

// plan is the plan of the script's world.
func (s *Script) plan() *plan {
	p := &plan{world: 1, seed: s.Seed, purchases: len(s.Arrivals), span: s.Ends, nodes: s.Nodes, maxBatch: 512, leaseTTL: cmp.Or(s.Lease, 30*time.Second),
		rules: s.Rules, care: true, script: s}
	for i := range s.Partners {
		x := &s.Partners[i]
		legs := []purchase.Leg{purchase.Credit, purchase.Reversal}
		if x.Payer {
			legs = []purchase.Leg{purchase.Charge, purchase.Refund}
		}
		peer := peerPlan{name: x.Name, legs: legs}
		for _, leg := range legs {
			peer.capabilities[leg] = x.Capability
			peer.capabilities[leg].Supported = true
		}
		p.peers = append(p.peers, peer)
	}
	p.peers = append(p.peers, housePlan())
	for _, t := range s.Troubles {
		p.trouble = append(p.trouble, trouble{t.At, t.Fault, t.Node, t.Lasts})
	}
	return p
}

// check refuses a script that cannot be played.
func (s *Script) check() error {
	payers, providers := 0, 0
	for i := range s.Partners {
		if s.Partners[i].Payer {
			payers += s.Partners[i].Share
		} else {
			providers += s.Partners[i].Share
		}
	}
	switch {
	case len(s.Arrivals) == 0 || s.Customers < 1 || s.Nodes < 1 || s.Line.Agents < 1 || s.Messages < 1 || s.Location == nil:
		return errors.New("sim: a script needs arrivals, customers, nodes, agents, messages and a location")
	case payers != Thousand || providers != Thousand:
		return fmt.Errorf("sim: the shares of payers are %d and of providers %d, of %d", payers, providers, Thousand)
	}
	return s.Rules.Check()
}

// Chance is a number from 0 on, below 1, that follows from a seed and labels.
func Chance(seed uint64, labels ...uint64) float64 {
	return float64(roll(append([]uint64{seed}, labels...)...).next()>>11) / (1 << 53)
}
