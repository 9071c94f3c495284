package console

import (
	"cmp"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"tenu/internal/auth"
	"tenu/internal/care"
	"tenu/internal/money"
	"tenu/internal/reconcile"
)

// breaksPerPage is how many breaks one page lists.
const breaksPerPage = 50

var breakLooks = map[reconcile.Status]badge{reconcile.StatusOpen: {"", "cross", "bad"}, reconcile.StatusAsked: {"", "clock", "wait"},
	reconcile.StatusAccepted: {"", "pulse", "back"}, reconcile.StatusResolved: {"", "check", "good"}}

func (v *visit) breakBadge(s reconcile.Status) badge {
	b := breakLooks[s]
	b.Word = v.Say("breakstate_" + s.String())
	return b
}

// bearer is who answers for a break, in words.
func (v *visit) bearer(party string) string {
	if party == reconcile.House {
		return v.Say("party_tenu")
	}
	return v.partnerName(party)
}

// breakLine is a break on one line.
type breakLine struct {
	ID                                                int64
	Cause, Partner, Party, Here, There, Loss          string
	Age, Purchase, Leg, Ref, Case, Number, At, Reason string
	State                                             badge
}

func (v *visit) breakLine(b *reconcile.Break) breakLine {
	currency := money.Currency(b.Currency)
	l := breakLine{ID: b.ID, Cause: v.Say("cause_" + b.Cause.String()), Partner: v.partnerName(b.Partner), Party: v.bearer(b.Party),
		Here: v.amount(b.Here, currency), There: v.amount(b.There, currency), Age: v.age(v.Now.Sub(b.FirstAt)), Ref: b.Ref, At: v.moment(b.At), Reason: b.Reason,
		State: v.breakBadge(b.Status)}
	if loss := b.Loss(); loss > 0 {
		l.Loss = v.amount(loss, currency)
	}
	if b.Purchase != 0 {
		l.Purchase = v.cfg.References.Reference(b.Purchase).String()
	}
	if b.Leg != 0 {
		l.Leg = v.Say("leg_" + b.Leg.String())
	}
	if b.Case != 0 {
		l.Case = v.cfg.Care.CaseReference(care.CaseID(b.Case))
	}
	if b.Number != 0 {
		l.Number = b.Number.Masked()
	}
	return l
}

// age is how old something is, in the two largest units.
func (v *visit) age(d time.Duration) string {
	switch minutes := int(d.Minutes()); {
	case minutes < 60:
		return v.Say("age_minutes", "N", itoa(max(minutes, 0)))
	case minutes < 48*60:
		return v.Say("age_hours", "N", itoa(minutes/60))
	default:
		return v.Say("age_days", "N", itoa(minutes/60/24))
	}
}

// breakSum is what breaks of a kind, or of who answers for them, add up to.
type breakSum struct {
	Name   string
	Breaks int64
	Loss   []string // by currency
	Link   string
	loss   map[string]int64
}

type breaksPage struct {
	frame
	Off                               bool // no statements are configured
	Breaks                            []breakLine
	Kinds, Parties                    []breakSum
	All                               int64
	Causes, Partners, Bearers, States []choice
	Ages                              []choice
	Cause, Partner, Party, State, Age string
	More                              string
}

// breakAges are after how many days a break counts as old.
var breakAges = []int{1, 3, 7, 30}

// breaks lists what partners' statements say otherwise than our records, with what it adds up to.
func (c *Console) breaks(v *visit) {
	p := &breaksPage{frame: v.frame("breaks"), Cause: v.query("cause"), Partner: v.query("partner"), Party: v.query("party"), State: v.query("state"), Age: v.query("age")}
	if c.cfg.Breaks == nil {
		p.Off = true
		v.show(http.StatusOK, "breaks", p)
		return
	}
	q := p.sift(v)
	all, err := c.cfg.Breaks.Breaks(v.r.Context(), q)
	if err == nil {
		var totals []reconcile.BreakTotal
		totals, err = c.cfg.Breaks.Totals(v.r.Context(), q)
		p.sums(v, totals)
	}
	if err == nil {
		err = p.choices(v)
	}
	if err != nil {
		v.fail(err)
		return
	}
	for i := range all {
		p.Breaks = append(p.Breaks, v.breakLine(&all[i]))
	}
	if len(all) == breaksPerPage {
		p.More = p.link("before", strconv.FormatInt(all[len(all)-1].ID, 10))
	}
	v.show(http.StatusOK, "breaks", p)
}

// sift is what the filters select. What they do not know selects nothing more.
func (p *breaksPage) sift(v *visit) reconcile.Sift {
	q := reconcile.Sift{Partner: p.Partner, Party: p.Party, Limit: breaksPerPage,
		Status: []reconcile.Status{reconcile.StatusOpen, reconcile.StatusAsked, reconcile.StatusAccepted}}
	q.Cause, _ = reconcile.ParseCause(p.Cause)
	for _, s := range breakStates {
		if s.String() == p.State {
			q.Status = []reconcile.Status{s}
		}
	}
	if p.State == "all" {
		q.Status = nil
	}
	if days, err := strconv.Atoi(p.Age); err == nil && slices.Contains(breakAges, days) {
		q.First = reconcile.Span{To: v.Now.Add(-time.Duration(days) * 24 * time.Hour)}
	}
	q.Before, _ = strconv.ParseInt(v.query("before"), 10, 64)
	return q
}

var breakStates = []reconcile.Status{reconcile.StatusOpen, reconcile.StatusAsked, reconcile.StatusAccepted, reconcile.StatusResolved}

