package news

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"

	"tenu/internal/hook"
	"tenu/internal/incident"
	"tenu/internal/mail"
	"tenu/internal/money"
	"tenu/internal/phrase"
	"tenu/internal/purchase"
)

//go:embed words/*.yaml
var words embed.FS

func loadTexts() (*phrase.Texts, error) {
	dir, err := fs.Sub(words, "words")
	if err != nil {
		return nil, fmt.Errorf("news: %w", err)
	}
	texts, err := phrase.LoadTexts("fr", dir)
	if err != nil {
		return nil, fmt.Errorf("news: %w", err)
	}
	return texts, nil
}

// mailto begins the address of a listener that is a mailbox.
const mailto = "mailto:"

// Mailbox is a listener of the configuration that is a mailbox: of operations, or of a regulator.
func Mailbox(address string, regulator bool) hook.Listener {
	if regulator {
		return hook.Configured("regulator-"+address, "", mailto+address, Notices)
	}
	return hook.Configured("mail-"+address, "", mailto+address, "")
}

// mailed are the events that operations get a mail of.
var mailed = map[incident.Event]bool{incident.EventOpened: true, incident.EventAgain: true, incident.EventSeverity: true, incident.EventRecovered: true,
	incident.EventResolved: true, incident.EventClosed: true, incident.EventOwed: true, incident.EventLate: true}

// turns are those that an incident may go through time and again.
var turns = map[incident.Event]bool{incident.EventAgain: true, incident.EventSeverity: true, incident.EventRecovered: true}

// maxTurns is how many mails of an incident are sent in an hour before those that only say that it turned are left out.
const maxTurns = 6

// worth reports whether operations get a mail of the line. A later line that is one too has overtaken it, as when the mail server was
// down: that one's mail has the whole timeline.
func (s *subject) worth() bool {
	e := s.entry()
	if !mailed[e.Event] {
		return false
	}
	if e.Event == incident.EventOwed || e.Event == incident.EventLate {
		return true
	}
	for k := s.at + 1; k < len(s.entries); k++ {
		if mailed[s.entries[k].Event] {
			return false
		}
	}
	before := 0
	for k := range s.entries[:s.at] {
		if mailed[s.entries[k].Event] && s.entries[k].At > e.At.Add(-time.Hour) {
			before++
		}
	}
	return !turns[e.Event] || before < maxTurns
}

// Carry tells a mailbox: operations of what is worth a mail, a regulator of notices. It is hook.Config.Carry.
func (n *News) Carry(ctx context.Context, l hook.Listener, d hook.Delivery) error {
	to, isMailbox := strings.CutPrefix(l.URL, mailto)
	if !isMailbox || n.cfg.Post == nil {
		return fmt.Errorf("%w: it is no mailbox, or there is no mail", hook.ErrSkip)
	}
	s, err := n.read(ctx, &d)
	if err != nil {
		return err
	}
	thread := s.ID.String() + "@" + n.cfg.Post.Domain()
	m := mail.Mail{To: to, At: s.entry().At.Time(), Thread: thread, ID: s.ID.String() + "." + strconv.FormatInt(d.Seq, 10) + "@" + n.cfg.Post.Domain()}
	switch {
	case l.Query == Notices && kindOf(&s.Incident, s.entry()) != TypeNotice, l.Query != Notices && !s.worth():
		return fmt.Errorf("%w: not worth a mail", hook.ErrSkip)
	case l.Query == Notices:
		m.Subject, m.Text = n.official(s)
		m.Thread = m.ID // a regulator is told once
	default:
		m.Subject, m.Text = n.letter(s)
		if s.entry().Event == incident.EventOpened {
			m.ID = thread
		} else {
			m.Subject = "Re: " + m.Subject
		}
	}
	err = n.cfg.Post.Send(ctx, m)
	var refused *mail.RefusedError
	if errors.As(err, &refused) {
		return hook.Answered(refused.Code)
	}
	return err
}

