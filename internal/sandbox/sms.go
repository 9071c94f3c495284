package sandbox

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io"
	"net/http"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"tenu/internal/purchase"
)

// SMSConfig is what a sandbox SMS centre is built from.
type SMSConfig struct {
	Config
	// ReceiptURL is where delivery receipts are posted; "" stands for nowhere.
	ReceiptURL string
	// After is how long a message takes to its phone.
	After time.Duration
}

// SMS is a message centre over HTTP and JSON: POST /messages hands a message
// over, GET /messages?to= reads a phone's inbox, GET /phone/{number} shows it.
// It is an http.Handler; Step or Run does what is due later.
//
// A message is a movement of its book without an amount: the note is the text,
// done says delivered, the leg where it stands now. Receipts are posted as
// {"id", "state", "at"} with the states accepted and delivered.
type SMS struct {
	*core
	config SMSConfig
	mux    *http.ServeMux
	client *http.Client
}

// The kinds of the centre's due work, and the legs of its book.
const (
	dueDeliver = "deliver" // data: reference
	dueReceipt = "receipt" // data: receipt

	legMessage  = "message"
	legRecycled = "recycled" // delivered to a phone that is somebody else's now
)

// NewSMS opens the centre's book and returns it ready to serve. Close must be called.
func NewSMS(ctx context.Context, config SMSConfig) (*SMS, error) {
	c, err := newCore(ctx, config.Config, "SM", map[string][]Kind{
		"message": {LoseRequest, Outage, LoseReply, SlowAnswer, ServerError, Drip, Huge, Garbage, Refuse, ForgetKey, Swallow, MessageTwice, Recycled},
		"receipt": {ReceiptTwice, ReceiptDisorder},
	})
	if err != nil {
		return nil, err
	}
	s := &SMS{core: c, config: config, mux: http.NewServeMux(), client: callbackClient()}
	c.jobs[dueDeliver] = s.deliver
	c.jobs[dueReceipt] = s.sendReceipt
	c.routes(s.mux)
	s.mux.HandleFunc("POST /messages", s.take)
	s.mux.HandleFunc("GET /messages", s.list)
	s.mux.HandleFunc("GET /phone/{number}", s.showPhone)
	return s, nil
}

// Close finishes what is under way and closes the book. Run must have ended.
func (s *SMS) Close() error {
	s.client.CloseIdleConnections()
	return s.core.Close()
}

// ServeHTTP answers the centre's protocol and the sandbox's own requests.
func (s *SMS) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// Message is a message as the centre shows it.
type Message struct {
	ID   string `json:"id"`
	To   string `json:"to"` // with the plus sign
	Text string `json:"text"`
	// Resend says that the sender may have handed it over before.
	Resend bool `json:"resend,omitempty"`
	// State is accepted or delivered.
	State string `json:"state,omitempty"`
	// Stranger says that the number belonged to somebody else when it arrived.
	Stranger  bool       `json:"stranger,omitempty"`
	Accepted  *time.Time `json:"accepted_at,omitempty"`
	Delivered *time.Time `json:"delivered_at,omitempty"`
}

// Bounds of a message. Ten segments are more than any notice has.
const (
	maxMessageBody = 8 << 10
	maxMessageText = 1530 // characters
	maxMessageID   = 128
)

var phoneShape = regexp.MustCompile(`^\+?[1-9][0-9]{7,14}$`)

func (m *Message) check() error {
	switch {
	case m.ID == "" || len(m.ID) > maxMessageID:
		return fmt.Errorf("id must have 1 to %d bytes", maxMessageID)
	case !phoneShape.MatchString(m.To):
		return errors.New("to must be a number in E.164")
	case m.Text == "" || utf8.RuneCountInString(m.Text) > maxMessageText || !utf8.ValidString(m.Text):
		return fmt.Errorf("text must have 1 to %d characters", maxMessageText)
	case m.State != "" || m.Stranger || m.Accepted != nil || m.Delivered != nil:
		return errors.New("only id, to and text are given by the caller")
	}
	return nil
}

// take is POST /messages: 201 for a new message, 200 for one that the centre
// has already, 409 for another text or number under its id.
func (s *SMS) take(w http.ResponseWriter, r *http.Request) {
	var m Message
	if err := decodeStrict(http.MaxBytesReader(w, r.Body, maxMessageBody), &m); err != nil {
		writeProblem(w, http.StatusBadRequest, err)
		return
	}
	if err := m.check(); err != nil {
		writeProblem(w, http.StatusUnprocessableEntity, err)
		return
	}
	to := strings.TrimPrefix(m.To, "+")
	hits := s.faults.Draw("message", to)
	switch {
	case hits.Has(LoseRequest):
		cut()
	case hits.Has(Outage):
		s.reply(w, r, hits, http.StatusServiceUnavailable, "the centre is not available")
		return
	case hits.Has(Refuse):
		s.reply(w, r, hits, http.StatusUnprocessableEntity, "refused")
		return
	}
	status, had, err := s.keep(r.Context(), m.ID, to, m.Text, hits, s.Clock.Now())
	switch {
	case err != nil:
		s.Log.Error("sandbox book failed", "partner", s.Name, "error", err)
		s.reply(w, r, hits, http.StatusInternalServerError, "internal error")
	case hits.Has(ServerError):
		s.reply(w, r, hits, http.StatusInternalServerError, "internal error")
	case status == http.StatusConflict:
		s.reply(w, r, hits, status, "the id was used for another message")
	default:
		s.dueSoon()
		s.reply(w, r, hits, status, message(had))
	}
}

