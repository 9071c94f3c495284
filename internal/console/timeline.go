package console

import (
	"context"
	"strings"

	"tenu/internal/auth"
	"tenu/internal/care"
	"tenu/internal/customer"
	"tenu/internal/notify"
	"tenu/internal/purchase"
)

// line is one thing that is known of a purchase, with its source and time.
type line struct {
	At     purchase.Instant
	When   string
	Kind   string // request, attempt, evidence, notice, case, action, call, line, look
	Name   string
	Source string
	Text   string
	Detail string
	New    bool // since a page was made whose form came too late
	badge
}

// lineKinds lists the kinds, in the order in which they are offered.
var lineKinds = []string{"attempt", "evidence", "notice", "case", "action", "call", "line", "look", "sales", "incident"}

// timeline gathers lines.
type timeline struct {
	*visit
	names map[auth.StaffID]string
	all   []line
	sent  map[string]int   // message names, to their lines
	seen  purchase.Instant // what came later is new; 0 for never
}

func (t *timeline) add(at purchase.Instant, kind, source, text, detail string, b badge) {
	t.all = append(t.all, line{At: at, Kind: kind, Source: source, Text: t.legible(text), Detail: t.legible(detail), badge: b})
}

// who did something, in words.
func (t *timeline) by(a care.Actor) string {
	switch a.Kind {
	case care.ByStaff:
		if name := t.names[a.Staff]; name != "" {
			return name
		}
		return "#" + itoa(int(a.Staff))
	case care.ByRule:
		return t.Say("by_rule", "Rule", a.Name)
	case care.ByClient:
		return a.Name
	case care.BySystem, care.ByCustomer:
	}
	return t.Say("by_" + a.Kind.String())
}

var kindLooks = map[purchase.Kind]badge{purchase.Done: {"", "check", "good"}, purchase.Refused: {"", "cross", "bad"}, purchase.Pending: {"", "clock", "wait"},
	purchase.Unknown: {"", "clock", "bad"}, purchase.Unsent: {"", "cross", "wait"}, purchase.Absent: {"", "cross", "wait"},
	purchase.Cancelled: {"", "cross", "wait"}, purchase.Reversed: {"", "return", "bad"}}

// record adds what the engine recorded.
func (t *timeline) record(r *purchase.Record) {
	p := &r.Purchase
	from := p.Client
	if from == customer.Client {
		from = t.Say("by_customer")
	}
	t.add(p.CreatedAt, "action", from, t.Say("line_request", "Total", t.amount(p.Total, p.Currency), "Number", t.phone(p.Recipient)), p.Channel, badge{Icon: "folder"})
	for i := range r.Attempts {
		a := &r.Attempts[i]
		text := t.Say("line_attempt_"+a.Leg.String(), "Partner", t.partnerName(a.Partner))
		if a.Try > 1 {
			text += " " + t.Say("line_try", "N", itoa(int(a.Try)))
		}
		t.add(a.At, "attempt", "tenu", text, "", badge{Icon: "pulse", Tone: "wait"})
	}
	for i := range r.Evidence {
		e := &r.Evidence[i]
		text := t.Say("leg_"+e.Leg.String()) + " : " + t.Say("kind_"+e.Kind.String())
		if e.Amount.Minor != 0 {
			text += ", " + t.amount(e.Amount.Minor, e.Amount.Currency)
		}
		detail := strings.TrimSpace(string(e.Reason) + " " + e.Ref + " " + e.Detail)
		if e.HasBalance {
			detail += " · " + t.Say("line_balance", "Balance", t.amount(e.Balance, p.Currency))
		}
		t.add(e.At, "evidence", t.partnerName(e.Partner)+" · "+t.Say("source_"+e.Source.String()), text, detail, kindLooks[e.Kind])
	}
	t.sent = map[string]int{}
	for i := range r.Notices {
		n := &r.Notices[i]
		t.sent[string(t.cfg.References.Reference(p.ID))+"-"+n.Fact.String()] = len(t.all)
		t.add(n.At, "notice", "SMS", n.Text, t.Say("line_to", "Number", t.phone(n.To))+" · "+t.taken(n.SentAt), badge{Icon: "bell"})
	}
	for _, c := range r.Cases {
		t.add(c.At, "case", t.Say("by_system"), t.matter(c.Matter), "", badge{Icon: "folder", Tone: "case"})
	}
}

// taken says whether an SMS centre took a message over.
func (t *timeline) taken(at purchase.Instant) string {
	if at == 0 {
		return t.Say("line_waits")
	}
	return t.Say("line_taken", "Time", t.moment(at))
}

// requests adds what people and rules asked for, and what was decided.
func (t *timeline) requests(all []care.Request) {
	for i := range all {
		l := t.requestLine(&all[i], t.names)
		detail := l.Reason
		if l.Checker != "" {
			detail += " · " + t.Say("line_checker", "Name", l.Checker)
		}
		if l.Why != "" {
			detail += " · " + l.Why
		}
		t.add(all[i].At, "action", l.Maker, l.Kind+" "+l.Amount+" : "+l.Stage.Word, detail, l.Stage)
	}
}

