package console

import (
	"errors"
	"net/http"
	"strconv"
	"strings"

	"tenu/internal/auth"
	"tenu/internal/purchase"
	"tenu/internal/staff"
)

type peoplePage struct {
	frame
	People   []auth.Staff
	Roles    []choice
	Password string // of an account that was just made
	Made     string
	Form     auth.Staff
}

func (v *visit) roles() []choice {
	var all []choice
	for _, r := range auth.Roles {
		all = append(all, choice{string(r), v.Say("role_" + string(r))})
	}
	return all
}

// people lists the staff.
func (c *Console) people(v *visit) { v.showPeople(http.StatusOK, &peoplePage{frame: v.frame("staff")}) }

func (v *visit) showPeople(status int, p *peoplePage) {
	people, err := v.cfg.Staff.People(v.r.Context())
	if err != nil {
		v.fail(err)
		return
	}
	p.People, p.Roles = people, v.roles()
	v.show(status, "people", p)
}

// hire makes an account; its password is shown once.
func (c *Console) hire(v *visit) {
	p := &peoplePage{frame: v.frame("staff")}
	p.Form = auth.Staff{Login: v.form("login"), Name: v.form("name"), Role: auth.Role(v.form("role")), Language: v.lang}
	s, password, err := c.cfg.Staff.Add(v.r.Context(), v.who.Login, p.Form)
	switch {
	case errors.Is(err, auth.ErrStaffTaken):
		p.Problem = v.Say("login_taken")
		v.showPeople(http.StatusConflict, p)
	case errors.Is(err, purchase.ErrUnavailable):
		v.fail(err)
	case err != nil:
		p.Problem = v.Say("staff_wrong")
		v.showPeople(http.StatusUnprocessableEntity, p)
	default:
		p.Form, p.Made, p.Password = auth.Staff{}, s.Login, password
		v.showPeople(http.StatusOK, p)
	}
}

type personPage struct {
	frame
	Person   auth.Staff
	Roles    []choice
	Numbers  string
	Sessions []staff.SignedIn
	Changes  []changeLine
	Self     bool
	Password string
}

type changeLine struct{ When, By, What string }

// personOf is the account that the address names.
func (v *visit) personOf() (auth.Staff, bool) {
	people, err := v.cfg.Staff.People(v.r.Context())
	if err != nil {
		v.fail(err)
		return auth.Staff{}, false
	}
	for _, s := range people {
		if s.Login == v.r.PathValue("login") {
			return s, true
		}
	}
	v.missing()
	return auth.Staff{}, false
}

func (c *Console) person(v *visit) {
	if s, ok := v.personOf(); ok {
		v.showPerson(http.StatusOK, &s, "", "")
	}
}

func (v *visit) showPerson(status int, s *auth.Staff, wrong, password string) {
	ctx := v.r.Context()
	p := &personPage{frame: v.frame("staff"), Person: *s, Roles: v.roles(), Self: s.ID == v.who.ID, Password: password}
	p.Problem = wrong
	var numbers []string
	for _, n := range s.Numbers {
		numbers = append(numbers, v.cfg.Numbers.Format(n))
	}
	p.Numbers = strings.Join(numbers, ", ")
	sessions, err := v.cfg.Staff.Sessions(ctx, s.ID)
	if err != nil {
		v.fail(err)
		return
	}
	for i := range sessions {
		p.Sessions = append(p.Sessions, v.SignedIn(&sessions[i]))
	}
	changes, err := v.cfg.Staff.Changes(ctx, s.ID, 50)
	if err != nil {
		v.fail(err)
		return
	}
	for _, x := range changes {
		p.Changes = append(p.Changes, changeLine{v.moment(x.At), x.By, x.What})
	}
	v.show(status, "person", p)
}

// changePerson changes an account. Nobody changes their own role or state here.
func (c *Console) changePerson(v *visit) {
	ctx := v.r.Context()
	s, ok := v.personOf()
	if !ok {
		return
	}
	do := v.form("do")
	if s.ID == v.who.ID && do != "revoke" {
		v.showPerson(http.StatusForbidden, &s, v.Say("not_oneself"), "")
		return
	}
	var err error
	switch do {
	case "revoke":
		err = c.cfg.Staff.Revoke(ctx, v.who.Login, s.ID)
	case "reset":
		var password string
		if password, err = c.cfg.Staff.Reset(ctx, v.who.Login, s.ID); err == nil {
			v.showPerson(http.StatusOK, &s, "", password)
			return
		}
	case "change":
		err = v.changeForm(&s)
	default:
		v.missing()
		return
	}
	switch {
	case errors.Is(err, errNumbers):
		v.showPerson(http.StatusUnprocessableEntity, &s, v.Say("numbers_wrong"), "")
	case err != nil:
		v.fail(err)
	default:
		v.see("/staff/" + s.Login + "?done=saved")
	}
}

// errNumbers: a number cannot be read.
var errNumbers = errors.New("console: a number cannot be read")

func (v *visit) changeForm(s *auth.Staff) error {
	numbers, err := auth.ReadNumbers(v.form("numbers"), func(text string) (purchase.MSISDN, error) {
		n, _, err := v.cfg.Numbers.Parse(text)
		return n, err //nolint:wrapcheck // only that it cannot be read is told
	})
	if err != nil {
		return errNumbers
	}
	version, err := strconv.ParseInt(v.form("version"), 10, 64)
	if err != nil || version != s.Version {
		return auth.ErrStaffStale
	}
	changed := *s
	changed.Name, changed.Role, changed.Numbers = v.form("name"), auth.Role(v.form("role")), numbers
	changed.Disabled, changed.Subject = v.form("disabled") != "", v.form("subject")
	_, err = v.cfg.Staff.Change(v.r.Context(), v.who.Login, changed)
	return err
}
