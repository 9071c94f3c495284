package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"tenu/internal/care"
	"tenu/internal/customer"
	"tenu/internal/purchase"
)

type helpPage struct {
	frame
	Last  *shown
	Cases []file
}

func (w *Web) help(v *visit) {
	views, err := w.cfg.Customers.Last(v.r.Context(), v.number, 0, 1)
	if err != nil {
		v.fail(err)
		return
	}
	p := &helpPage{frame: v.frame("help")}
	if len(views) > 0 {
		x := v.speaker.purchase(&views[0])
		p.Last = &x
	}
	cases, err := w.cfg.Customers.Cases(v.r.Context(), v.number)
	if err != nil {
		v.fail(err)
		return
	}
	for i := range cases {
		p.Cases = append(p.Cases, v.speaker.file(&cases[i]))
	}
	v.show(http.StatusOK, "help", p)
}

type reportPage struct {
	frame
	View    shown
	Matters []matter
	Form    struct{ Matter, Meant, Detail string }
}

type matter struct{ Code, Name, Hint string }

func (v *visit) reportPage(view *customer.View) *reportPage {
	p := &reportPage{frame: v.frame("help"), View: v.speaker.purchase(view)}
	for _, m := range care.Matters {
		p.Matters = append(p.Matters, matter{string(m), v.Say("matter_" + string(m)), v.Say("matter_" + string(m) + "_hint")})
	}
	return p
}

func (w *Web) reportForm(v *visit) {
	view, err := w.cfg.Customers.Purchase(v.r.Context(), v.number, v.r.PathValue("reference"))
	if err != nil {
		v.fail(err)
		return
	}
	v.show(http.StatusOK, "report", v.reportPage(&view))
}

// report takes a report down. The same twice is one.
func (w *Web) report(v *visit) {
	view, err := w.cfg.Customers.Purchase(v.r.Context(), v.number, v.r.PathValue("reference"))
	if err != nil {
		v.fail(err)
		return
	}
	p := v.reportPage(&view)
	p.Form.Matter, p.Form.Meant, p.Form.Detail = v.form("matter"), v.form("meant"), v.form("detail")
	r := care.Report{Purchase: view.ID, Number: v.number, Matter: purchase.Matter(p.Form.Matter), Channel: "app", Detail: p.Form.Detail}
	if r.Matter == care.MatterWrongNumber {
		if p.Form.Meant == "" {
			p.Problem = &problem{"meant", v.Say("report_meant_missing")}
		} else if r.Meant, err = w.cfg.Sales.Number(p.Form.Meant); err != nil {
			refused, _ := v.refusal(err)
			p.Problem = &problem{"meant", refused.Text}
		}
	}
	if p.Problem == nil {
		if _, _, err = w.cfg.Care.Report(v.r.Context(), r); errors.Is(err, care.ErrMatter) {
			p.Problem = &problem{"matter", v.Say("report_choose")}
		} else if err != nil {
			v.fail(err)
			return
		}
	}
	if p.Problem != nil {
		v.show(http.StatusUnprocessableEntity, "report", p)
		return
	}
	v.see("/purchases/" + p.View.Reference + "?reported")
}

type callbackPage struct {
	frame
	Open      *promised
	Windows   []window
	Purchases []shown
	Past      []promised
}

type window struct{ At, Text string }

// promised is a callback in words.
type promised struct {
	ID     int64
	Window string
	State  badge
}

var callbackLooks = map[care.State]struct{ word, icon, tone string }{
	care.Promised: {"promised", "phone", "case"}, care.Kept: {"kept", "check", "good"},
	care.Cancelled: {"cancelled", "cross", ""}, care.Broken: {"broken", "cross", "bad"},
}

func (v *visit) promisedOf(c *care.Callback) promised {
	look := callbackLooks[c.State]
	return promised{c.ID, v.window(c.WindowAt), badge{v.Say("callback_state_" + look.word), look.icon, look.tone}}
}

// promisedNow is the number's open callback, or nil.
func (v *visit) promisedNow() (*promised, error) {
	last, err := v.cfg.Care.Callbacks(v.r.Context(), v.number, 1)
	if err != nil || len(last) == 0 || last[0].State != care.Promised {
		return nil, err
	}
	p := v.promisedOf(&last[0])
	return &p, nil
}

func (w *Web) callback(v *visit) { v.showCallback(http.StatusOK, nil) }

func (v *visit) showCallback(status int, wrong *problem) {
	ctx := v.r.Context()
	p := &callbackPage{frame: v.frame("help")}
	p.Problem = wrong
	all, err := v.cfg.Care.Callbacks(ctx, v.number, 10)
	if err != nil {
		v.fail(err)
		return
	}
	for i := range all {
		if x := v.promisedOf(&all[i]); all[i].State == care.Promised {
			p.Open = &x
		} else {
			p.Past = append(p.Past, x)
		}
	}
	if p.Open == nil {
		windows, err := v.cfg.Care.Windows(ctx, 8)
		if err != nil {
			v.fail(err)
			return
		}
		for _, at := range windows {
			p.Windows = append(p.Windows, window{strconv.FormatInt(int64(at), 10), v.window(at)})
		}
		views, err := v.cfg.Customers.Last(ctx, v.number, 0, 5)
		if err != nil {
			v.fail(err)
			return
		}
		for i := range views {
			p.Purchases = append(p.Purchases, v.speaker.purchase(&views[i]))
		}
	}
	v.show(status, "callback", p)
}

