package sim

import (
	"fmt"
	"reflect"
	"slices"
	"time"

	"tenu/internal/auth"
	"tenu/internal/care"
	"tenu/internal/purchase"
)

// files is the auditor of care: what was written of cases, requests and callbacks,
// told by the store's own successes, and invariants C1 to C7 over it.
type files struct {
	w    *world
	keys *purchase.Keyring // names cases

	cases     map[care.CaseID]*care.Case
	spoke     map[care.CaseID]int64 // the last version of a case whose change is in its history
	order     []care.CaseID         // in the order of their IDs
	about     map[purchase.ID]care.CaseID
	requests  map[int64]*care.Request
	asks      []int64
	askedOf   map[purchase.ID][]int64 // requests about a purchase, oldest first
	gifts     []int64                 // requests for goodwill
	callbacks map[int64]*care.Callback
	calls     []int64
	ringing   map[int64]int // callback to its try that has no outcome
	follows   map[int64]int64
	dialled   map[[2]int64]bool
	reports   []care.Report
	treated   map[treated]bool
	spent     map[string][]care.Treatment // by rules that cost something, by name
	budgets   map[string]int64            // of rules, by name
	loose     map[loose]bool              // matters that are in no case yet
	unlinked  map[care.CaseID]bool        // cases of purchases that no incident has made its own
	fresh     bool                        // there are such cases that no incident looked at
	bulks     int                         // plans that are not closed
	looks     map[look]bool
	staff     map[auth.StaffID]auth.Staff
	policy    care.Policy

	openCases *agenda[care.CaseID]
	openAsks  *agenda[int64]
	openCalls *agenda[int64]
}

// treated is that a version of a rule acted on a case.
type treated struct {
	rule    string
	id      care.CaseID
	version int
}

// loose is a matter that is in no case yet, found by the engine, or reported by a number.
type loose struct {
	id     purchase.ID
	matter purchase.Matter
	number purchase.MSISDN
}

// look is that one of the staff looked at a customer.
type look struct {
	staff  auth.StaffID
	number purchase.MSISDN
}

func newFiles(w *world, keys *purchase.Keyring) *files {
	return &files{w: w, keys: keys, cases: map[care.CaseID]*care.Case{}, spoke: map[care.CaseID]int64{}, about: map[purchase.ID]care.CaseID{}, requests: map[int64]*care.Request{},
		callbacks: map[int64]*care.Callback{}, ringing: map[int64]int{}, follows: map[int64]int64{}, dialled: map[[2]int64]bool{},
		budgets: map[string]int64{}, loose: map[loose]bool{}, unlinked: map[care.CaseID]bool{}, looks: map[look]bool{}, staff: map[auth.StaffID]auth.Staff{}, policy: simPolicy,
		askedOf: map[purchase.ID][]int64{}, treated: map[treated]bool{}, spent: map[string][]care.Treatment{},
		openCases: newAgenda[care.CaseID](), openAsks: newAgenda[int64](), openCalls: newAgenda[int64]()}
}

// changed checks one change of a case, made at an instant of its writer's clock.
func (a *files) changed(c *care.Change, now *care.Case, at purchase.Instant) {
	w := a.w
	was := a.cases[now.ID]
	other, known := a.about[now.Purchase]
	switch {
	case was == nil && now.Version != 1, was != nil && now.Version != was.Version+1:
		w.fail("C6", now.Purchase, "case %d jumps to version %d", now.ID, now.Version)
	case was == nil && now.Purchase != 0 && known:
		w.fail("C6", now.Purchase, "cases %d and %d are about one purchase", other, now.ID)
	case now.ChangedAt != at:
		w.fail("C6", now.Purchase, "case %d changed at %d by its own account, and at %d by the clock", now.ID, now.ChangedAt, at)
	}
	if now.Status == care.Settled && (was == nil || was.Status != care.Settled) {
		a.settled(now)
	}
	if was == nil {
		w.tally.Cases++
		a.order = append(a.order, now.ID)
		if now.Purchase != 0 {
			a.about[now.Purchase] = now.ID
		}
	} else {
		a.deadlines(was, now)
		for _, m := range was.Matters {
			if !now.Has(m) {
				w.fail("C6", now.Purchase, "case %d forgets %s", now.ID, m)
			}
		}
	}
	if len(c.Entries) > 0 {
		a.spoke[now.ID] = now.Version
	} else if was != nil && !sameToPeople(was, now) {
		w.fail("C6", now.Purchase, "case %d changed, and its history does not say so", now.ID)
	}
	a.told(now, c.Entries, at)
	for i := range c.Taken {
		o := &c.Taken[i]
		key := loose{o.Purchase, o.Matter, 0}
		if o.Report != nil {
			key.number = o.Report.Number
		}
		delete(a.loose, key)
	}
	switch {
	case now.Incident != "":
		delete(a.unlinked, now.ID)
	case was == nil && now.Purchase != 0:
		a.unlinked[now.ID], a.fresh = true, true
	}
	kept := *now
	kept.Matters = slices.Clone(now.Matters)
	a.cases[now.ID] = &kept
	if kept.Status.Closed() {
		a.openCases.drop(kept.ID)
	} else {
		a.openCases.put(kept.ID, kept.DueAt)
	}
	w.note("case", now.Purchase, fmt.Sprintf("%d v%d %s %s", now.ID, now.Version, now.Status, now.Outcome))
}

