package console

import (
	"mime"
	"net/http"
	"strconv"
	"time"

	"tenu/internal/money"
	"tenu/internal/reconcile"
)

// settledLooks say how the settlement of a day looks.
var settledLooks = map[reconcile.SettlementState]badge{reconcile.Settled: {"", "check", "good"}, reconcile.Awaited: {"", "clock", "wait"},
	reconcile.Unsettled: {"", "cross", "bad"}, reconcile.Unstated: {"", "clock", ""}, reconcile.NothingOwed: {"", "check", ""}}

type settledLine struct {
	Day, Partner, Account, Position, Fees, Due, Got, Difference string
	Entries                                                     int
	State                                                       badge
}

type positionLine struct {
	Partner, There, Here, Difference string
	Whole, Differs                   bool
	Statements                       int
}

type closeLine struct {
	Seq, Corrects  int64
	Day, At        string
	Holds, Checked bool
	Open           int
	Losses         []choice // who bears, and what
	Positions      []positionLine
	Still          []stillLine // the first of what is open
}

// stillLine is a break that was open when a day was closed.
type stillLine struct {
	ID                       int64
	Cause, Partner, Party    string
	There, Here, Age, Status string
}

type closesPage struct {
	frame
	Off, Unchecked bool // no statements are configured; no key is known to check signatures with
	Settled        []settledLine
	Closes         []closeLine
	Older          int
}

// closesMost is how many closes are shown, stillMost how many breaks of each, and settledMost how many settlements.
const (
	closesMost  = 31
	stillMost   = 20
	settledMost = 60
)

// closes shows how days were settled, and the signed records of days.
func (c *Console) closes(v *visit) {
	p := &closesPage{frame: v.frame("closes"), Off: c.cfg.Breaks == nil, Unchecked: c.cfg.Verify == nil}
	if p.Off {
		v.show(http.StatusOK, "closes", p)
		return
	}
	settled, err := c.cfg.Breaks.Settlements(v.r.Context(), v.Now)
	if err != nil {
		v.fail(err)
		return
	}
	for i := range settled[:min(len(settled), settledMost)] {
		p.Settled = append(p.Settled, v.settledLine(&settled[i]))
	}
	all, of, err := c.cfg.Breaks.Signed(v.r.Context(), c.cfg.Verify, closesMost)
	if err != nil {
		v.fail(err)
		return
	}
	p.Older = of - len(all)
	for i := range all {
		p.Closes = append(p.Closes, v.closeLine(&all[i]))
	}
	v.show(http.StatusOK, "closes", p)
}

func (v *visit) settledLine(s *reconcile.DaySettlement) settledLine {
	currency := money.Currency(s.Currency)
	b := settledLooks[s.State]
	b.Word = v.Say("settled_" + string(s.State))
	l := settledLine{Day: s.Day, Partner: v.partnerName(s.Partner), Account: v.partnerName(s.Account), Position: v.amount(s.Position, currency),
		Fees: v.amount(s.Fees, currency), Due: v.amount(s.Due, currency), Got: v.amount(s.Got, currency), Entries: s.Entries, State: b}
	if s.State == reconcile.Unsettled {
		l.Difference = v.amount(s.Got-s.Due, currency)
	}
	return l
}

func (v *visit) closeLine(s *reconcile.Signed) closeLine {
	l := closeLine{Seq: s.Close.Seq, Corrects: s.Close.Corrects, Day: s.Close.Day, At: v.moment(s.Close.At), Holds: s.Holds, Checked: v.cfg.Verify != nil,
		Open: len(s.Figures.Open) + s.Figures.OpenMore}
	for i := range s.Figures.Open[:min(len(s.Figures.Open), stillMost)] {
		o := &s.Figures.Open[i]
		currency := money.Currency(o.Currency)
		l.Still = append(l.Still, stillLine{o.ID, v.Say("cause_" + o.Cause), v.partnerName(o.Partner), v.bearer(o.Party), v.amount(o.There, currency),
			v.amount(o.Here, currency), v.age(time.Duration(o.AgeHours) * time.Hour), v.Say("breakstate_" + o.Status)})
	}
	for _, x := range s.Figures.Losses {
		l.Losses = append(l.Losses, choice{Code: v.amount(x.Amount, money.Currency(x.Currency)), Name: v.bearer(x.Party)})
	}
	for i := range s.Figures.Partners {
		partner := &s.Figures.Partners[i]
		for _, x := range partner.Positions {
			currency := money.Currency(x.Currency)
			l.Positions = append(l.Positions, positionLine{Partner: v.partnerName(partner.Partner), There: v.amount(x.There, currency), Here: v.amount(x.Here, currency),
				Difference: v.amount(x.Difference, currency), Whole: partner.Whole, Differs: x.Difference != 0, Statements: len(partner.Statements)})
		}
	}
	return l
}

// closeFile gives the signed record of a day, to be checked elsewhere.
func (c *Console) closeFile(v *visit) {
	seq, err := strconv.ParseInt(v.r.PathValue("close"), 10, 64)
	if err != nil || c.cfg.Breaks == nil {
		v.missing()
		return
	}
	all, err := c.cfg.Breaks.Closes(v.r.Context())
	if err != nil {
		v.fail(err)
		return
	}
	for i := range all {
		if all[i].Seq != seq {
			continue
		}
		h := v.w.Header()
		h.Set("Content-Type", "text/plain; charset=utf-8")
		h.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": "close-" + all[i].Day + "-" + strconv.FormatInt(seq, 10) + ".txt"}))
		h.Set("Cache-Control", "no-store")
		_, _ = v.w.Write([]byte(all[i].Note)) // a browser that left needs no answer
		return
	}
	v.missing()
}
