package tmf

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"tenu/internal/auth"
	"tenu/internal/care"
	"tenu/internal/purchase"
)

// The sizes of a page.
const (
	pageUsual = 20
	pageMost  = 100
)

func wrong(message string) *refusal {
	return refuse(http.StatusBadRequest, CodeQuery, "The query is not valid", message)
}

// list answers a page of tickets, the newest first.
func (t *TMF) list(w http.ResponseWriter, r *http.Request, client *auth.Client, _ []byte) error {
	q, fields, err := t.sift(r.URL.Query(), client)
	if err != nil {
		return failed(w, err)
	}
	page, count, err := t.cfg.Store.Sifted(r.Context(), q)
	if err != nil {
		return failed(w, err)
	}
	documents, err := t.documents(r.Context(), client, page, fields)
	if err != nil {
		return failed(w, err)
	}
	w.Header().Set("X-Total-Count", strconv.Itoa(count))
	w.Header().Set("X-Result-Count", strconv.Itoa(len(documents)))
	answer(w, http.StatusOK, documents)
	return nil
}

// documents are cases as tickets, in the order of their IDs given.
func (t *TMF) documents(ctx context.Context, client *auth.Client, ids []care.CaseID, fields []string) ([]any, error) {
	found, err := t.cfg.Store.Cases(ctx, ids...)
	if err != nil {
		return nil, err
	}
	externals, err := t.cfg.Store.Externals(ctx, client.Name, ids...)
	if err != nil {
		return nil, err
	}
	documents := make([]any, 0, len(found))
	for _, id := range ids {
		i := slices.IndexFunc(found, func(c care.Case) bool { return c.ID == id })
		if i < 0 {
			continue
		}
		doc, err := t.ticket(ctx, client, &found[i], externals[id])
		if err != nil {
			return nil, err
		}
		shown, err := picked(&doc, fields)
		if err != nil {
			return nil, err
		}
		documents = append(documents, shown)
	}
	return documents, nil
}

// sift reads a query.
func (t *TMF) sift(query url.Values, client *auth.Client) (q care.Sift, fields []string, err error) {
	q = care.Sift{Client: scope(client), Agreeing: client.Name, Limit: pageUsual}
	for name := range query { // each once: the guard has seen to it
		value := query.Get(name)
		switch name {
		case "fields":
			fields, err = fieldsOf(value)
		case "offset":
			q.Offset, err = count(name, value, care.MaxSifted)
		case "limit":
			q.Limit, err = count(name, value, pageMost)
		case "status":
			q.Phases, err = phasesOf(value)
		case "externalId":
			if q.ID = value; bounded(name, value, maxName, true) != nil {
				err = wrong(fmt.Sprintf("externalId must have 1 to %d characters", maxName))
			}
		case "creationDate.gte", "creationDate.gt":
			q.From, err = instantOf(name, value, name == "creationDate.gt")
		case "creationDate.lt", "creationDate.lte":
			q.Till, err = instantOf(name, value, name == "creationDate.lte")
		case "relatedParty.id":
			q.Number, err = t.partyOf(value, client)
		default:
			err = wrong(fmt.Sprintf("%.40q is not asked for here", name))
		}
		if err != nil {
			return q, nil, err
		}
	}
	return q, fields, nil
}

func (t *TMF) partyOf(value string, client *auth.Client) (purchase.MSISDN, error) {
	if !client.May(auth.PurchasesRead) {
		return 0, refuse(http.StatusForbidden, CodeScope, "The API key does not allow this", "to ask by number the scope "+string(auth.PurchasesRead)+" is needed")
	}
	number, err := t.cfg.Number(value)
	if err != nil {
		return 0, wrong("relatedParty.id is no telephone number")
	}
	return number, nil
}

func fieldsOf(value string) ([]string, error) {
	if value == "" {
		return nil, nil
	}
	fields := strings.Split(value, ",")
	for _, name := range fields {
		if !slices.Contains(fieldNames, name) {
			return nil, wrong("fields: known are " + strings.Join(fieldNames, ", "))
		}
	}
	return fields, nil
}

func count(name, value string, most int) (int, error) {
	n, err := strconv.Atoi(value)
	if err != nil || n < 0 || n > most {
		return 0, wrong(fmt.Sprintf("%s must be a number from 0 to %d", name, most))
	}
	return n, nil
}

func phasesOf(value string) (phases []care.Phase, err error) {
	for name := range strings.SplitSeq(value, ",") {
		phase, known := phaseOf(name)
		if !known {
			return nil, wrong("status: known are " + statusList())
		}
		phases = append(phases, phase)
	}
	return phases, nil
}

// instantOf reads a bound in time; beyond is the instant after it.
func instantOf(name, value string, beyond bool) (purchase.Instant, error) {
	at, err := time.Parse(time.RFC3339, value)
	if err != nil || at.Year() < 1971 || at.Year() > 2200 {
		return 0, wrong(name + " must be a time such as 2026-11-28T19:00:00Z")
	}
	instant := purchase.At(at)
	if beyond {
		instant++
	}
	return instant, nil
}

// get answers one ticket.
func (t *TMF) get(w http.ResponseWriter, r *http.Request, client *auth.Client, _ []byte) error {
	var fields []string
	for name := range r.URL.Query() {
		var err error
		if name != "fields" {
			err = wrong(fmt.Sprintf("%.40q is not asked for here", name))
		} else {
			fields, err = fieldsOf(r.URL.Query().Get(name))
		}
		if err != nil {
			return failed(w, err)
		}
	}
	c, err := t.named(r, client)
	if err != nil {
		return failed(w, err)
	}
	return t.show(w, r, client, http.StatusOK, &c, fields)
}

// show answers with a ticket.
func (t *TMF) show(w http.ResponseWriter, r *http.Request, client *auth.Client, status int, c *care.Case, fields []string) error {
	externals, err := t.cfg.Store.Externals(r.Context(), client.Name, c.ID)
	if err != nil {
		return failed(w, err)
	}
	doc, err := t.ticket(r.Context(), client, c, externals[c.ID])
	if err != nil {
		return failed(w, err)
	}
	shown, err := picked(&doc, fields)
	if err != nil {
		return failed(w, err)
	}
	w.Header().Set("ETag", etag(c, externals[c.ID]))
	if status == http.StatusCreated {
		w.Header().Set("Location", doc.Href)
	}
	answer(w, status, shown)
	return nil
}
