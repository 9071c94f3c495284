package ussd

import (
	"errors"
	"slices"
	"strconv"

	"tenu/internal/care"
	"tenu/internal/customer"
	"tenu/internal/purchase"
)

// report asks which purchase and what is wrong, and takes the report down. The same
// again is the same report.
func (s *session) report() (Screen, bool) {
	views, err := s.cfg.Customers.Last(s.ctx, s.turn.Number, 0, 8)
	if err != nil {
		return s.failed(err), false
	}
	// A purchase made since the session began would move the others' numbers.
	if first := slices.IndexFunc(views, func(v customer.View) bool { return v.CreatedAt <= s.began }); first > 0 {
		views = views[first:]
	}
	views = views[:min(len(views), 3)]
	if len(views) == 0 {
		return s.end("none"), false
	}
	heading := s.Say("report_which")
	for {
		typed, more := s.next()
		if !more {
			var names []string
			for i := range views {
				names = append(names, s.line(&views[i]))
			}
			for !fits(s.wait(heading, names...).Text) && len(names) > 1 {
				names = names[:len(names)-1]
			}
			return s.wait(heading, names...), false
		}
		n, err := strconv.Atoi(typed)
		switch {
		case typed == "0":
			return Screen{}, true
		case err == nil && n >= 1 && n <= len(views):
			return s.reportOf(&views[n-1])
		}
		heading = s.Say("wrong")
	}
}

func (s *session) reportOf(v *customer.View) (Screen, bool) {
	heading := s.Say("report_what")
	for {
		typed, more := s.next()
		if !more {
			var names []string
			for _, m := range care.Matters {
				names = append(names, s.Say("matter_"+string(m)))
			}
			return s.wait(heading, names...), false
		}
		n, err := strconv.Atoi(typed)
		switch {
		case typed == "0":
			return Screen{}, true
		case err == nil && n >= 1 && n <= len(care.Matters):
			return s.reported(v, care.Matters[n-1]), false
		}
		heading = s.Say("wrong")
	}
}

// reported takes a report down. The right number is asked for where another was meant.
func (s *session) reported(v *customer.View, m purchase.Matter) Screen {
	r := care.Report{Purchase: v.ID, Number: s.turn.Number, Matter: m, Channel: "ussd"}
	heading := s.Say("report_meant")
	for m == care.MatterWrongNumber && r.Meant == 0 {
		typed, more := s.next()
		if !more {
			return Screen{Text: heading}
		}
		meant, err := s.cfg.Sales.Number(typed)
		if err != nil {
			heading, _ = s.refused(err)
			continue
		}
		r.Meant = meant
	}
	if _, _, err := s.cfg.Care.Report(s.ctx, r); err != nil {
		return s.failed(err)
	}
	return s.end("reported", "Reference", v.Reference.String())
}

// cancelCall is what cancels a callback. It is none of the choices of a window: a
// gateway that asks again for the turn that promised one does not cancel it, nor the
// other way round.
const cancelCall = maxChoice

// callback asks when, and promises a callback. Who has one open may cancel it.
func (s *session) callback() (Screen, bool) {
	list, err := s.cfg.Care.Callbacks(s.ctx, s.turn.Number, 1)
	if err != nil {
		return s.failed(err), false
	}
	if len(list) > 0 && list[0].State == care.Promised {
		return s.promised(&list[0])
	}
	const offered = maxChoice - 1
	windows, err := s.cfg.Care.WindowsAt(s.ctx, s.began, offered)
	if err != nil {
		return s.failed(err), false
	}
	if len(windows) == 0 {
		return s.end("callback_none"), false
	}
	heading := s.Say("callback_when")
	for {
		typed, more := s.next()
		if !more {
			var names []string
			for _, at := range windows {
				names = append(names, s.window(at))
			}
			return s.wait(heading, names...), false
		}
		n, err := strconv.Atoi(typed)
		switch {
		case typed == "0":
			return Screen{}, true
		case err == nil && n >= 1 && n <= len(windows):
			return s.promise(windows[n-1]), false
		case err == nil && n == cancelCall && len(list) > 0 && list[0].State == care.Cancelled:
			return s.end("callback_cancelled"), false
		}
		heading = s.Say("wrong")
	}
}

func (s *session) promise(at purchase.Instant) Screen {
	c, _, err := s.cfg.Care.Promise(s.ctx, care.Callback{Number: s.turn.Number, WindowAt: at, Channel: "ussd", Language: purchase.Language(s.Code)})
	switch {
	case errors.Is(err, care.ErrFull), errors.Is(err, care.ErrWindow):
		return s.end("callback_full")
	case err != nil:
		return s.failed(err)
	}
	return s.end("callback_promised", "Window", s.window(c.WindowAt))
}

func (s *session) promised(c *care.Callback) (Screen, bool) {
	told := s.Say("callback_promised", "Window", s.window(c.WindowAt))
	heading := told
	for {
		typed, more := s.next()
		if !more {
			screen := s.wait(heading, s.Say("callback_keep"))
			screen.Text += "\n" + strconv.Itoa(cancelCall) + " " + s.Say("callback_cancel")
			return screen, false
		}
		n, err := strconv.Atoi(typed)
		switch {
		case typed == "0":
			return Screen{}, true
		case err == nil && n >= 1 && n < cancelCall:
			return Screen{told, true}, false
		case err == nil && n == cancelCall:
			if _, err := s.cfg.Care.Cancel(s.ctx, c.ID, s.turn.Number); err != nil {
				return s.failed(err), false
			}
			return s.end("callback_cancelled"), false
		}
		heading = s.Say("wrong")
	}
}

// window is a callback's, as 14:00-14:15, with its day when that is not today.
func (s *session) window(at purchase.Instant) string {
	from := at.Time().In(s.cfg.Location)
	text := from.Format("15:04") + "-" + from.Add(care.Window).Format("15:04")
	if from.YearDay() != s.now.YearDay() || from.Year() != s.now.Year() {
		text = from.Format("02/01 ") + text
	}
	return text
}
