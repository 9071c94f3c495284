package sms

import (
	"errors"
	"slices"
	"strings"

	"tenu/internal/care"
	"tenu/internal/customer"
)

// gives reports whether the words after YES or NO are about units that came by mistake.
func (l *letter) gives() bool {
	return len(l.rest) > 0 && slices.Contains([]string{"RENDRE", "RENDS", "RETURN", "RETOUR"}, l.rest[0])
}

// giveBack answers the question whether units that came by mistake may be taken back.
func (l *letter) giveBack(agrees bool) (string, error) {
	_, err := l.cfg.Care.Consent(l.ctx, l.from, 0, agrees)
	switch {
	case errors.Is(err, care.ErrNotFound), errors.Is(err, care.ErrStale):
		return l.Say("return_none"), nil
	case err != nil:
		return "", err
	case agrees:
		return l.Say("return_yes"), nil
	}
	return l.Say("return_no"), nil
}

// unasked answers a YES or NO to nothing that was to be bought: perhaps it is about
// units that came by mistake, but that is asked in other words.
func (l *letter) unasked() (string, error) {
	waiting, err := l.cfg.Care.Consents(l.ctx, l.from)
	switch {
	case err != nil:
		return "", err
	case len(waiting) > 0:
		return l.Say("return_how"), nil
	}
	return l.Say("nothing"), nil
}

// named reports whether words are about a case that they name: however many, they are
// no message that was forwarded.
func named(words []string) bool {
	return len(words) > 1 && (words[0] == "DOSSIER" || words[0] == "CASE") && strings.HasPrefix(words[1], "D-")
}

// fileWords is how many words a case's name may be written in.
const fileWords = 4

// file tells where a case stands: the one that is named, otherwise the newest. Further
// words are the customer's own: they open one again that is settled.
func (l *letter) file() (string, error) {
	if len(l.rest) == 0 {
		all, err := l.cfg.Customers.Cases(l.ctx, l.from)
		if err != nil {
			return "", err
		}
		if len(all) == 0 {
			return l.Say("file_none"), nil
		}
		return l.fileState(&all[0]), nil
	}
	for n := range min(len(l.rest), fileWords) {
		c, err := l.cfg.Customers.Case(l.ctx, l.from, strings.Join(l.rest[:n+1], "-"))
		switch {
		case errors.Is(err, customer.ErrNotFound):
			continue
		case err != nil:
			return "", err
		case len(l.rest) > n+1 && c.Status != care.Withdrawn:
			return l.reopen(&c)
		}
		return l.fileState(&c), nil
	}
	return l.Say("file_unknown"), nil
}

// reopen takes down what the customer wrote in a case, which opens it again.
func (l *letter) reopen(c *customer.CaseView) (string, error) {
	err := l.cfg.Customers.Reopen(l.ctx, l.from, c.Reference, l.text)
	switch {
	case errors.Is(err, care.ErrRefused), errors.Is(err, care.ErrClosed): // too long ago, or somebody else was faster
		return l.Say("file_too_late"), nil
	case err != nil:
		return "", err
	}
	again, err := l.cfg.Customers.Case(l.ctx, l.from, c.Reference)
	if err != nil {
		return "", err
	}
	return l.fileState(&again), nil
}

// fileState is where a case stands.
func (l *letter) fileState(c *customer.CaseView) string {
	state := ""
	switch {
	case c.Status == care.Open && c.AnswerBy > l.Now:
		state = l.Say("file_open", "Time", l.Time(c.AnswerBy))
	case c.Status == care.Open && c.ResolveBy > l.Now:
		state = l.Say("file_open", "Time", l.Time(c.ResolveBy))
	case c.Status == care.Open:
		state = l.Say("file_late")
	case c.Status == care.Waiting:
		state = l.Say("file_waiting")
	case c.Status == care.Settled:
		state = l.Say("file_settled_"+c.Outcome.String(), "Time", l.Time(c.ClosedAt))
	default:
		state = l.Say("file_closed")
	}
	return l.Say("file", "Case", c.Reference, "State", state)
}