func (s *SMS) reply(w http.ResponseWriter, r *http.Request, hits Hits, status int, value any) {
	if text, isProblem := value.(string); isProblem {
		value = map[string]string{"error": text}
	}
	body, err := json.Marshal(value)
	if err != nil {
		cut()
	}
	s.answer(w, r, hits, status, "application/json", body)
}

// keep accepts a message, unless it was accepted before.
func (s *SMS) keep(ctx context.Context, id, to, text string, hits Hits, now purchase.Instant) (status int, m Movement, err error) {
	status = http.StatusCreated
	err = s.book.Do(ctx, func(p *Page) error {
		had, err := p.ByKey(ctx, id)
		if err != nil {
			return err
		}
		if len(had) > 0 && !hits.Has(ForgetKey) {
			m, status = had[0], http.StatusOK
			if m.Number != to || m.Note != text {
				status = http.StatusConflict
			}
			return nil
		}
		times := 1
		if hits.Has(MessageTwice) {
			times = 2
		}
		for range times {
			m = Movement{Key: id, Leg: legMessage, Number: to, Note: text, Status: StatusPending, At: now}
			if hits.Has(Recycled) {
				m.Leg = legRecycled
			}
			if err := p.AddMovement(&m); err != nil {
				return err
			}
			if hits.Has(Swallow) {
				continue
			}
			if err := p.AddDue(now.Add(s.config.After), dueDeliver, m.Ref); err != nil {
				return err
			}
		}
		return nil
	})
	return status, m, err
}

// deliver brings a message to its phone, and sets the receipts.
func (s *SMS) deliver(ctx context.Context, d Due, now purchase.Instant) error {
	return s.book.Do(ctx, func(p *Page) error {
		m, err := p.Movement(ctx, d.Data)
		if err != nil || m.Status != StatusPending {
			return errors.Join(ignoreMissing(err), p.DropDue(d.ID))
		}
		m.Status, m.Moved = StatusDone, now
		if err := errors.Join(p.SetMovement(m), p.DropDue(d.ID)); err != nil || s.config.ReceiptURL == "" {
			return err
		}
		hits := s.faults.Draw("receipt", m.Number)
		states := []string{"accepted", "delivered"}
		if hits.Has(ReceiptDisorder) {
			states = []string{"delivered", "accepted"}
		}
		if hits.Has(ReceiptTwice) {
			states = append(states, states[1])
		}
		data, err := json.Marshal(receipt{ID: m.Key, States: states, At: now.Time()})
		if err != nil {
			return err
		}
		return p.AddDue(now, dueReceipt, string(data))
	})
}

// receipt is what is told of a message, one state after the other.
type receipt struct {
	ID     string    `json:"id"`
	States []string  `json:"states"`
	At     time.Time `json:"at"`
}

// sendReceipt posts the receipts of a message, once: a centre does not come back.
func (s *SMS) sendReceipt(ctx context.Context, d Due, _ purchase.Instant) error {
	var due receipt
	if err := json.Unmarshal([]byte(d.Data), &due); err == nil {
		for _, state := range due.States {
			if err := s.postReceipt(ctx, due, state); err != nil {
				s.Log.Info("sandbox receipt was not taken", "partner", s.Name, "error", err)
			}
		}
	}
	return s.book.Do(ctx, func(p *Page) error { return p.DropDue(d.ID) })
}

func (s *SMS) postReceipt(ctx context.Context, due receipt, state string) error {
	body, err := json.Marshal(map[string]any{"id": due.ID, "state": state, "at": due.At})
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.config.ReceiptURL, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := s.client.Do(request)
	if err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, maxMessageBody)) // to keep the connection
	return response.Body.Close()
}

func message(m Movement) Message {
	shown := Message{ID: m.Key, To: "+" + m.Number, Text: m.Note, State: "accepted", Stranger: m.Leg == legRecycled}
	accepted := m.At.Time()
	shown.Accepted = &accepted
	if m.Moved != 0 {
		delivered := m.Moved.Time()
		shown.State, shown.Delivered = "delivered", &delivered
	}
	return shown
}

// inbox returns a number's messages, newest first.
func (s *SMS) inbox(r *http.Request, number string) ([]Message, error) {
	limit, err := queryInt(r, "limit", pageLimit, pageLimit)
	if err != nil {
		return nil, err
	}
	list, err := s.book.ByNumber(r.Context(), strings.TrimPrefix(strings.TrimSpace(number), "+"), 0, int(limit))
	messages := []Message{}
	for _, m := range list {
		messages = append(messages, message(m))
	}
	return messages, err
}

// list is GET /messages?to=.
func (s *SMS) list(w http.ResponseWriter, r *http.Request) {
	messages, err := s.inbox(r, r.URL.Query().Get("to"))
	show(w, messages, err)
}

//go:embed sms.html
var phonePage string

var phoneTemplate = template.Must(template.New("phone").Parse(phonePage))

// showPhone is GET /phone/{number}: the inbox as a page that people read.
func (s *SMS) showPhone(w http.ResponseWriter, r *http.Request) {
	number := r.PathValue("number")
	if !phoneShape.MatchString(number) {
		http.Error(w, "a phone has a number in E.164", http.StatusNotFound)
		return
	}
	all, err := s.inbox(r, number)
	if err != nil {
		http.Error(w, "the inbox cannot be read", http.StatusInternalServerError)
		return
	}
	var arrived []Message
	for _, m := range all {
		if m.Delivered != nil && !m.Stranger {
			arrived = append(arrived, m)
		}
	}
	var page bytes.Buffer
	if err := phoneTemplate.Execute(&page, map[string]any{"Number": "+" + strings.TrimPrefix(number, "+"), "Messages": arrived}); err != nil {
		http.Error(w, "the inbox cannot be shown", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
	_, _ = page.WriteTo(w) // the reader may have gone
}