// linked takes cases that an incident has made its own: by one version, which changes nothing else.
func (a *files) linked(now []care.Case) {
	for i := range now {
		was := a.cases[now[i].ID]
		if now[i].Incident == was.Incident {
			continue
		}
		same := now[i]
		same.Version, same.Incident, same.ChangedAt = was.Version, was.Incident, was.ChangedAt
		if now[i].Version != was.Version+1 || !reflect.DeepEqual(same, *was) {
			a.w.fail("C6", was.Purchase, "case %d was %+v, and is %+v since an incident has it", was.ID, *was, now[i])
		}
		kept := now[i]
		a.cases[kept.ID] = &kept
		delete(a.unlinked, kept.ID)
		a.w.note("case", kept.Purchase, fmt.Sprintf("%d v%d of %s", kept.ID, kept.Version, kept.Incident))
	}
}

// sameToPeople reports whether two versions of a case differ in nothing but in when the
// system looks at it, and in that the customer was reached, which the callback says.
func sameToPeople(was, now *care.Case) bool {
	x, y := *was, *now
	for _, c := range []*care.Case{&x, &y} {
		c.Version, c.ChangedAt, c.TreatedAt, c.DueAt, c.AnsweredAt = 0, 0, 0, 0, 0
	}
	return reflect.DeepEqual(x, y)
}

// told checks what a change adds to a case's history: staff looked before they acted
// (invariant C5), and no deadline is said to have passed that has not.
func (a *files) told(c *care.Case, entries []care.Entry, at purchase.Instant) {
	for i := range entries {
		e := &entries[i]
		if e.By.Kind == care.ByStaff && !a.looks[look{e.By.Staff, c.Number}] {
			a.w.fail("C5", c.Purchase, "%s: %s of case %d, and never looked at the customer", a.staff[e.By.Staff].Login, e.Event, c.ID)
		}
		if e.Event != care.EventLate {
			continue
		}
		by := c.Clock.ResolveBy
		if e.Text == "answer" {
			by = c.Clock.AnswerBy
		}
		if by > at {
			a.w.fail("C6", c.Purchase, "case %d is said to be late %s before its time", c.ID, by.Sub(at))
		}
	}
}

// settled checks that a case closes only with what the ledger shows (invariant C6).
func (a *files) settled(c *care.Case) {
	a.w.tally.Settled++
	if c.Rule != "" {
		a.w.tally.ByRule++
	}
	if c.Purchase == 0 {
		if c.Outcome != care.OutcomeAnswered {
			a.w.fail("C6", 0, "a case without a purchase is settled as %s", c.Outcome)
		}
		return
	}
	r := a.w.book.records[c.Purchase]
	if r == nil {
		a.w.fail("C6", c.Purchase, "a case of a purchase that is not there")
		return
	}
	if c.Outcome != shows(&r.Purchase) || r.Purchase.Held != 0 {
		a.w.fail("C6", c.Purchase, "settled as %s, and the purchase is %s with %d held", c.Outcome, r.Purchase.State, r.Purchase.Held)
	}
}

