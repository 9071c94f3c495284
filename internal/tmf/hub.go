package tmf

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"tenu/internal/auth"
	"tenu/internal/care"
	"tenu/internal/hook"
)

func isNoCase(err error) bool { return errors.Is(err, care.ErrNoCase) }

// The types of events.
const (
	eventCreate    = "TroubleTicketCreateEvent"
	eventAttribute = "TroubleTicketAttributeValueChangeEvent"
	eventStatus    = "TroubleTicketStatusChangeEvent"
	eventResolved  = "TroubleTicketResolvedEvent"
	eventRequired  = "TroubleTicketInformationRequiredEvent"
)

// EventTypes lists every type of event that is told. Tickets are never deleted.
var EventTypes = []string{eventCreate, eventAttribute, eventStatus, eventResolved, eventRequired}

// maxQuery bounds a listener's address.
const maxQuery = hook.MaxQuery

// listener is a listener as the description has it.
type listener struct {
	ID       string `json:"id"`
	Callback string `json:"callback"`
	Query    string `json:"query,omitempty"`
}

// CheckQuery returns an error unless a query selects events: "" for all, or
// eventType=A,B.
func CheckQuery(query string) error {
	_, err := eventsOf(query)
	return err
}

// eventsOf are the types that a query selects, none for all.
func eventsOf(query string) ([]string, error) { return hook.Selected(query, EventTypes) }

// listen registers a listener. The same one registered again is the same.
func (t *TMF) listen(w http.ResponseWriter, r *http.Request, client *auth.Client, body []byte) error {
	var b hubBody
	if err := read(body, &b); err != nil {
		return failed(w, err)
	}
	if err := bounded("callback", b.Callback, maxQuery, true); err != nil {
		return failed(w, err)
	}
	if err := CheckQuery(b.Query); err != nil {
		return failed(w, invalid("query: "+err.Error()))
	}
	if err := t.cfg.Listens(client.Name, b.Callback); err != nil {
		return failed(w, refuse(http.StatusBadRequest, CodeCallback, "Nothing is sent to that address", strings.TrimPrefix(err.Error(), hook.ErrTarget.Error()+": ")))
	}
	l := hook.NewListener(client.Name, b.Callback, b.Query, t.cfg.Clock.Now())
	switch err := t.cfg.Store.PutListener(r.Context(), l, maxListeners); {
	case errors.Is(err, hook.ErrFull):
		return failed(w, refuse(http.StatusConflict, CodeFull, "There are too many listeners", fmt.Sprintf("at most %d", maxListeners)))
	case err != nil:
		return failed(w, err)
	}
	w.Header().Set("Location", Base+"/hub/"+l.ID)
	answer(w, http.StatusCreated, listener{l.ID, l.URL, l.Query})
	return nil
}

// unlisten forgets a listener, and what it was still to be told.
func (t *TMF) unlisten(w http.ResponseWriter, r *http.Request, client *auth.Client, _ []byte) error {
	switch err := t.cfg.Store.DropListener(r.Context(), client.Name, r.PathValue("id")); {
	case errors.Is(err, hook.ErrNotFound):
		return failed(w, refuse(http.StatusNotFound, CodeNotFound, "There is no such listener", ""))
	case err != nil:
		return failed(w, err)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// event is an event as the description has it.
type event struct {
	ID            string `json:"eventId"`
	Time          string `json:"eventTime"`
	Type          string `json:"eventType"`
	CorrelationID string `json:"correlationId"`
	Domain        string `json:"domain"`
	Title         string `json:"title"`
	Priority      string `json:"priority"`
	TimeOccurred  string `json:"timeOcurred"` // as the description writes it
	FieldPath     string `json:"fieldPath,omitempty"`
	Event         struct {
		Ticket Ticket `json:"troubleTicket"`
	} `json:"event"`
}

// kindOf is the type of the event that an entry is, and what it changed.
func kindOf(c *care.Case, e *care.Entry) (kind, field string) {
	switch {
	case e.Event == care.EventOpened:
		return eventCreate, ""
	case e.Event == care.EventSettled:
		return eventResolved, ""
	case e.Event == care.EventPaused:
		return eventRequired, "troubleTicket.status"
	case turned(c, e) != "":
		return eventStatus, ""
	case noteType(e) != "":
		return eventAttribute, "troubleTicket.note"
	}
	return eventAttribute, "troubleTicket"
}

// begun returns a case that a client opened and that is not noted as its own yet, or care.ErrNoCase.
func (t *TMF) begun(ctx context.Context, client *auth.Client, id care.CaseID) (care.Case, error) {
	found, err := t.cfg.Store.Cases(ctx, id)
	if err != nil || len(found) == 0 {
		return care.Case{}, cmp.Or(err, care.ErrNoCase)
	}
	history, err := t.cfg.Desk.History(ctx, id)
	if err == nil && !care.OpenedBy(history, care.Actor{Kind: care.ByClient, Name: client.Name}) {
		err = care.ErrNoCase
	}
	return found[0], err
}

// Write writes what a listener is told of a line of a case's history. The event's ID
// is the ticket's and the line's; the ticket is as it stands when the event is sent. It returns an error that
// wraps hook.ErrSkip for what the listener's client may not see, or did not ask for.
func (t *TMF) Write(ctx context.Context, l hook.Listener, d hook.Delivery) (hook.Message, error) {
	client := t.clients[l.Client]
	if client == nil || !client.May(auth.CasesRead) {
		return hook.Message{}, fmt.Errorf("%w: its client may read no cases", hook.ErrSkip)
	}
	types, err := eventsOf(l.Query)
	if err != nil {
		return hook.Message{}, fmt.Errorf("%w: its query cannot be read", hook.ErrSkip)
	}
	c, err := t.seen(ctx, client, care.CaseID(d.Subject))
	if isNoCase(err) {
		c, err = t.begun(ctx, client, care.CaseID(d.Subject))
	}
	if isNoCase(err) {
		return hook.Message{}, fmt.Errorf("%w: its client does not see the case", hook.ErrSkip)
	} else if err != nil {
		return hook.Message{}, err
	}
	history, err := t.cfg.Desk.History(ctx, c.ID)
	if err != nil {
		return hook.Message{}, err
	}
	i := slices.IndexFunc(history, func(e care.Entry) bool { return e.Seq == d.Seq })
	if i < 0 || !shows(client, &history[i]) {
		return hook.Message{}, fmt.Errorf("%w: its client does not see the line", hook.ErrSkip)
	}
	kind, field := kindOf(&c, &history[i])
	if len(types) > 0 && !slices.Contains(types, kind) {
		return hook.Message{}, fmt.Errorf("%w: not asked for", hook.ErrSkip)
	}
	externals, err := t.cfg.Store.Externals(ctx, client.Name, c.ID)
	if err != nil {
		return hook.Message{}, err
	}
	doc := event{Type: kind, Time: date(history[i].At), TimeOccurred: date(history[i].At), Domain: "care", FieldPath: field, Title: string(history[i].Event)}
	if doc.Event.Ticket, err = t.ticket(ctx, client, &c, externals[c.ID]); err != nil {
		return hook.Message{}, err
	}
	doc.CorrelationID, doc.Priority = doc.Event.Ticket.ID, doc.Event.Ticket.Priority
	doc.ID = noteID(doc.CorrelationID, d.Seq)
	body, err := json.Marshal(doc)
	if err != nil {
		return hook.Message{}, fmt.Errorf("write event %s: %w", doc.ID, err)
	}
	return hook.Message{ID: doc.ID, Type: kind, Body: body}, nil
}
