// Package news writes what other systems, operations and a regulator are told of incidents: the bodies of webhooks, and mails. An
// event is a line of an incident's timeline; hook says to whom it goes and that it went. It must not know SQL,
// SMTP, or a customer's number.
package news

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"tenu/internal/hook"
	"tenu/internal/incident"
	"tenu/internal/mail"
	"tenu/internal/phrase"
	"tenu/internal/purchase"
)

// The types of events.
const (
	TypeOpened     = "IncidentOpenedEvent"
	TypePaused     = "IncidentPausedEvent"
	TypeChanged    = "IncidentChangedEvent"
	TypeRecovering = "IncidentRecoveringEvent"
	TypeResolved   = "IncidentResolvedEvent"
	TypeClosed     = "IncidentClosedEvent"
	TypeReopened   = "IncidentReopenedEvent"
	TypeNotice     = "IncidentNoticeEvent" // the regulator is to be notified, with the draft
)

// Types lists them.
var Types = []string{TypeOpened, TypePaused, TypeChanged, TypeRecovering, TypeResolved, TypeClosed, TypeReopened, TypeNotice}

// Notices is the query of listeners that are a regulator: they hear of notices alone, and whoever took one was notified.
const Notices = "notices"

// CheckQuery returns an error unless a query selects events: "" for all, eventType=A,B, or Notices.
func CheckQuery(query string) error {
	_, err := typesOf(query)
	return err
}

// typesOf are the types that a query selects, none for all.
func typesOf(query string) ([]string, error) {
	if query == Notices {
		return []string{TypeNotice}, nil
	}
	return hook.Selected(query, Types)
}

// Desk is what is needed of whoever keeps the record; *incident.Desk is one.
type Desk interface {
	Incident(ctx context.Context, id incident.ID) (incident.Incident, error)
	// Notice drafts what a regulator is told.
	Notice(i *incident.Incident, o *incident.Owed, totals *incident.Totals, language purchase.Language) (subject, text string)
	// Done notes that what an incident owes was done.
	Done(ctx context.Context, id incident.ID, duty, how string) error
}

// Record is what is needed of the store.
type Record interface {
	Entries(ctx context.Context, id incident.ID) ([]incident.Entry, error)
	Totals(ctx context.Context, id incident.ID) (incident.Totals, error)
}

// Post hands a mail over; *mail.Sender does.
type Post interface {
	Send(ctx context.Context, m mail.Mail) error
	Domain() string
}

// Config is what a desk for news is built from. Desk and Record are needed.
type Config struct {
	Desk     Desk
	Record   Record
	Post     Post                // nil: no mail is sent
	Location *time.Location      // of the times in mails; UTC when nil
	Language []purchase.Language // of mails, one below the other (default fr, en)
	// Page is the page of an incident for the staff, "" for none. Nil: there are none.
	Page func(incident.ID) string
}

// News writes. It is safe for concurrent use.
type News struct {
	cfg   Config
	texts *phrase.Texts
}

// New returns what writes news, or an error that says what cannot be.
func New(cfg Config) (*News, error) {
	if cfg.Desk == nil || cfg.Record == nil {
		return nil, errors.New("news: a desk and a record are needed")
	}
	texts, err := loadTexts()
	if err != nil {
		return nil, err
	}
	if cfg.Location == nil {
		cfg.Location = time.UTC
	}
	if len(cfg.Language) == 0 {
		cfg.Language = []purchase.Language{"fr", "en"}
	}
	for _, language := range cfg.Language {
		if texts.Choose(string(language)) != string(language) {
			return nil, fmt.Errorf("news: there is no language %q", language)
		}
	}
	return &News{cfg, texts}, nil
}

// kindOf is the type of the event that an entry is, "" for what is nobody else's business.
func kindOf(i *incident.Incident, e *incident.Entry) string {
	switch e.Event {
	case incident.EventOpened:
		return TypeOpened
	case incident.EventPaused:
		return TypePaused
	case incident.EventRecovered:
		return TypeRecovering
	case incident.EventResolved:
		return TypeResolved
	case incident.EventClosed:
		return TypeClosed
	case incident.EventAgain:
		return TypeReopened
	case incident.EventOwed:
		if o := i.Owes(dutyOf(e)); o != nil && o.Kind == incident.TellRegulator {
			return TypeNotice
		}
	case incident.EventProbe, incident.EventNote:
		return ""
	default:
	}
	return TypeChanged
}