// file adds a case's history and its messages.
func (t *timeline) file(ctx context.Context, c *care.Case) error {
	entries, err := t.cfg.Care.History(ctx, c.ID)
	if err != nil {
		return err
	}
	for i := range entries {
		t.entry(&entries[i])
	}
	messages, err := t.cfg.Care.MessagesOf(ctx, c.ID)
	for i := range messages {
		t.message(&messages[i])
	}
	return err
}

var eventLooks = map[care.Event]badge{care.EventSettled: {"", "check", "good"}, care.EventLate: {"", "clock", "bad"}, care.EventEscalated: {"", "star", "bad"},
	care.EventLapsed: {"", "clock", "bad"}, care.EventReopened: {"", "folder", "bad"}, care.EventNote: {"", "folder", ""}}

// entry adds one line of a history. Requests are told by themselves.
func (t *timeline) entry(e *care.Entry) {
	if e.Event == care.EventAsked || e.Event == care.EventDecided || e.Event == care.EventDone {
		return
	}
	look, known := eventLooks[e.Event]
	if !known {
		look = badge{Icon: "folder", Tone: "case"}
	}
	text := t.Say("event_" + string(e.Event))
	detail := e.Text
	switch e.Event {
	case care.EventMatter, care.EventOpened:
		detail = t.matter(purchase.Matter(e.Text))
	case care.EventSettled:
		if key := "outcome_" + e.Text; t.Has(key) {
			detail = t.Say(key)
		}
	default:
	}
	t.add(e.At, "case", t.by(e.By), text, detail, look)
}

func (t *timeline) message(m *care.Message) {
	if t.sent == nil {
		t.sent = map[string]int{}
	}
	t.sent[messageName(m.ID)] = len(t.all)
	t.add(m.At, "notice", "SMS", m.Text, t.Say("line_to", "Number", t.phone(m.To))+" · "+t.taken(m.SentAt), badge{Icon: "bell"})
}

// messageName is what a message of care is called to the centre.
func messageName(id int64) string { return "care-" + itoa(int(id)) }

// calls adds the callbacks about the purchase, and their attempts.
func (t *timeline) calls(ctx context.Context, r *purchase.Record) error {
	all, err := t.cfg.Care.Callbacks(ctx, r.Purchase.PayerNumber, 20)
	if err != nil {
		return err
	}
	for i := range all {
		c := &all[i]
		if c.Purchase != r.Purchase.ID {
			continue
		}
		t.add(c.At, "call", t.Say("by_customer"), t.Say("line_promised", "Window", t.window(c.WindowAt)), c.Channel, badge{Icon: "phone", Tone: "case"})
		tries, err := t.cfg.Store.Attempts(ctx, c.ID)
		if err != nil {
			return err
		}
		for j := range tries {
			t.add(tries[j].At, "call", t.names[tries[j].Staff], t.Say("line_called"), t.Say("ring_"+tries[j].Ring.String()), badge{Icon: "phone"})
		}
		if c.ClosedAt != 0 {
			t.add(c.ClosedAt, "call", t.Say("by_system"), t.callBadge(c.State).Word, "", t.callBadge(c.State))
		}
	}
	return nil
}

// looks adds who looked at it.
func (t *timeline) looks(ctx context.Context, r *purchase.Record) error {
	all, err := t.cfg.Store.Looks(ctx, r.Purchase.PayerNumber, 0, 100)
	for i := range all {
		if all[i].Purchase == r.Purchase.ID {
			reason, detail, _ := strings.Cut(all[i].Reason, ": ")
			t.add(all[i].At, "look", t.names[all[i].Staff], t.Say("line_looked"), strings.TrimSpace(t.reasonName(reason)+" "+detail), badge{Icon: "star"})
		}
	}
	return err
}

func (v *visit) reasonName(code string) string {
	if v.Has("reason_" + code) {
		return v.Say("reason_" + code)
	}
	return code
}

// deliveries adds to each message what its centre told of it.
func (t *timeline) deliveries(ctx context.Context, _ *purchase.Record) error {
	var names []string
	for name := range t.sent {
		names = append(names, name)
	}
	if len(names) == 0 {
		return nil
	}
	found, err := t.cfg.Purchases.Deliveries(ctx, names...)
	for i := range found {
		at, known := t.sent[found[i].Message]
		if !known || found[i].State == 0 {
			continue
		}
		l := &t.all[at]
		l.Detail += " · " + t.Say("delivery_"+found[i].State.String(), "Time", t.moment(found[i].ToldAt))
		if found[i].State == notify.Delivered {
			l.Tone = "good"
		}
	}
	return err
}

// lines are all of them in order, or those of one kind.
func (t *timeline) lines(only string) ([]line, []filter) {
	sorted(t.all, func(l *line) purchase.Instant { return l.At })
	kinds := []filter{{"", t.Say("show_all"), only == ""}}
	present := map[string]bool{}
	var shown []line
	for i := range t.all {
		l := &t.all[i]
		l.When, l.Name, l.New = t.moment(l.At), t.Say("show_"+l.Kind), t.seen != 0 && l.At > t.seen
		present[l.Kind] = true
		if only == "" || only == l.Kind {
			shown = append(shown, *l)
		}
	}
	for _, k := range lineKinds {
		if present[k] {
			kinds = append(kinds, filter{k, t.Say("show_" + k), only == k})
		}
	}
	return shown, kinds
}