// promise promises a callback or cancels one.
func (w *Web) promise(v *visit) {
	ctx := v.r.Context()
	if v.form("do") == "cancel" {
		id, err := strconv.ParseInt(v.form("id"), 10, 64)
		if err == nil {
			_, err = w.cfg.Care.Cancel(ctx, id, v.number)
		} else {
			err = customer.ErrNotFound
		}
		if errors.Is(err, care.ErrNotFound) {
			err = customer.ErrNotFound
		}
		if err != nil {
			v.fail(err)
			return
		}
		v.see("/callback")
		return
	}
	at, err := strconv.ParseInt(v.form("window"), 10, 64)
	if err != nil {
		at = 0 // no window begins then
	}
	c := care.Callback{Number: v.number, WindowAt: purchase.Instant(at), Channel: "app", Language: purchase.Language(v.lang)}
	if about := v.form("about"); about != "" {
		view, err := w.cfg.Customers.Purchase(ctx, v.number, about)
		if err != nil {
			v.fail(err)
			return
		}
		c.Purchase = view.ID
	}
	switch _, _, err = w.cfg.Care.Promise(ctx, c); {
	case errors.Is(err, care.ErrFull), errors.Is(err, care.ErrWindow):
		v.showCallback(http.StatusConflict, &problem{Text: v.Say("callback_full")})
	case err != nil:
		v.fail(err)
	default:
		v.see("/callback")
	}
}

type statusPage struct {
	frame
	Services []service
	At       string
	Form     struct{ Reference string }
	Answer   *badge
}

type service struct {
	Name  string
	State badge
}

var healthLooks = map[Health]badge{Up: {"status_up", "check", "good"}, Slow: {"status_slow", "clock", "wait"}, Down: {"status_down", "cross", "bad"}}

func (v *visit) services() []service {
	var all []service
	for _, s := range v.cfg.Services() {
		look := healthLooks[s.Health]
		look.Word = v.Say(look.Word)
		all = append(all, service{v.nameOf(s.Names), look})
	}
	return all
}

func (v *visit) nameOf(names map[string]string) string {
	if name := names[v.lang]; name != "" {
		return name
	}
	return names[standard]
}

// pauses tells what cannot be bought now, before anybody tries.
func (v *visit) pauses() []string {
	var all []string
	for _, s := range v.cfg.Services() {
		if s.Health == Down {
			all = append(all, v.Say("status_paused", "Service", v.nameOf(s.Names)))
		}
	}
	return all
}

func (v *visit) statusPage() *statusPage {
	return &statusPage{frame: v.frame("help"), Services: v.services(), At: v.Time(v.cfg.Clock.Now())}
}

func (w *Web) status(v *visit) { v.show(http.StatusOK, "status", v.statusPage()) }

// affected tells whether a purchase of the customer's is.
func (w *Web) affected(v *visit) {
	p := v.statusPage()
	p.Form.Reference = v.form("reference")
	view, err := w.cfg.Customers.Purchase(v.r.Context(), v.number, p.Form.Reference)
	switch {
	case errors.Is(err, customer.ErrNotFound):
		p.Problem = &problem{"reference", v.Say("affected_unknown")}
		v.show(http.StatusUnprocessableEntity, "status", p)
		return
	case err != nil:
		v.fail(err)
		return
	}
	answer := looks[view.Stage]
	switch view.Stage {
	case customer.Done:
		answer.Word = v.Say("affected_credited")
	case customer.Back:
		answer.Word = v.Say("affected_refunded")
	case customer.Declined:
		answer.Word = v.Say("affected_declined")
	case customer.Asking:
		answer.Word = v.Say("affected_asking")
	case customer.Paid, customer.Late, customer.Refunding, customer.Unconfirmed:
		answer.Word = v.Say("affected_pending", "Time", v.Time(view.ResolveBy))
	}
	p.Answer = &answer
	v.show(http.StatusOK, "status", p)
}

// balanceWithin is how long a page waits for the charging system.
const balanceWithin = 1500 * time.Millisecond

// balance is what the line holds, or nil when that cannot be told soon.
func (v *visit) balance(ctx context.Context) *balance {
	ctx, cancel := context.WithTimeout(ctx, balanceWithin)
	defer cancel()
	b, err := v.cfg.Customers.Balance(ctx, v.number)
	if err != nil {
		return nil
	}
	x := &balance{Main: v.amount(b.Main), At: v.Time(v.cfg.Clock.Now())}
	for _, pocket := range b.Bundles {
		x.Others = append(x.Others, v.pocket(&pocket))
	}
	return x
}

func (v *visit) pocket(b *purchase.BundleBalance) pocket {
	return pocket{v.speaker.product(b.Code, v.lang), fmt.Sprintf("%d %s", b.Left, b.Unit), v.Time(b.Expires)}
}