// dutyOf is the duty that an entry is of.
func dutyOf(e *incident.Entry) string {
	name, _, _ := strings.Cut(e.Text, "\n")
	return name
}

// subject is an incident and the line of its timeline that a delivery is of.
type subject struct {
	incident.Incident
	totals  incident.Totals
	entries []incident.Entry
	at      int // of the line among entries
}

func (s *subject) entry() *incident.Entry { return &s.entries[s.at] }

// name is the event's, the same for every try.
func (s *subject) name() string { return s.ID.String() + ":" + strconv.FormatInt(s.entry().Seq, 10) }

// read reads what a delivery is of.
func (n *News) read(ctx context.Context, d *hook.Delivery) (s *subject, err error) {
	s = &subject{}
	if s.Incident, err = n.cfg.Desk.Incident(ctx, incident.ID(d.Subject)); err != nil {
		return nil, fmt.Errorf("read what is told: %w", err)
	}
	if s.entries, err = n.cfg.Record.Entries(ctx, s.ID); err != nil {
		return nil, fmt.Errorf("read what is told: %w", err)
	}
	if s.totals, err = n.cfg.Record.Totals(ctx, s.ID); err != nil {
		return nil, fmt.Errorf("read what is told: %w", err)
	}
	s.at = slices.IndexFunc(s.entries, func(e incident.Entry) bool { return e.Seq == d.Seq })
	if s.at < 0 {
		return nil, fmt.Errorf("%w: there is no such line", hook.ErrSkip)
	}
	return s, nil
}

// event is the body of a webhook.
type event struct {
	ID       string    `json:"id"`
	Type     string    `json:"type"`
	At       time.Time `json:"at"`
	Change   string    `json:"change"`
	Detail   string    `json:"detail,omitempty"`
	Incident body      `json:"incident"`
	Notice   *notice   `json:"notice,omitempty"`
}

// body is an incident as it stands.
type body struct {
	ID        string            `json:"id"`
	Version   int64             `json:"version"`
	Dimension string            `json:"dimension"`
	Name      string            `json:"name"`
	Rule      string            `json:"rule"`
	Status    string            `json:"status"`
	Severity  string            `json:"severity"`
	Party     string            `json:"party"`
	Since     *time.Time        `json:"since,omitempty"`
	Seen      *time.Time        `json:"seen_at,omitempty"`
	Paused    *time.Time        `json:"paused_at,omitempty"`
	Recovered *time.Time        `json:"recovered_at,omitempty"`
	Resolved  *time.Time        `json:"resolved_at,omitempty"`
	Closed    *time.Time        `json:"closed_at,omitempty"`
	Expected  *time.Time        `json:"expected_at,omitempty"`
	Share     int               `json:"sold_per_thousand"`
	Title     map[string]string `json:"title"`
	Text      map[string]string `json:"text"`
	Currency  string            `json:"currency,omitempty"`
	Customers int64             `json:"customers"`
	Told      int64             `json:"told"`
	Purchases int64             `json:"purchases"`
	Amount    int64             `json:"amount"`
	Credited  int64             `json:"credited"`
	Refunded  int64             `json:"refunded"`
	Pending   int64             `json:"pending"`
	Duties    []duty            `json:"duties,omitempty"`
}

type duty struct {
	Name   string     `json:"name"`
	Kind   string     `json:"kind"`
	Source string     `json:"source"`
	Since  *time.Time `json:"since,omitempty"`
	Due    *time.Time `json:"due,omitempty"`
	Done   *time.Time `json:"done_at,omitempty"`
	Late   bool       `json:"late"`
}

// notice is what a regulator is told, drafted.
type notice struct {
	Duty    string            `json:"duty"`
	Source  string            `json:"source"`
	Due     *time.Time        `json:"due"`
	Subject map[string]string `json:"subject"`
	Text    map[string]string `json:"text"`
}

