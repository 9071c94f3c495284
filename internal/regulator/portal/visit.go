package portal

import (
	"errors"
	"net/http"

	"tenu/internal/auth"
	"tenu/internal/purchase"
	"tenu/internal/regulator"
	"tenu/internal/staff"
)

// visit is one request of a browser.
type visit struct {
	*Portal
	*staff.Visit
}

// visitor serves a route to those whom it is for.
func (p *Portal) visitor(to *route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		shared, err := p.site.Visit(w, r)
		v := &visit{p, shared}
		shared.Own = v
		switch {
		case err != nil:
			v.Fail(err)
		case v.Admit(to.open, to.action):
			to.serve(v)
		}
	})
}

// frame is what every page has.
type frame struct {
	staff.Frame
	Live              bool // the page is fetched again by itself
	At, Zone          string
	MayAsk, MayAnswer bool
}

func (v *visit) frame(here string) frame {
	return frame{Frame: v.Frame(here), At: v.time(v.At), Zone: v.cfg.Location.String(), MayAsk: v.Who.May(auth.AskOperator), MayAnswer: v.Who.May(auth.AnswerRegulator)}
}

// time is an instant as people of the country read it.
func (v *visit) time(at purchase.Instant) string {
	if at == 0 {
		return "–"
	}
	return at.Time().In(v.cfg.Location).Format("02/01/2006 15:04:05")
}

// show answers with a page.
func (v *visit) show(status int, name string, data any) { v.Show(status, name, "layout", data) }

type sharedPage struct {
	frame
	Shared any
}

// ShowShared is staff.Own.
func (v *visit) ShowShared(status int, name, wrong string, shared any) {
	p := &sharedPage{v.frame(name), shared}
	p.Problem = wrong
	v.show(status, name, p)
}

type messagePage struct {
	frame
	Text string
}

// Problem is staff.Own.
func (v *visit) Problem(status int, key string) {
	v.show(status, "message", &messagePage{v.frame(""), v.Say(key)})
}

func (v *visit) missing() { v.Problem(http.StatusNotFound, "not_found") }

// Fail is staff.Own.
func (v *visit) Fail(err error) {
	switch {
	case errors.Is(err, regulator.ErrNotFound), errors.Is(err, purchase.ErrNotFound):
		v.missing()
	case errors.Is(err, regulator.ErrPeriod):
		v.Problem(http.StatusUnprocessableEntity, "period_wrong")
	case errors.Is(err, regulator.ErrAnswered):
		v.Problem(http.StatusConflict, "answered_before")
	default:
		v.Failed(err)
	}
}
