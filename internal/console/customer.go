package console

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"tenu/internal/auth"
	"tenu/internal/care"
	"tenu/internal/page"
	"tenu/internal/purchase"
)

// reasons are why a customer may be looked at.
var reasons = []string{"call", "case", "check", "other"}

// lookLife is how long a reason holds: as long as a conversation.
const lookLife = 30 * time.Minute

// looked reports whether the person gave a reason for a customer a moment ago.
func (v *visit) looked(number purchase.MSISDN) (bool, error) {
	looks, err := v.cfg.Store.Looks(v.r.Context(), number, v.who.ID, 1)
	if err != nil {
		return false, err
	}
	return len(looks) == 1 && looks[0].At > v.Now.Add(-lookLife) && looks[0].At >= v.session.At, nil
}

type reasonPage struct {
	frame
	Number  purchase.MSISDN
	To      string
	Reasons []choice
}

type choice struct{ Code, Name string }

// maxReason bounds a reason in words, in bytes.
const maxReason = 200

// cut is a text of at most so many bytes, without half a character at its end.
func cut(text string, most int) string {
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "")
	}
	return text
}

// admit asks for a reason before anything of a customer is shown (invariant C5), and
// reports whether one was given, or the customer calls.
func (v *visit) admit(number purchase.MSISDN) bool {
	ok, err := v.looked(number)
	if err == nil && !ok && !v.who.Owns(number) {
		ok, err = v.calling(number)
	}
	switch {
	case err != nil:
		v.fail(err)
		return false
	case ok:
		return true
	case v.who.Owns(number):
		v.problem(http.StatusForbidden, "why_own_number")
		return false
	}
	p := &reasonPage{frame: v.frame(""), Number: number, To: v.Self()} // after a form that came too late, the page it was on
	for _, code := range reasons {
		p.Reasons = append(p.Reasons, choice{code, v.Say("reason_" + code)})
	}
	v.show(http.StatusOK, "reason", p)
	return false
}

// reason takes the reason down, and leads on.
func (c *Console) reason(v *visit) {
	number, known := v.numberOf()
	if !known {
		v.missing()
		return
	}
	why, detail := v.form("reason"), v.form("detail")
	text := why
	if detail != "" {
		text += ": " + detail
	}
	if !contains(reasons, why) || why == "other" && detail == "" {
		v.problem(http.StatusUnprocessableEntity, "reason_needed")
		return
	}
	if v.who.Owns(number) {
		v.problem(http.StatusForbidden, "why_own_number")
		return
	}
	text = cut(text, maxReason)
	if err := c.cfg.Store.AddLook(v.r.Context(), care.Look{At: v.Now, Staff: v.who.ID, Number: number, Reason: text}); err != nil {
		v.fail(err)
		return
	}
	v.see(page.Within(v.form("to")))
}

func contains[T comparable](all []T, one T) bool {
	for _, x := range all {
		if x == one {
			return true
		}
	}
	return false
}

// noted logs that a purchase or a case of a customer is looked at, too.
func (v *visit) noted(number purchase.MSISDN, id purchase.ID, file care.CaseID) error {
	looks, err := v.cfg.Store.Looks(v.r.Context(), number, v.who.ID, 30)
	if err != nil {
		return err
	}
	for _, l := range looks {
		if l.Purchase == id && l.Case == file && l.At > v.Now.Add(-lookLife) {
			return nil
		}
	}
	reason := "call"
	if len(looks) > 0 {
		reason = looks[0].Reason
	}
	return v.cfg.Store.AddLook(v.r.Context(), care.Look{At: v.Now, Staff: v.who.ID, Number: number, Purchase: id, Case: file, Reason: reason})
}

type customerPage struct {
	frame
	Number    purchase.MSISDN
	Operator  string
	Purchases []brief
	Older     string
	Cases     []fileLine
	Calls     []callLine
	Windows   []choice
	Requests  []requestLine
	Matters   []choice
	Incidents []string
	Lookers   []string // who else looks
	OnLine    bool     // there is a telephone line, and these are the calls to it:
	Heard     []heardLine
}

// perPage is how many purchases one page lists.
const perPage = 15

// customer is the one screen of a customer.
func (c *Console) customer(v *visit) {
	number, known := v.numberOf()
	if !known {
		v.missing()
		return
	}
	if !v.admit(number) {
		return
	}
	p := &customerPage{frame: v.frame("customer"), Number: number, Operator: v.operator(number)}
	p.Live = "customer/" + number.String()
	if err := errors.Join(p.purchases(v), p.files(v), p.callbacks(v), p.heard(v)); err != nil {
		v.fail(err)
		return
	}
	for _, m := range care.Matters {
		p.Matters = append(p.Matters, choice{string(m), v.matter(m)})
	}
	p.Lookers = v.hub.others(p.Live, v.who.ID)
	v.show(http.StatusOK, "customer", p)
}