// link is this page with one filter changed.
func (p *breaksPage) link(name, value string) string {
	q := url.Values{}
	for k, old := range map[string]string{"cause": p.Cause, "partner": p.Partner, "party": p.Party, "state": p.State, "age": p.Age} {
		if old != "" {
			q.Set(k, old)
		}
	}
	q.Set(name, value)
	return "/breaks?" + q.Encode()
}

// choices are those of the filters.
func (p *breaksPage) choices(v *visit) error {
	for _, cause := range reconcile.Causes {
		p.Causes = append(p.Causes, choice{cause.String(), v.Say("cause_" + cause.String())})
	}
	p.Bearers = append(p.Bearers, choice{reconcile.House, v.Say("party_tenu")})
	for _, name := range v.cfg.Breaks.Partners() {
		p.Partners = append(p.Partners, choice{name, v.partnerName(name)})
		p.Bearers = append(p.Bearers, choice{name, v.partnerName(name)})
	}
	sortChoices(p.Causes)
	for _, s := range breakStates {
		p.States = append(p.States, choice{s.String(), v.Say("breakstate_" + s.String())})
	}
	for _, days := range breakAges {
		p.Ages = append(p.Ages, choice{itoa(days), v.Say("age_over", "N", itoa(days))})
	}
	return nil
}

// sums add up by kind and by who answers.
func (p *breaksPage) sums(v *visit, totals []reconcile.BreakTotal) {
	kinds, parties := map[string]*breakSum{}, map[string]*breakSum{}
	for i := range totals {
		t := &totals[i]
		p.All += t.Breaks
		for _, x := range []struct {
			in              map[string]*breakSum
			key, name, link string
		}{{kinds, t.Cause.String(), v.Say("cause_" + t.Cause.String()), "cause"}, {parties, t.Party, v.bearer(t.Party), "party"}} {
			s := x.in[x.key]
			if s == nil {
				s = &breakSum{Name: x.name, Link: p.link(x.link, x.key), loss: map[string]int64{}}
				x.in[x.key] = s
			}
			s.Breaks += t.Breaks
			s.loss[t.Currency] += t.Loss
		}
	}
	p.Kinds, p.Parties = v.summed(kinds), v.summed(parties)
}

func (v *visit) summed(of map[string]*breakSum) (all []breakSum) {
	for _, s := range of {
		for currency, loss := range s.loss {
			if loss != 0 {
				s.Loss = append(s.Loss, v.amount(loss, money.Currency(currency)))
			}
		}
		slices.Sort(s.Loss)
		all = append(all, *s)
	}
	slices.SortFunc(all, func(a, b breakSum) int { return cmp.Or(cmp.Compare(b.Breaks, a.Breaks), cmp.Compare(a.Name, b.Name)) })
	return all
}

// breakRefusals say why something is not done about a break.
var breakRefusals = []struct {
	err    error
	status int
	key    string
}{
	{reconcile.ErrOver, http.StatusConflict, "break_over"}, {reconcile.ErrNoCorrection, http.StatusUnprocessableEntity, "break_uncorrected"},
	{reconcile.ErrReason, http.StatusUnprocessableEntity, "why_reason"}, {reconcile.ErrBound, http.StatusForbidden, "break_bound"},
	{reconcile.ErrSame, http.StatusForbidden, "why_same"}, {reconcile.ErrOwn, http.StatusForbidden, "why_own_number"},
	{reconcile.ErrMoved, http.StatusConflict, "break_moved"}, {reconcile.ErrStale, http.StatusConflict, "changed"},
}

// decideBreak accepts or refuses the correction of a break, or ends it without one, as `tenu reconcile` does.
func (c *Console) decideBreak(v *visit) {
	id, err := strconv.ParseInt(v.r.PathValue("break"), 10, 64)
	if err != nil || c.cfg.Breaks == nil {
		v.missing()
		return
	}
	do := map[string]func() (reconcile.Break, error){
		"accept": func() (reconcile.Break, error) {
			return c.cfg.Breaks.Accept(v.r.Context(), id, v.who, v.form("reason"))
		},
		"refuse": func() (reconcile.Break, error) {
			return c.cfg.Breaks.Refuse(v.r.Context(), id, v.who, v.form("reason"))
		},
		"resolve": func() (reconcile.Break, error) {
			return c.cfg.Breaks.Resolve(v.r.Context(), id, v.who, v.form("reason"))
		},
	}[v.form("do")]
	if do == nil {
		v.missing()
		return
	}
	now, err := c.cfg.Breaks.Break(v.r.Context(), id)
	if err == nil && strconv.FormatInt(now.Version, 10) != v.form("version") {
		err = reconcile.ErrStale
	}
	if err == nil {
		now, err = do()
	}
	if err == nil {
		v.see("/breaks/" + strconv.FormatInt(id, 10) + "?done=break_" + now.Status.String())
		return
	}
	for _, r := range breakRefusals {
		if errors.Is(err, r.err) {
			v.showBreak(id, r.status, v.Say(r.key))
			return
		}
	}
	v.failBreak(err)
}

func (v *visit) failBreak(err error) {
	if errors.Is(err, reconcile.ErrNoBreak) {
		v.missing()
		return
	}
	v.fail(err)
}

// mayDecide reports whether a form to decide is shown: to whom the role lets, about what is not over, and not of their own making.
func (v *visit) mayDecide(b *reconcile.Break) bool {
	return v.may(auth.DecideBreaks) && (b.Status == reconcile.StatusOpen || b.Status == reconcile.StatusAsked)
}