// shows is the outcome that a purchase shows, 0 for none.
func shows(p *purchase.Purchase) care.Outcome {
	switch p.State {
	case purchase.Credited:
		return care.OutcomeCredited
	case purchase.Refunded:
		return care.OutcomeRefunded
	case purchase.Declined:
		return care.OutcomeNothingTaken
	case purchase.Charging, purchase.Crediting, purchase.Refunding:
	}
	return 0
}

// deadlines checks that a clock runs as its limits say: it stood still for as long as
// its writers' clocks say, and at no other time does a deadline move, nor one that had
// passed before the clock was stopped.
func (a *files) deadlines(was, now *care.Case) {
	if now.Reopened != was.Reopened {
		begins := care.DefaultClocks()
		if now.Clock != begins.Start(now.ChangedAt) {
			a.w.fail("C6", now.Purchase, "case %d is open again with the deadlines of before", now.ID)
		}
		return
	}
	stood := time.Duration(0)
	if was.Clock.PausedAt != 0 && now.Clock.PausedAt == 0 {
		stood = max(now.ChangedAt.Sub(was.Clock.PausedAt), 0)
	}
	for _, by := range [][2]purchase.Instant{{was.Clock.AnswerBy, now.Clock.AnswerBy}, {was.Clock.ResolveBy, now.Clock.ResolveBy}} {
		due := stood
		if by[0] <= was.Clock.PausedAt {
			due = 0
		}
		if moved := by[1].Sub(by[0]); moved != due {
			a.w.fail("C6", now.Purchase, "the clock of case %d stood still for %s, and a deadline moves by %s", now.ID, stood, moved)
		}
	}
	if (now.Status == care.Waiting) != (now.Clock.PausedAt != 0) {
		a.w.fail("C6", now.Purchase, "case %d is %s, and its clock stands since %d", now.ID, now.Status, now.Clock.PausedAt)
	}
}

// treatment checks that a rule acts once on a case, and keeps within its budget.
func (a *files) treatment(t *care.Treatment, since purchase.Instant) {
	a.w.tally.Treatments++
	key := treated{t.Rule, t.Case, int(t.Version)}
	if a.treated[key] {
		a.w.fail("C1", 0, "rule %s acts on case %d twice", t.Rule, t.Case)
	}
	a.treated[key] = true
	spent := t.Amount
	for i := range a.spent[t.Rule] {
		if o := &a.spent[t.Rule][i]; o.At >= since {
			spent += o.Amount
		}
	}
	if budget := a.budgets[t.Rule]; t.Amount > 0 && spent > budget {
		a.w.fail("C3", 0, "rule %s spends %d of %d in a day", t.Rule, spent, budget)
	}
	if t.Amount != 0 {
		a.spent[t.Rule] = append(a.spent[t.Rule], *t)
	}
	a.w.note("rule", a.cases[t.Case].Purchase, fmt.Sprintf("%s, %d", t.Rule, t.Amount))
}

// reported notes what a customer reported.
func (a *files) reported(r *care.Report) {
	a.reports = append(a.reports, *r)
	a.loose[loose{r.Purchase, r.Matter, r.Number}] = true
}

// looked notes a look.
func (a *files) looked(l *care.Look) { a.looks[look{l.Staff, l.Number}] = true }

// lookTogether is for how long cases that are due wait for others, while all comes to rest.
const lookTogether = 20 * time.Minute

// due is when a desk should look at what is due next, on a clock that is right, zero
// for never.
func (a *files) due() (at purchase.Instant) {
	if cases := a.dueCases(); cases != 0 {
		at = max(cases, a.w.now.Add(lookTogether))
	}
	return sooner(at, sooner(a.dueRequests(), a.dueCallbacks()))
}

