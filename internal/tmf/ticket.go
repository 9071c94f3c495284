package tmf

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"tenu/internal/auth"
	"tenu/internal/care"
	"tenu/internal/purchase"
)

// Ticket is a case as the description has it, and as its client may see it.
type Ticket struct {
	ID                     string         `json:"id"`
	Href                   string         `json:"href"`
	ExternalID             string         `json:"externalId,omitempty"`
	Name                   string         `json:"name,omitempty"`
	Description            string         `json:"description"`
	Severity               string         `json:"severity"`
	Priority               string         `json:"priority"`
	TicketType             string         `json:"ticketType"`
	Status                 string         `json:"status"`
	StatusChangeDate       string         `json:"statusChangeDate,omitempty"`
	StatusChangeReason     string         `json:"statusChangeReason,omitempty"`
	CreationDate           string         `json:"creationDate"`
	LastUpdate             string         `json:"lastUpdate"`
	ExpectedResolutionDate string         `json:"expectedResolutionDate,omitempty"`
	ResolutionDate         string         `json:"resolutionDate,omitempty"`
	Channel                *Reference     `json:"channel,omitempty"`
	Note                   []Note         `json:"note"`
	RelatedEntity          []Reference    `json:"relatedEntity"`
	RelatedParty           []Reference    `json:"relatedParty"`
	StatusChange           []StatusChange `json:"statusChange"`
	Relationship           []Relationship `json:"troubleTicketRelationship,omitempty"`
	Type                   string         `json:"@type"`
}

// Reference names something else.
type Reference struct {
	ID           string `json:"id"`
	Href         string `json:"href,omitempty"`
	Name         string `json:"name,omitempty"`
	Role         string `json:"role,omitempty"`
	ReferredType string `json:"@referredType"`
}

// Note is a line of the conversation.
type Note struct {
	ID     string `json:"id"`
	Author string `json:"author"`
	Date   string `json:"date"`
	Text   string `json:"text"`
	Type   string `json:"@type"`
}

// The types of notes. A client that writes a note to the customer names the first.
const (
	noteCustomer = "MessageToCustomer"
	noteReported = "MessageFromCustomer"
	noteInternal = "Note"
)

// StatusChange is a status that the ticket had.
type StatusChange struct {
	Status string `json:"status"`
	Date   string `json:"changeDate"`
	Reason string `json:"changeReason,omitempty"`
}

// Relationship names another ticket.
type Relationship struct {
	ID   string `json:"id"`
	Href string `json:"href"`
	Kind string `json:"relationshipType"`
}

// The types of what tickets refer to.
const (
	typePurchase = "ProductOrder"
	typeIncident = "ServiceProblem"
	typeCustomer = "Individual"
	typeChannel  = "Channel"
)

// date is an instant as the API writes it, "" for none.
func date(at purchase.Instant) string {
	if at == 0 {
		return ""
	}
	return at.Time().UTC().Format(time.RFC3339Nano)
}

// ticket is a case as a client may see it.
func (t *TMF) ticket(ctx context.Context, client *auth.Client, c *care.Case, e care.External) (Ticket, error) {
	history, err := t.cfg.Desk.History(ctx, c.ID)
	if err != nil {
		return Ticket{}, err
	}
	id := t.cfg.Desk.CaseReference(c.ID)
	changes := changesOf(c, history, StatusChange{Status: statuses[c.Phase(e.AgreedAt)], Date: date(max(c.ChangedAt, e.AgreedAt)), Reason: c.Outcome.String()})
	doc := Ticket{
		ID: id, Href: ticketPath + id, ExternalID: e.ID, Description: c.Digest, TicketType: string(c.Matters[0]), Status: statuses[c.Phase(e.AgreedAt)],
		CreationDate: date(c.OpenedAt), LastUpdate: date(max(c.ChangedAt, e.AgreedAt)), ResolutionDate: date(c.ClosedAt),
		StatusChangeDate: changes[len(changes)-1].Date,
		Note:             notesOf(client, id, history), StatusChange: changes, RelatedEntity: []Reference{}, Type: "TroubleTicket",
		Severity: severity(c), Priority: priority(c, t.cfg.Clock.Now()), Name: names(c.Matters), StatusChangeReason: c.Outcome.String(),
		RelatedParty: []Reference{{ID: c.Number.Masked(), Role: "customer", ReferredType: typeCustomer}},
		Channel:      &Reference{ID: c.Channel, Name: c.Channel, ReferredType: typeChannel},
	}
	if client.May(auth.PurchasesRead) { // whose documents hold the number, too
		doc.RelatedParty[0].ID = c.Number.String()
	}
	if !c.Status.Closed() {
		doc.ExpectedResolutionDate = date(c.Clock.At(t.cfg.Clock.Now()).ResolveBy)
	}
	if c.Purchase != 0 {
		reference := t.cfg.References.Reference(c.Purchase).String()
		doc.RelatedEntity = append(doc.RelatedEntity, Reference{ID: reference, Href: "/v1/purchases/" + reference, Role: "purchase", ReferredType: typePurchase})
	}
	if c.Incident != "" {
		doc.RelatedEntity = append(doc.RelatedEntity, Reference{ID: c.Incident, Role: "incident", ReferredType: typeIncident})
	}
	if c.Into != 0 {
		into := t.cfg.Desk.CaseReference(c.Into)
		doc.Relationship = []Relationship{{ID: into, Href: ticketPath + into, Kind: "isMergedInto"}}
	}
	return doc, nil
}