// official is a notice as a regulator gets it.
func (n *News) official(s *subject) (title, text string) {
	o := s.Owes(dutyOf(s.entry()))
	var parts []string
	for _, language := range n.cfg.Language {
		subject, part := n.cfg.Desk.Notice(&s.Incident, o, &s.totals, language)
		if title == "" {
			title = subject
		}
		parts = append(parts, part)
	}
	return title, strings.Join(parts, rule)
}

// rule stands between two languages.
const rule = "\n\n----------------------------------------\n\n"

// maxLines bounds the lines of the timeline in a mail.
const maxLines = 40

// letter is a mail to operations. Its subject is the same for the whole incident, so that every reader keeps the thread together.
func (n *News) letter(s *subject) (title, text string) {
	var parts []string
	for _, language := range n.cfg.Language {
		parts = append(parts, n.part(s, language))
	}
	return "tenu " + s.ID.String() + ": " + s.Series.String(), strings.Join(parts, rule)
}

// part is a letter in one language.
func (n *News) part(s *subject, language purchase.Language) string {
	t := n.texts.In(string(language))
	var b strings.Builder
	line := func(key string, pairs ...string) { b.WriteString(t.Say(key, pairs...) + "\n") }
	number := func(v int64) string { return strconv.FormatInt(v, 10) }
	clock := func(at purchase.Instant) string { return at.Time().In(n.cfg.Location).Format("02/01 15:04:05") }
	line("head", "Name", s.ID.String(), "Event", t.Say("event_"+string(s.entry().Event)), "Title", s.Title[language])
	b.WriteString("\n" + s.Text[language] + "\n\n")
	line("status", "Status", t.Say("status_"+s.Status.String()), "Severity", t.Say("severity_"+s.Severity.String()), "Party", s.Party)
	line("sold", "Share", strconv.FormatFloat(float64(s.Share)/10, 'f', -1, 64), "Rule", string(s.Rule))
	line("customers", "Customers", number(s.totals.Customers), "Told", number(s.totals.Told))
	amount := money.Amount{Minor: s.totals.Amount, Currency: s.totals.Currency}.String()
	line("purchases", "Purchases", number(s.totals.Purchases), "Amount", amount, "Credited", number(s.totals.Credited), "Refunded", number(s.totals.Refunded),
		"Pending", number(s.totals.Pending))
	for k := range s.Owed {
		o := &s.Owed[k]
		key := "duty_open"
		switch {
		case o.DoneAt != 0 && o.Kept():
			key = "duty_kept"
		case o.DoneAt != 0:
			key = "duty_done_late"
		case o.Late:
			key = "duty_late"
		}
		line(key, "What", t.Say("duty_"+string(o.Kind)), "Due", clock(o.Due), "Done", clock(o.DoneAt), "Source", o.Source)
	}
	if s.entry().Event == incident.EventOwed && kindOf(&s.Incident, s.entry()) == TypeNotice {
		title, text := n.cfg.Desk.Notice(&s.Incident, s.Owes(dutyOf(s.entry())), &s.totals, language)
		b.WriteString("\n" + t.Say("draft") + "\n\n> " + title + "\n>\n> " + strings.ReplaceAll(text, "\n", "\n> ") + "\n")
	}
	b.WriteString("\n")
	shown := slices.DeleteFunc(slices.Clone(s.entries), func(e incident.Entry) bool { return e.Event == incident.EventProbe })
	if len(shown) > maxLines {
		line("earlier", "Count", number(int64(len(shown)-maxLines)))
		shown = shown[len(shown)-maxLines:]
	}
	for k := range shown {
		b.WriteString(strings.TrimRight(clock(shown[k].At)+"  "+t.Say("event_"+string(shown[k].Event))+"  "+strings.ReplaceAll(detail(&shown[k]), "\n", " / "), " ") + "\n")
	}
	if n.cfg.Page != nil {
		if page := n.cfg.Page(s.ID); page != "" {
			b.WriteString("\n" + page + "\n")
		}
	}
	return b.String()
}
