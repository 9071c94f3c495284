package web

import (
	"errors"
	"net/http"
	"strconv"

	"tenu/internal/care"
	"tenu/internal/customer"
)

// file is a case in words.
type file struct {
	Reference, Purchase string
	Title               string
	When, Closed        string
	State               badge
	Say                 string
	Told                []said
	Settled, Open       bool
	Waiting             bool
	Units, Money        bool // what the customer said to prefer
}

// said is one message of a case.
type said struct {
	When, Text string
	Mine       bool
}

// fileLooks say the shape and the colour of a case's status.
var fileLooks = map[care.Status]badge{care.Open: {"case_open", "folder", "case"}, care.Waiting: {"case_waiting", "clock", "wait"},
	care.Settled: {"case_settled", "check", "good"}, care.Withdrawn: {"case_withdrawn", "cross", ""}}

// file tells a case.
func (s *speaker) file(v *customer.CaseView) file {
	look := fileLooks[v.Status]
	look.Word = s.Say(look.Word)
	f := file{Reference: v.Reference, Purchase: v.Purchase.String(), When: s.Time(v.OpenedAt), Closed: s.Time(v.ClosedAt), State: look,
		Settled: v.Status == care.Settled, Waiting: v.Status == care.Waiting, Open: v.Status == care.Open, Units: v.Prefer == care.PreferUnits, Money: v.Prefer == care.PreferMoney}
	f.Title = s.Say("case_matter_other")
	if len(v.Matters) > 0 {
		if key := "case_matter_" + string(v.Matters[0]); s.Has(key) {
			f.Title = s.Say(key)
		} else if key := "matter_" + string(v.Matters[0]); s.Has(key) {
			f.Title = s.Say(key)
		}
	}
	switch {
	case v.Status == care.Settled:
		f.Say = s.Say("case_outcome_"+v.Outcome.String(), "Time", f.Closed)
	case v.Status == care.Withdrawn:
		f.Say = s.Say("case_withdrawn_say")
	case v.Status == care.Waiting:
		f.Say = s.Say("case_waiting_say")
	case v.AnswerBy != 0 && v.AnswerBy < v.ResolveBy:
		f.Say = s.Say("case_answer_by", "Time", s.Time(v.AnswerBy), "Till", s.Time(v.ResolveBy))
	default:
		f.Say = s.Say("case_resolve_by", "Time", s.Time(v.ResolveBy))
	}
	for _, t := range v.Told {
		f.Told = append(f.Told, said{s.Time(t.At), t.Text, t.Mine})
	}
	return f
}

type filePage struct {
	frame
	File  file
	Words string
}

// file shows one case of the customer's.
func (w *Web) file(v *visit) { v.showFile(http.StatusOK, nil) }

func (v *visit) showFile(status int, wrong *problem) {
	view, err := v.cfg.Customers.Case(v.r.Context(), v.number, v.r.PathValue("case"))
	if err != nil {
		v.fail(err)
		return
	}
	p := &filePage{frame: v.frame("help"), File: v.speaker.file(&view), Words: v.form("words")}
	p.Problem = wrong
	v.show(status, "case", p)
}

// actOnFile reopens a case of the customer's, or says what they prefer.
func (w *Web) actOnFile(v *visit) {
	ctx, reference := v.r.Context(), v.r.PathValue("case")
	var err error
	switch v.form("do") {
	case "reopen":
		if v.form("words") == "" {
			v.showFile(http.StatusUnprocessableEntity, &problem{"words", v.Say("case_words_missing")})
			return
		}
		err = w.cfg.Customers.Reopen(ctx, v.number, reference, v.form("words"))
	case "units":
		err = w.cfg.Customers.Prefer(ctx, v.number, reference, care.PreferUnits)
	case "money":
		err = w.cfg.Customers.Prefer(ctx, v.number, reference, care.PreferMoney)
	default:
		err = customer.ErrNotFound
	}
	switch {
	case errors.Is(err, care.ErrClosed), errors.Is(err, care.ErrRefused):
		v.showFile(http.StatusConflict, &problem{Text: v.Say("case_too_late")})
	case err != nil:
		v.fail(err)
	default:
		v.see("/cases/" + reference)
	}
}

// giving is a request to give units back, in words.
type giving struct {
	ID   int64
	View shown
	By   string
}

type givingPage struct {
	frame
	Returns []giving
}

// givings are what the customer is asked to give back.
func (v *visit) givings() ([]giving, error) {
	returns, err := v.cfg.Customers.Returns(v.r.Context(), v.number)
	if err != nil {
		return nil, err
	}
	var all []giving
	for i := range returns {
		all = append(all, giving{returns[i].ID, v.speaker.purchase(&returns[i].View), v.Time(returns[i].By)})
	}
	return all, nil
}

// returns asks whether units that came by mistake may be taken back.
func (w *Web) returns(v *visit) {
	all, err := v.givings()
	if err != nil {
		v.fail(err)
		return
	}
	v.show(http.StatusOK, "returns", &givingPage{v.frame("help"), all})
}

// answerReturn takes the customer's answer.
func (w *Web) answerReturn(v *visit) {
	id, err := strconv.ParseInt(v.form("id"), 10, 64)
	answer := v.form("do")
	if err != nil || answer != "give" && answer != "keep" {
		v.missing()
		return
	}
	if err := w.cfg.Customers.Answer(v.r.Context(), v.number, id, answer == "give"); err != nil {
		v.fail(err)
		return
	}
	v.see("/returns")
}