func moment(at purchase.Instant) *time.Time {
	if at == 0 {
		return nil
	}
	t := at.Time().UTC()
	return &t
}

// Write writes what a listener is told of a line of a timeline. It returns an error that wraps hook.ErrSkip for what the listener
// did not ask for.
func (n *News) Write(ctx context.Context, l hook.Listener, d hook.Delivery) (hook.Message, error) {
	types, err := typesOf(l.Query)
	if err != nil {
		return hook.Message{}, fmt.Errorf("%w: its query cannot be read", hook.ErrSkip)
	}
	s, err := n.read(ctx, &d)
	if err != nil {
		return hook.Message{}, err
	}
	e := s.entry()
	kind := kindOf(&s.Incident, e)
	if kind == "" || len(types) > 0 && !slices.Contains(types, kind) {
		return hook.Message{}, fmt.Errorf("%w: not asked for", hook.ErrSkip)
	}
	doc := event{ID: s.name(), Type: kind, At: e.At.Time().UTC(), Change: string(e.Event), Detail: detail(e), Incident: s.body()}
	if kind == TypeNotice {
		o := s.Owes(dutyOf(e))
		doc.Notice = &notice{Duty: o.Duty, Source: o.Source, Due: moment(o.Due), Subject: map[string]string{}, Text: map[string]string{}}
		for _, language := range n.texts.Languages() {
			doc.Notice.Subject[language], doc.Notice.Text[language] = n.cfg.Desk.Notice(&s.Incident, o, &s.totals, purchase.Language(language))
		}
	}
	data, err := json.Marshal(doc)
	if err != nil {
		return hook.Message{}, fmt.Errorf("write event %s: %w", doc.ID, err)
	}
	return hook.Message{ID: doc.ID, Type: kind, Body: data}, nil
}

// detail is what an entry says more, without what people wrote for the house alone.
func detail(e *incident.Entry) string {
	switch e.Event {
	case incident.EventOwed, incident.EventDone, incident.EventLate:
		return dutyOf(e)
	case incident.EventSeverity, incident.EventParty, incident.EventStep, incident.EventTold, incident.EventExpected:
		return e.Text
	case incident.EventOpened, incident.EventPaused, incident.EventAgain, incident.EventRecovered:
		if e.By.Staff == 0 {
			return e.Text
		}
	default:
	}
	return ""
}

// body is the incident as it stands.
func (s *subject) body() body {
	b := body{ID: s.ID.String(), Version: s.Version, Dimension: s.Series.By.String(), Name: s.Series.Name, Rule: string(s.Rule), Status: s.Status.String(),
		Severity: s.Severity.String(), Party: s.Party, Since: moment(s.Since), Seen: moment(s.SeenAt), Paused: moment(s.PausedAt), Recovered: moment(s.RecoveredAt),
		Resolved: moment(s.ResolvedAt), Closed: moment(s.ClosedAt), Expected: moment(s.ExpectedAt), Share: s.Share, Title: map[string]string{}, Text: map[string]string{},
		Currency: string(s.totals.Currency), Customers: s.totals.Customers, Told: s.totals.Told, Purchases: s.totals.Purchases, Amount: s.totals.Amount,
		Credited: s.totals.Credited, Refunded: s.totals.Refunded, Pending: s.totals.Pending}
	for language, title := range s.Title {
		b.Title[string(language)], b.Text[string(language)] = title, s.Text[language]
	}
	for _, o := range s.Owed {
		b.Duties = append(b.Duties, duty{o.Duty, string(o.Kind), o.Source, moment(o.At), moment(o.Due), moment(o.DoneAt), o.Late})
	}
	return b
}

// Taken notes that a regulator took a notice.
func (n *News) Taken(ctx context.Context, l hook.Listener, d hook.Delivery) error {
	if l.Query != Notices {
		return nil
	}
	s, err := n.read(ctx, &d)
	if err != nil {
		return err
	}
	return n.cfg.Desk.Done(ctx, s.ID, dutyOf(s.entry()), l.ID)
}