// names is a ticket's name: its matters.
func names(matters []purchase.Matter) string {
	var all []string
	for _, m := range matters {
		all = append(all, string(m))
	}
	return strings.Join(all, ", ")
}

// The severities, in the order of how bad they are.
var severities = []string{"critical", "major", "minor"}

// severity is how bad a case is: escalated, about money, or neither.
func severity(c *care.Case) string {
	switch {
	case c.Level > 0:
		return "critical"
	case c.Purchase != 0:
		return "major"
	}
	return "minor"
}

// priority is how soon somebody is to act.
func priority(c *care.Case, now purchase.Instant) string {
	switch {
	case c.Status == care.Open && now >= c.Clock.ResolveBy:
		return "critical"
	case c.Status == care.Open && (c.Level > 0 || c.AnsweredAt == 0 && now >= c.Clock.AnswerBy):
		return "high"
	}
	return "medium"
}

// turned is the status that an entry of a history turned a case to, "" for none.
func turned(c *care.Case, e *care.Entry) string {
	switch e.Event {
	case care.EventOpened:
		return statuses[care.PhaseFresh]
	case care.EventTaken, care.EventResumed, care.EventReopened, care.EventEscalated:
		return statuses[care.PhaseWorking]
	case care.EventLinked:
		if e.Text != "" {
			return statuses[care.PhaseHeld]
		}
	case care.EventPaused:
		return statuses[care.PhaseWaiting]
	case care.EventSettled:
		if e.By.Kind == care.ByRule {
			return statuses[care.PhaseSolved]
		}
		return statuses[care.PhaseClosed]
	case care.EventWithdrawn:
		return statuses[care.PhaseWithdrawn]
	case care.EventMerged:
		if c.Into != 0 && e.At == c.ClosedAt {
			return statuses[care.PhaseMerged]
		}
	default:
	}
	return ""
}

// changesOf are the statuses that a case had, as far as its history tells, and last the one
// that it has.
func changesOf(c *care.Case, history []care.Entry, now StatusChange) []StatusChange {
	changes := []StatusChange{}
	for i := range history {
		e := &history[i]
		status := turned(c, e)
		if status == "" || len(changes) > 0 && changes[len(changes)-1].Status == status {
			continue
		}
		changes = append(changes, StatusChange{Status: status, Date: date(e.At)})
	}
	if len(changes) == 0 || changes[len(changes)-1].Status != now.Status {
		changes = append(changes, now)
	}
	changes[len(changes)-1].Reason = now.Reason
	return changes
}

// noteType is the type of the note that an entry is, "" for none.
func noteType(e *care.Entry) string {
	switch e.Event {
	case care.EventReported:
		return noteReported
	case care.EventTold:
		return noteCustomer
	case care.EventNote:
		return noteInternal
	default:
		return ""
	}
}

// shows reports whether a client may see an entry: what the operator's people write for
// themselves is for those who take part.
func shows(client *auth.Client, e *care.Entry) bool {
	own := e.By.Kind == care.ByClient && e.By.Name == client.Name
	return e.Event != care.EventNote || own || client.May(auth.CasesWrite)
}

// noteID names an entry.
func noteID(ticket string, seq int64) string { return ticket + ":" + strconv.FormatInt(seq, 10) }

// notesOf are the lines of a history that are notes, as far as a client may see them.
func notesOf(client *auth.Client, id string, history []care.Entry) []Note {
	notes := []Note{}
	for i := range history {
		e := &history[i]
		kind := noteType(e)
		if kind == "" || e.Text == "" || !shows(client, e) {
			continue
		}
		author := e.By.Kind.String()
		if e.By.Kind == care.ByClient || e.By.Kind == care.ByRule {
			author += " " + e.By.Name
		}
		notes = append(notes, Note{ID: noteID(id, e.Seq), Author: author, Date: date(e.At), Text: e.Text, Type: kind})
	}
	return notes
}

// fieldNames are the attributes that a ticket may have.
var fieldNames = []string{"id", "href", "externalId", "name", "description", "severity", "priority", "ticketType", "status", "statusChangeDate",
	"statusChangeReason", "creationDate", "lastUpdate", "expectedResolutionDate", "resolutionDate", "channel", "note", "relatedEntity",
	"relatedParty", "statusChange", "troubleTicketRelationship", "@type"}

// picked is a ticket with the attributes asked for alone; id and href always stand there.
func picked(doc *Ticket, fields []string) (any, error) {
	if len(fields) == 0 {
		return doc, nil
	}
	text, err := json.Marshal(doc)
	if err != nil {
		return nil, err
	}
	all := map[string]json.RawMessage{}
	if err := json.Unmarshal(text, &all); err != nil {
		return nil, err
	}
	for name := range all {
		if name != "id" && name != "href" && !slices.Contains(fields, name) {
			delete(all, name)
		}
	}
	return all, nil
}

// etag names a state of a ticket.
func etag(c *care.Case, e care.External) string {
	return `"` + strconv.FormatInt(c.Version, 10) + "-" + strconv.FormatInt(int64(max(e.At, e.AgreedAt)), 36) + `"`
}
