package portal

import (
	"errors"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"time"

	"tenu/internal/care"
	"tenu/internal/money"
	"tenu/internal/purchase"
	"tenu/internal/regulator"
)

type openPage struct {
	frame
	Reason string
	Items  []itemLine
	More   int
}

type itemLine struct{ Name, Short, Month, Account, Amount, Since, Age, Tone string }

// mostItems bounds a list.
const mostItems = 500

// minReason is how long a reason for looking beyond figures is at least, in characters.
const minReason = 5

// reason is why somebody looks beyond figures: it is kept.
func (v *visit) reason(about purchase.ID, what string) (string, bool) {
	reason := v.Form("reason")
	if n := len([]rune(reason)); n < minReason || n > 200 {
		return "", false
	}
	err := v.cfg.Records.AddLook(v.R.Context(), care.Look{At: v.At, Staff: v.Who.ID, Purchase: about, Reason: what + ": " + reason})
	if err != nil {
		v.Fail(err)
		return "", false
	}
	return reason, true
}

// open lists what is held and in exposure now, once a reason is given.
func (p *Portal) open(v *visit) {
	show := &openPage{frame: v.frame("open")}
	if v.R.Method != http.MethodPost {
		v.show(http.StatusOK, "open", show)
		return
	}
	var ok bool
	if show.Reason, ok = v.reason(0, "regulator: open items"); !ok {
		show.Problem = v.Say("reason_short")
		v.show(http.StatusUnprocessableEntity, "open", show)
		return
	}
	items, err := p.cfg.Desk.Open(v.R.Context())
	if err != nil {
		v.Fail(err)
		return
	}
	limits, _, err := v.limits()
	if err != nil {
		v.Fail(err)
		return
	}
	month := v.At.Time().In(p.cfg.Location).Format("2006-01")
	for i := range items[:min(len(items), mostItems)] {
		x := &items[i]
		name, age := p.cfg.Desk.Pseudonym(month, x.Purchase), v.At.Sub(x.Since)
		l := itemLine{Name: name, Short: name[:10], Month: month, Account: v.account(x.Account), Amount: regulator.Money{x.Currency: x.Amount}.Say(), Since: v.time(x.Since),
			Age: regulator.Took(age, v.Lang)}
		if x.Account == regulator.Held && limits.Settle > 0 && age > limits.Settle {
			l.Tone = "bad"
		}
		show.Items = append(show.Items, l)
	}
	show.More = len(items) - len(show.Items)
	v.show(http.StatusOK, "open", show)
}

// account is an account in words.
func (v *visit) account(name string) string {
	if name == regulator.Held {
		return v.Say("account_held")
	}
	return v.Say("account_exposure", "Partner", name[len("exposure/"):])
}

type entryPage struct {
	frame
	Name   string
	Facts  [][2]string
	Events []eventLine
}

type eventLine struct {
	at                purchase.Instant
	When, What, Whose string
}

// entry shows the life of one purchase under its name: no number, and no words of anybody's.
func (p *Portal) entry(v *visit) {
	month, name := v.R.PathValue("month"), v.R.PathValue("name")
	id, err := p.cfg.Desk.Unveil(month, name)
	if err != nil {
		v.Fail(err)
		return
	}
	if _, ok := v.reason(id, "regulator"); !ok {
		v.Problem(http.StatusUnprocessableEntity, "reason_short")
		return
	}
	found, err := p.cfg.Records.Load(v.R.Context(), id)
	if err == nil && len(found) == 0 {
		err = regulator.ErrNotFound
	}
	if err != nil {
		v.Fail(err)
		return
	}
	r := &found[0]
	show := &entryPage{frame: v.frame("open"), Name: name[:10], Events: v.events(r)}
	q := &r.Purchase
	show.Facts = [][2]string{{v.Say("product"), q.Product}, {v.Say("price"), regulator.Money{q.Currency: q.Total}.Say()}, {v.Say("state"), v.Say("state_" + q.State.String())},
		{v.Say("payer"), q.Payer}, {v.Say("provider"), q.Provider}, {v.Say("resolve_by"), v.time(q.ResolveBy)}}
	v.show(http.StatusOK, "entry", show)
}

// events are what happened to a purchase, in order.
func (v *visit) events(r *purchase.Record) (all []eventLine) {
	add := func(at purchase.Instant, what, whose string) {
		all = append(all, eventLine{at, v.time(at), what, whose})
	}
	add(r.Purchase.CreatedAt, v.Say("event_made"), "")
	for i := range r.Attempts {
		a := &r.Attempts[i]
		add(a.At, v.Say("event_attempt", "Leg", v.Say("leg_"+a.Leg.String()), "N", strconv.Itoa(int(a.Try))), a.Partner)
	}
	for i := range r.Evidence {
		e := &r.Evidence[i]
		what := v.Say("event_evidence", "Leg", v.Say("leg_"+e.Leg.String()), "Kind", v.Say("kind_"+e.Outcome.Kind.String()))
		if e.Outcome.Reason != "" {
			what += " (" + string(e.Outcome.Reason) + ")"
		}
		add(e.At, what, e.Partner)
	}
	for i := range r.Postings {
		m := &r.Postings[i]
		add(m.At, v.Say("event_posting", "Amount", regulator.Money{money.Currency(m.Amount.Currency): m.Amount.Minor}.Say(), "From", string(m.Debit), "To", string(m.Credit)), "")
	}
	for i := range r.Notices {
		n := &r.Notices[i]
		add(n.At, v.Say("event_notice", "Fact", n.Fact.String()), "")
	}
	for _, c := range r.Cases {
		add(c.At, v.Say("event_case", "Matter", string(c.Matter)), "")
	}
	slices.SortStableFunc(all, func(a, b eventLine) int { return int(a.at - b.at) })
	return all
}