// sooner is the earlier of two instants, of which zero is never.
func sooner(a, b purchase.Instant) purchase.Instant {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// dueCases is when the next case is due, zero for never, as dueRequests and dueCallbacks.
func (a *files) dueCases() purchase.Instant { return a.openCases.next() }

func (a *files) dueRequests() purchase.Instant { return a.openAsks.next() }

func (a *files) dueCallbacks() purchase.Instant { return a.openCalls.next() }

// final reports whether nothing more happens to a purchase: what care has to do about
// it can be done.
func (a *files) final(id purchase.ID) bool {
	r := a.w.book.records[id]
	return r != nil && r.Purchase.State.Final() && r.Purchase.Held == 0 && r.Purchase.DueAt == 0
}

// early reports whether an instant is still to come that a clock wrote which was ahead:
// whatever waits for it waits, as it must.
func (a *files) early(at purchase.Instant) bool { return a.w.ahead > 0 && at > a.w.now }

// leftCase reports whether a case is one that people have to end, as leftRequest and
// leftCallback of others.
func (a *files) leftCase(c *care.Case) bool {
	if c.Status.Closed() || c.Purchase != 0 && !a.final(c.Purchase) {
		return false
	}
	for _, id := range a.askedOf[c.Purchase] { // a case is not settled while something is asked for
		if r := a.requests[id]; !r.Stage.Over() && !a.leftRequest(r) {
			return false
		}
	}
	return true
}

func (a *files) leftRequest(r *care.Request) bool {
	return !r.Stage.Over() && a.final(r.Purchase) && (r.Stage != care.StageApproved || !a.early(r.DueAt))
}

func (a *files) leftCallback(c *care.Callback) bool {
	return c.State == care.Promised && !a.early(c.WindowAt)
}

// quiet reports whether people have nothing more to do.
func (a *files) quiet() bool {
	for id := range a.openCases.open {
		if a.leftCase(a.cases[id]) {
			return false
		}
	}
	for id := range a.openAsks.open {
		if a.leftRequest(a.requests[id]) {
			return false
		}
	}
	for id := range a.openCalls.open {
		if a.callbacks[id].WindowAt < a.w.now.Add(24*time.Hour) {
			return false
		}
	}
	return true
}

// atRest checks what must hold when nothing happens any more.
func (a *files) atRest() {
	w := a.w
	in := func(id purchase.ID, m purchase.Matter, who string) {
		if c := a.cases[a.about[id]]; c == nil || !c.Has(m) {
			w.fail("C6", id, "%s, %s, is in no case", m, who)
		}
	}
	for _, id := range w.book.ids {
		r := w.book.records[id]
		for i := range r.Cases {
			in(id, r.Cases[i].Matter, "found by the engine")
		}
	}
	for i := range a.reports {
		in(a.reports[i].Purchase, a.reports[i].Matter, "reported by a customer")
	}
	for _, id := range a.order {
		if c := a.cases[id]; a.leftCase(c) {
			w.fail("C6", c.Purchase, "case %d is %s at rest, and its purchase is settled", c.ID, c.Status)
		}
	}
	for _, id := range a.asks {
		if r := a.requests[id]; a.leftRequest(r) {
			w.fail("C1", r.Purchase, "request %d for %s is %s at rest", r.ID, r.Kind, r.Stage)
		}
	}
	for _, id := range a.calls {
		switch c := a.callbacks[id]; {
		case a.leftCallback(c):
			w.fail("C7", c.Purchase, "callback %d is open at rest", c.ID)
		case c.State == care.Broken && a.follows[c.ID] == 0:
			w.fail("C7", c.Purchase, "callback %d is broken, and none follows it", c.ID)
		}
	}
	a.stored()
}

// stored compares what the store holds with what was written to it.
func (a *files) stored() {
	w := a.w
	base, ok := w.store.Backing.(care.Store)
	if !ok {
		return
	}
	cases, err := base.Cases(w.ctx, a.order...)
	if err != nil || len(cases) != len(a.order) {
		w.fail("C6", 0, "%d of %d cases can be read: %v", len(cases), len(a.order), err)
		return
	}
	for i := range cases {
		ours := *a.cases[cases[i].ID]
		ours.ChangedAt = cases[i].ChangedAt // lines of callbacks move it
		if fmt.Sprintf("%+v", ours) != fmt.Sprintf("%+v", cases[i]) {
			w.fail("C6", ours.Purchase, "case %d was written as %+v, and the store holds %+v", ours.ID, ours, cases[i])
		}
	}
	for _, id := range a.calls {
		if c, err := base.Callback(w.ctx, id); err != nil || c != *a.callbacks[id] {
			w.fail("C7", c.Purchase, "callback %d was written as %+v, and the store holds %+v: %v", id, *a.callbacks[id], c, err)
		}
	}
	for _, id := range a.asks {
		if r, err := base.Request(w.ctx, id); err != nil || r != *a.requests[id] {
			w.fail("C1", r.Purchase, "request %d was written as %+v, and the store holds %+v: %v", id, *a.requests[id], r, err)
		}
	}
}
