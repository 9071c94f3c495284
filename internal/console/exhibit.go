package console

import (
	"net/http"
	"strconv"

	"tenu/internal/auth"
	"tenu/internal/money"
	"tenu/internal/purchase"
	"tenu/internal/reconcile"
)

// said is one side's word about a movement.
type said struct {
	Head  string
	Facts []choice // name and value
	Bad   bool     // taken back
}

type breakPage struct {
	frame
	Line                        breakLine
	Cause                       string // what the kind means, in words
	Detail                      string
	Statement, File, Place      string
	Theirs, Ours                []said
	Changed                     bool // the purchase, since the break was looked at
	Advice, Why, Proposal       string
	Remedy                      string
	Decide, Own, Asked, Correct bool
	Maker, Checker              string
	Reason                      string
	Version                     int64
	History                     []historyLine
	Reopened                    int
}

type historyLine struct{ When, Who, What, Text string }

// breakOf shows one break with what both sides say.
func (c *Console) breakOf(v *visit) {
	id, err := strconv.ParseInt(v.r.PathValue("break"), 10, 64)
	if err != nil || c.cfg.Breaks == nil {
		v.missing()
		return
	}
	v.showBreak(id, http.StatusOK, "")
}

func (v *visit) showBreak(id int64, status int, wrong string) {
	x, err := v.cfg.Breaks.Exhibit(v.r.Context(), id)
	if err != nil {
		v.failBreak(err)
		return
	}
	names, err := v.names()
	if err != nil {
		v.fail(err)
		return
	}
	b := &x.Break
	p := &breakPage{frame: v.frame("breaks"), Line: v.breakLine(b), Cause: v.Say("causes_" + b.Cause.String()), Detail: b.Detail, Version: b.Version, Reopened: b.Reopened,
		Decide: v.mayDecide(b), Asked: b.Status == reconcile.StatusAsked, Own: b.Status == reconcile.StatusAsked && b.Maker == v.who.ID,
		Correct: b.Correction.Leg != 0, Maker: names[b.Maker], Checker: names[b.Checker], Reason: v.form("reason"), Changed: b.Purchase != 0 && x.Now > b.Found.Version}
	p.Problem = wrong
	if x.Shown.ID != 0 {
		p.Statement, p.File = strconv.FormatInt(x.Shown.ID, 10), x.Shown.Name
	}
	if b.Place != 0 {
		p.Place = strconv.FormatInt(b.Place, 10)
	}
	p.sides(v, &x)
	p.Remedy = string(x.Advice.Remedy)
	p.Advice, p.Why = v.Say("remedy_"+string(x.Advice.Remedy)), v.Say("because_"+string(x.Advice.Why))
	if x.Advice.Hindrance != "" {
		p.Why += " " + v.why(string(x.Advice.Hindrance), 0)
	}
	if o := &b.Correction.Outcome; p.Correct {
		p.Proposal = v.Say("correct_"+o.Kind.String(), "Leg", v.Say("leg_"+b.Correction.Leg.String()), "Amount", v.amount(o.Amount.Minor, o.Amount.Currency), "Ref", dash(o.Ref))
	}
	for _, e := range x.History {
		l := historyLine{When: v.moment(e.At), Who: v.Say("by_system"), What: v.Say("breakevent_" + e.Event)}
		if e.Staff != 0 { // what the system writes is said by its words
			l.Who, l.Text = v.staffName(names, e.Staff), e.Text
		}
		p.History = append(p.History, l)
	}
	v.show(status, "break", p)
}

func (v *visit) staffName(names map[auth.StaffID]string, id auth.StaffID) string {
	if names[id] != "" {
		return names[id]
	}
	return "#" + strconv.FormatInt(int64(id), 10)
}

func dash(text string) string {
	if text == "" {
		return "–"
	}
	return text
}

// facts are the names and values of those that have one.
func facts(pairs ...string) (all []choice) {
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			all = append(all, choice{Code: pairs[i+1], Name: pairs[i]})
		}
	}
	return all
}

func masked(m purchase.MSISDN) string {
	if m == 0 {
		return ""
	}
	return m.Masked()
}

// sides are what the statement says, and what is on record.
func (p *breakPage) sides(v *visit, x *reconcile.Exhibit) {
	for i := range x.There {
		l := &x.There[i]
		p.Theirs = append(p.Theirs, said{Head: v.Say("movement_" + l.Kind.String()), Bad: l.Kind == reconcile.KindUndone,
			Facts: facts(v.Say("col_amount"), v.amount(l.Amount.Minor, l.Amount.Currency), v.Say("col_number"), masked(l.Number), v.Say("break_product"), l.Product,
				v.Say("break_ref"), l.Ref, v.Say("break_key"), l.Key, v.Say("col_when"), v.moment(l.At), v.Say("break_line"), strconv.FormatInt(l.Place, 10))})
	}
	if x.Cause == reconcile.CauseSettlement {
		currency := money.Currency(x.Currency)
		p.Theirs = []said{{Head: v.Say("settled_came"), Facts: facts(v.Say("col_amount"), v.amount(x.Break.There, currency))}}
		p.Ours = []said{{Head: v.Say("settled_due"), Facts: facts(v.Say("col_amount"), v.amount(x.Break.Here, currency))}}
	}
	m := x.Here
	if m == nil {
		return
	}
	asked := facts(v.Say("col_amount"), v.amount(m.Amount.Minor, m.Amount.Currency), v.Say("col_number"), masked(m.Account), v.Say("break_product"), m.Product,
		v.Say("break_tries"), strconv.Itoa(m.Tries), v.Say("col_when"), v.moment(m.First))
	p.Ours = append(p.Ours, said{Head: v.Say("break_asked"), Facts: asked})
	add := func(key string, all []reconcile.Told, bad bool) {
		for i := range all {
			t := &all[i]
			p.Ours = append(p.Ours, said{Head: v.Say(key), Bad: bad, Facts: facts(v.Say("col_amount"), v.amount(t.Amount.Minor, t.Amount.Currency), v.Say("col_number"), masked(t.Account),
				v.Say("break_product"), t.Product, v.Say("break_ref"), t.Ref, v.Say("col_when"), v.moment(t.At))})
		}
	}
	add("break_told", m.Done, false)
	add("break_undone", m.Undone, true)
	if m.Denied {
		p.Ours = append(p.Ours, said{Head: v.Say("break_denied"), Bad: true, Facts: facts(v.Say("col_when"), v.moment(m.Seen))})
	}
	if len(m.Done) == 0 && !m.Denied {
		p.Ours = append(p.Ours, said{Head: v.Say("break_unheard")})
	}
}