type publishedPage struct {
	frame
	Key    string
	Months []monthLine
}

type monthLine struct {
	Month, When, Version, Head, Profile, Digest, Signature string
	Genuine                                                bool
	Files                                                  []regulator.File
	Later                                                  []correctionLine
}

// published lists the months that are published, with what was found out since.
func (p *Portal) published(v *visit) {
	ctx := v.R.Context()
	all, err := p.cfg.Desk.Publications(ctx)
	if err != nil {
		v.Fail(err)
		return
	}
	show := &publishedPage{frame: v.frame("published"), Key: p.cfg.Desk.Key()}
	for i := range all {
		x := &all[i]
		l := monthLine{Month: x.Month, When: v.time(x.At), Version: x.Version, Head: x.Head, Profile: x.Profile, Digest: x.Digest, Signature: x.Signature, Genuine: x.Genuine(show.Key)}
		if l.Files, err = p.cfg.Store.PublicationFiles(ctx, x.Month); err != nil {
			v.Fail(err)
			return
		}
		later, err := p.cfg.Desk.Since(ctx, x)
		if err != nil {
			v.Fail(err)
			return
		}
		for _, c := range later {
			l.Later = append(l.Later, correctionLine{c.Day, v.time(c.At), c.Changed})
		}
		show.Months = append(show.Months, l)
	}
	v.show(http.StatusOK, "published", show)
}

// file gives a file as it was published.
func (p *Portal) file(v *visit) {
	f, err := p.cfg.Store.PublicationFile(v.R.Context(), v.R.PathValue("month"), v.R.PathValue("file"))
	if err != nil {
		v.Fail(err)
		return
	}
	h := v.W.Header()
	h.Set("Content-Type", f.Type)
	h.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": f.Name}))
	h.Set("Content-Security-Policy", "sandbox; default-src 'none'; style-src 'unsafe-inline'")
	h.Set("ETag", `"`+f.Digest+`"`)
	h.Set("Cache-Control", "private, max-age=31536000, immutable")
	_, _ = v.W.Write(f.Data) // a browser that left needs no answer
}

type questionsPage struct {
	frame
	Questions          []questionLine
	Subject, Text, Due string
}

type questionLine struct {
	ID                                                   int64
	Subject, Text, By, When, Due, Left, Answer, Answered string
	Open, Late                                           bool
}

// questions lists what was asked and answered, with clocks.
func (p *Portal) questions(v *visit) {
	v.showQuestions(http.StatusOK, &questionsPage{frame: v.frame("questions"), Due: v.At.Add(72 * time.Hour).Time().In(p.cfg.Location).Format("2006-01-02T15:04")})
}

func (v *visit) showQuestions(status int, show *questionsPage) {
	all, err := v.cfg.Desk.Questions(v.R.Context())
	if err != nil {
		v.Fail(err)
		return
	}
	people, err := v.cfg.Staff.People(v.R.Context())
	if err != nil {
		v.Fail(err)
		return
	}
	names := map[int64]string{}
	for _, s := range people {
		names[int64(s.ID)] = s.Name
	}
	for i := range all {
		q := &all[i]
		l := questionLine{ID: q.ID, Subject: q.Subject, Text: q.Text, By: names[int64(q.By)], When: v.time(q.At), Due: v.time(q.DueAt), Answer: q.Answer, Open: q.AnsweredAt == 0, Late: q.Late(v.At)}
		switch {
		case !l.Open:
			l.Answered = v.Say("answered_by", "Name", names[int64(q.AnsweredBy)], "Time", v.time(q.AnsweredAt))
		case l.Late:
			l.Left = v.Say("late_by", "Time", regulator.Took(v.At.Sub(q.DueAt), v.Lang))
		default:
			l.Left = v.Say("left", "Time", regulator.Took(q.DueAt.Sub(v.At), v.Lang))
		}
		show.Questions = append(show.Questions, l)
	}
	v.show(status, "questions", show)
}

// ask takes a question.
func (p *Portal) ask(v *visit) {
	due, err := time.ParseInLocation("2006-01-02T15:04", v.Form("due"), p.cfg.Location)
	if err == nil {
		_, err = p.cfg.Desk.Ask(v.R.Context(), v.Who.ID, v.Form("subject"), v.Form("text"), purchase.At(due))
		if err != nil && !errors.Is(err, regulator.ErrText) {
			v.Fail(err)
			return
		}
	}
	if err != nil {
		show := &questionsPage{frame: v.frame("questions"), Subject: v.Form("subject"), Text: v.Form("text"), Due: v.Form("due")}
		show.Problem = v.Say("question_wrong")
		v.showQuestions(http.StatusUnprocessableEntity, show)
		return
	}
	v.See("/questions?done=asked")
}

// answer takes the operator's answer.
func (p *Portal) answer(v *visit) {
	id, err := strconv.ParseInt(v.R.PathValue("id"), 10, 64)
	if err != nil {
		v.missing()
		return
	}
	err = p.cfg.Desk.Answer(v.R.Context(), id, v.Who.ID, v.Form("answer"))
	switch {
	case errors.Is(err, regulator.ErrText):
		show := &questionsPage{frame: v.frame("questions")}
		show.Problem = v.Say("answer_wrong")
		v.showQuestions(http.StatusUnprocessableEntity, show)
	case err != nil:
		v.Fail(err)
	default:
		v.See("/questions?done=answered")
	}
}
