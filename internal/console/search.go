package console

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"tenu/internal/purchase"
)

// The forms in which references stand in a text: a case's before a purchase's, which
// is its end.
var (
	caseForm     = regexp.MustCompile(`(?i)\bd[- ]?[0-9a-z]{4}[- ]?[0-9a-z]{4}[- ]?[0-9a-z]{2}\b`)
	purchaseForm = regexp.MustCompile(`(?i)\b[0-9a-z]{4}[- ]?[0-9a-z]{4}[- ]?[0-9a-z]{2}\b`)
	numberForm   = regexp.MustCompile(`\+?[0-9][0-9 .\-/()]{6,22}[0-9]`)
)

// find is the address of what a text names: a number in any form, a purchase, a case,
// or a whole receipt that holds one of them; "" for nothing that is known. Ten digits
// may be a number and read as a reference, so that only what exists counts as one.
func (v *visit) find(text string) (string, error) {
	text = strings.TrimSpace(text)
	for _, part := range append([]string{text}, caseForm.FindAllString(text, 10)...) {
		if to, err := v.caseAt(part); to != "" || err != nil {
			return to, err
		}
	}
	for _, part := range append([]string{text}, purchaseForm.FindAllString(text, 20)...) {
		if to, err := v.purchaseAt(part); to != "" || err != nil {
			return to, err
		}
	}
	for _, part := range append([]string{text}, numberForm.FindAllString(text, 10)...) {
		if number, _, err := v.cfg.Numbers.Parse(part); err == nil {
			return "/customers/" + number.String(), nil
		}
	}
	return "", nil
}

func (v *visit) caseAt(text string) (string, error) {
	id, err := v.cfg.Care.ParseCase(text)
	if err != nil {
		return "", nil //nolint:nilerr // it is no case's name
	}
	found, err := v.cfg.Store.Cases(v.r.Context(), id)
	if err != nil || len(found) == 0 {
		return "", err
	}
	return "/cases/" + v.cfg.Care.CaseReference(id), nil
}

func (v *visit) purchaseAt(text string) (string, error) {
	id, err := v.cfg.References.Parse(text)
	if err != nil {
		return "", nil //nolint:nilerr // it is no purchase's name
	}
	found, err := v.cfg.Purchases.Load(v.r.Context(), id)
	if err != nil || len(found) == 0 {
		return "", err
	}
	return "/purchases/" + v.cfg.References.Reference(id).String(), nil
}

type searchPage struct {
	frame
	Empty bool
}

// search leads to what was searched for.
func (c *Console) search(v *visit) {
	text := v.query("q")
	if text != "" {
		to, err := v.find(text)
		if err != nil {
			v.fail(err)
			return
		}
		if to != "" {
			v.see(to)
			return
		}
	}
	p := &searchPage{v.frame(""), text == ""}
	p.Search = text
	v.show(http.StatusNotFound, "search", p)
}

// numberOf is the number that an address names.
func (v *visit) numberOf() (purchase.MSISDN, bool) {
	text, err := url.PathUnescape(v.r.PathValue("number"))
	if err != nil {
		return 0, false
	}
	number, _, err := v.cfg.Numbers.Parse(text)
	return number, err == nil
}