func (v *visit) operator(number purchase.MSISDN) string {
	o, err := v.cfg.Numbers.Operator(number)
	if err != nil {
		return ""
	}
	return v.cfg.Numbers.Name(o)
}

// purchases lists what the number paid for and received.
func (p *customerPage) purchases(v *visit) error {
	ctx := v.r.Context()
	var before purchase.ID
	if text := v.query("before"); text != "" {
		id, err := v.cfg.References.Parse(text)
		if err != nil {
			return purchase.ErrNotFound
		}
		before = id
	}
	list, err := v.cfg.Purchases.List(ctx, purchase.Page{Number: p.Number, Before: before, Limit: perPage})
	if err != nil || len(list) == 0 {
		return err
	}
	p.inTheirs(v, list[0].Language)
	ids := make([]purchase.ID, len(list))
	for i := range list {
		ids[i] = list[i].ID
	}
	cases, err := v.cfg.Care.CasesAbout(ctx, ids...)
	if err != nil {
		return err
	}
	requests, err := v.cfg.Care.Requests(ctx, ids...)
	if err != nil {
		return err
	}
	for i := range list {
		b := v.brief(&list[i], p.Number)
		for j := range cases {
			if cases[j].Purchase == list[i].ID {
				b.Case = v.cfg.Care.CaseReference(cases[j].ID)
			}
		}
		in, err := v.affected(list[i].ID)
		if err != nil {
			return err
		}
		if in != nil {
			b.Incident = in.ID.String()
		}
		p.Purchases = append(p.Purchases, b)
	}
	names, err := v.names()
	if err != nil {
		return err
	}
	for i := range requests {
		p.Requests = append(p.Requests, v.requestLine(&requests[i], names))
	}
	if len(list) == perPage {
		p.Older = p.Purchases[perPage-1].Reference
	}
	return nil
}

// files lists the number's cases, open ones first.
func (p *customerPage) files(v *visit) error {
	cases, err := v.cfg.Care.CasesOf(v.r.Context(), p.Number, 50)
	if err != nil {
		return err
	}
	names, err := v.names()
	if err != nil {
		return err
	}
	incidents := map[string]bool{}
	for _, open := range []bool{true, false} {
		for i := range cases {
			if cases[i].Into == 0 && open == !cases[i].Status.Closed() {
				p.Cases = append(p.Cases, v.fileLine(&cases[i], names))
			}
			if name := cases[i].Incident; open && name != "" && !incidents[name] {
				incidents[name] = true
				p.Incidents = append(p.Incidents, name)
			}
		}
	}
	return nil
}

// callLine is a callback on one line.
type callLine struct {
	ID                                    int64
	Number, Raw, Window, Reason, Language string
	About                                 string // a purchase's reference
	Case                                  string
	State                                 badge
	Tries                                 []string
	Try                                   int
	Front, Soon, Trying, Mine, Now        bool
	Left, Owner                           string
}

func (v *visit) window(at purchase.Instant) string {
	from := at.Time().In(v.cfg.Location)
	text := from.Format("15:04") + "–" + from.Add(care.Window).Format("15:04")
	if v.Today(at) {
		return text
	}
	return from.Format("02/01") + " " + text
}

func (v *visit) callLine(c *care.Callback, tries []care.Attempt, names map[auth.StaffID]string) callLine {
	l := callLine{ID: c.ID, Number: v.phone(c.Number), Raw: c.Number.String(), Window: v.window(c.WindowAt), Reason: v.legible(c.Reason), Language: string(c.Language),
		State: v.callBadge(c.State), Front: c.Follows != 0, Try: c.Tries, Trying: c.Trying, Mine: c.Trying && c.Owner == v.who.ID}
	if c.Owner != 0 {
		l.Owner = names[c.Owner]
	}
	if c.State == care.Promised {
		l.Soon = c.Alerted != 0
		l.Left = v.left(c.Till())
		l.Now = !c.Trying && v.Now >= max(c.WindowAt, c.NextAt)
	}
	if c.Purchase != 0 {
		l.About = v.cfg.References.Reference(c.Purchase).String()
	}
	if c.Case != 0 {
		l.Case = v.cfg.Care.CaseReference(c.Case)
	}
	for _, t := range tries {
		l.Tries = append(l.Tries, v.moment(t.At)+" "+names[t.Staff]+" : "+v.Say("ring_"+t.Ring.String()))
	}
	return l
}

// callbacks lists the number's callbacks with their attempts, and what may be promised.
func (p *customerPage) callbacks(v *visit) error {
	ctx := v.r.Context()
	all, err := v.cfg.Care.Callbacks(ctx, p.Number, 10)
	if err != nil {
		return err
	}
	names, err := v.names()
	if err != nil {
		return err
	}
	open := false
	for i := range all {
		tries, err := v.cfg.Store.Attempts(ctx, all[i].ID)
		if err != nil {
			return err
		}
		open = open || all[i].State == care.Promised
		p.Calls = append(p.Calls, v.callLine(&all[i], tries, names))
	}
	if !open {
		p.Windows, err = v.windows()
	}
	return err
}

