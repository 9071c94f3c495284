package console

import (
	"errors"
	"net/http"
	"slices"

	"tenu/internal/auth"
	"tenu/internal/care"
	"tenu/internal/customer"
	"tenu/internal/incident"
	"tenu/internal/purchase"
	"tenu/internal/staff"
)

// visit is one request of a browser.
type visit struct {
	*Console
	*staff.Visit
	customer.Calendar
	w       http.ResponseWriter
	r       *http.Request
	who     auth.Staff // zero for nobody
	session auth.StaffSession
	lang    string
}

// visit is a visit as the console has it.
func (c *Console) visit(shared *staff.Visit) *visit {
	v := &visit{Console: c, Visit: shared, w: shared.W, r: shared.R, who: shared.Who, session: shared.Session, lang: shared.Lang,
		Calendar: customer.Calendar{Now: shared.At, Location: c.cfg.Location}}
	shared.Own = v
	return v
}

// visitor serves a route to those whom it is for.
func (c *Console) visitor(to *route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		shared, err := c.site.Visit(w, r)
		v := c.visit(shared)
		switch {
		case err != nil:
			v.fail(err)
		case !v.Admit(to.open, to.action):
		case !to.open && v.who.Role == auth.Regulator && r.URL.Path != "/signout": // who has a portal
			v.problem(http.StatusForbidden, "may_not")
		default:
			to.serve(v)
		}
	})
}

// may reports whether whoever visits may do something.
func (v *visit) may(a auth.Action) bool { return v.who.May(a) }

func (v *visit) form(name string) string  { return v.Form(name) }
func (v *visit) query(name string) string { return v.Query(name) }
func (v *visit) see(to string)            { v.See(to) }

// frame is what every page has.
type frame struct {
	staff.Frame
	May         map[string]bool // by auth.Action
	Search      string
	Live        string           // what the page looks at, for its stream
	Self        string           // where the page is, to be looked at again
	At          purchase.Instant // when it was made
	Banners     []banner         // the open incidents, newest first
	BannersMore int
	Banner      string     // where the banner is fetched again
	Seen        string     // a digest of them
	Telephone   *telephone // of whoever looks, nil for none
}

func (v *visit) frame(here string) frame {
	f := frame{Frame: v.Frame(here), May: map[string]bool{}, Self: v.Self(), At: v.Now}
	for _, a := range auth.Actions {
		f.May[string(a)] = v.may(a)
	}
	f.banners(v)
	f.telephone(v)
	return f
}

// show answers with a page.
func (v *visit) show(status int, name string, data any) { v.write(status, name, "layout", data) }

// write answers with a part of a page.
func (v *visit) write(status int, name, part string, data any) { v.Show(status, name, part, data) }

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

// Problem is staff.Own.
func (v *visit) Problem(status int, key string) { v.problem(status, key) }

// Fail is staff.Own.
func (v *visit) Fail(err error) { v.fail(err) }

type messagePage struct {
	frame
	Text string
}

// problem answers with a sentence.
func (v *visit) problem(status int, key string) {
	v.show(status, "message", &messagePage{v.frame(""), v.Say(key)})
}

func (v *visit) missing() { v.problem(http.StatusNotFound, "not_found") }

// fail answers what went wrong. The log says what, when it went wrong here.
func (v *visit) fail(err error) {
	var refusal *care.Refusal
	switch {
	case errors.As(err, &refusal):
		v.show(http.StatusUnprocessableEntity, "message", &messagePage{v.frame(""), v.why(refusal.Why, refusal.At)})
	case errors.Is(err, care.ErrNoCase), errors.Is(err, care.ErrNotFound), errors.Is(err, auth.ErrStaff), errors.Is(err, purchase.ErrNotFound),
		errors.Is(err, incident.ErrNotFound):
		v.missing()
	case errors.Is(err, care.ErrStale), errors.Is(err, auth.ErrStaffStale), errors.Is(err, incident.ErrStale):
		v.problem(http.StatusConflict, "changed")
	case errors.Is(err, incident.ErrNotAllowed):
		v.problem(http.StatusForbidden, "may_not")
	case errors.Is(err, care.ErrClosed):
		v.problem(http.StatusConflict, "closed")
	case errors.Is(err, care.ErrUnreadable):
		v.cfg.Log.Error("a file cannot be read", "err", err)
		v.problem(http.StatusUnprocessableEntity, "unreadable")
	case errors.Is(err, care.ErrUnproven):
		v.problem(http.StatusConflict, "unproven")
	case errors.Is(err, care.ErrTwice):
		v.problem(http.StatusConflict, "twice")
	default:
		v.Failed(err)
	}
}

// why is a word of what is not allowed, in words.
func (v *visit) why(word string, at purchase.Instant) string {
	text := v.Say("why_other", "Word", word)
	if v.Has("why_" + word) {
		text = v.Say("why_" + word)
	}
	if at != 0 {
		text += " " + v.Say("why_until", "Time", v.Time(at))
	}
	return text
}

// moment is an instant to the second, with its day when it is not today's.
func (v *visit) moment(at purchase.Instant) string {
	if at == 0 {
		return ""
	}
	then := at.Time().In(v.cfg.Location)
	if v.Today(at) {
		return then.Format("15:04:05")
	}
	return then.Format("02/01/2006 15:04:05")
}

// names are people's names by who they are.
func (v *visit) names() (map[auth.StaffID]string, error) {
	people, err := v.cfg.Staff.People(v.r.Context())
	if err != nil {
		return nil, err
	}
	all := map[auth.StaffID]string{}
	for _, p := range people {
		all[p.ID] = p.Name
	}
	return all, nil
}

// sorted orders by time, the same instants as they were.
func sorted[T any](all []T, at func(*T) purchase.Instant) {
	slices.SortStableFunc(all, func(a, b T) int { return int(at(&a) - at(&b)) })
}