// windows are those that can still take a callback, for who may promise one.
func (v *visit) windows() (all []choice, err error) {
	if !v.may(auth.PromiseCallback) {
		return nil, nil
	}
	windows, err := v.cfg.Care.Windows(v.r.Context(), 12)
	for _, at := range windows {
		all = append(all, choice{strconv.FormatInt(int64(at), 10), v.window(at)})
	}
	return all, err
}

// promise promises a callback to a customer.
func (c *Console) promise(v *visit) {
	number, known := v.numberOf()
	if !known {
		v.missing()
		return
	}
	if !v.admit(number) {
		return
	}
	if v.form("do") == "cancel" {
		id, err := strconv.ParseInt(v.form("id"), 10, 64)
		if err == nil {
			_, err = c.cfg.Care.Cancel(v.r.Context(), id, number)
		} else {
			err = care.ErrNotFound
		}
		if err != nil {
			v.fail(err)
			return
		}
		v.see("/customers/" + number.String() + "?done=cancelled")
		return
	}
	at, err := strconv.ParseInt(v.form("window"), 10, 64)
	if err != nil {
		at = 0 // no window begins then
	}
	x := care.Callback{Number: number, WindowAt: purchase.Instant(at), Channel: "console", Reason: v.form("reason")}
	if x.Purchase, x.Language, err = v.about(number); err != nil {
		v.fail(err)
		return
	}
	switch _, _, err = c.cfg.Care.Promise(v.r.Context(), x); {
	case errors.Is(err, care.ErrFull), errors.Is(err, care.ErrWindow):
		v.problem(http.StatusConflict, "window_full")
	case err != nil:
		v.fail(err)
	default:
		v.see("/customers/" + number.String() + "?done=promised")
	}
}

// about is the purchase that a form of a customer names, 0 for none, which must be
// theirs, and the language that the customer is written to in: that of the purchase, or
// of the newest.
func (v *visit) about(number purchase.MSISDN) (purchase.ID, purchase.Language, error) {
	ctx, text := v.r.Context(), v.form("about")
	if text == "" {
		last, err := v.cfg.Purchases.List(ctx, purchase.Page{Number: number, Limit: 1})
		if err != nil || len(last) == 0 {
			return 0, standard, err
		}
		return 0, last[0].Language, nil
	}
	id, err := v.cfg.References.Parse(text)
	if err != nil {
		return 0, "", purchase.ErrNotFound
	}
	records, err := v.cfg.Purchases.Load(ctx, id)
	if err != nil {
		return 0, "", err
	}
	if len(records) == 0 || records[0].Purchase.PayerNumber != number && records[0].Purchase.Recipient != number {
		return 0, "", purchase.ErrNotFound
	}
	return id, records[0].Purchase.Language, nil
}

// openCase opens a case of a customer, about a purchase or none.
func (c *Console) openCase(v *visit) {
	number, known := v.numberOf()
	if !known {
		v.missing()
		return
	}
	if !v.admit(number) {
		return
	}
	n := care.NewCase{Number: number, Matter: purchase.Matter(v.form("matter")), Detail: v.form("detail"), Channel: "console"}
	var err error
	if n.Purchase, n.Language, err = v.about(number); err != nil {
		v.fail(err)
		return
	}
	file, _, err := c.cfg.Care.Open(v.r.Context(), care.Actor{Kind: care.ByStaff, Staff: v.who.ID}, n)
	if errors.Is(err, care.ErrMatter) {
		v.problem(http.StatusUnprocessableEntity, "matter_needed")
		return
	}
	if err != nil {
		v.fail(err)
		return
	}
	v.see("/cases/" + c.cfg.Care.CaseReference(file.ID) + "?done=opened")
}

type balancePage struct {
	frame
	Main   string
	Others []string
	At     string
	Known  bool
}

// balanceWithin is how long the charging system is waited for.
const balanceWithin = 3 * time.Second

// balance asks the charging system what the line holds.
func (c *Console) balance(v *visit) {
	number, known := v.numberOf()
	if !known {
		v.missing()
		return
	}
	if !v.admit(number) {
		return
	}
	ctx, cancel := context.WithTimeout(v.r.Context(), balanceWithin)
	defer cancel()
	p := &balancePage{frame: v.frame(""), At: v.moment(v.Now)}
	line, err := c.cfg.Sales.Balance(ctx, number.String())
	if err == nil {
		p.Known, p.Main = true, page.Unbroken(line.Balances.Main.String())
		for _, b := range line.Balances.Bundles {
			text := v.productName(b.Code) + " : " + strconv.FormatInt(b.Left, 10) + " " + b.Unit
			if b.Expires != 0 {
				text += ", " + v.Time(b.Expires)
			}
			p.Others = append(p.Others, text)
		}
	}
	v.write(http.StatusOK, "balance", "main", p)
}
