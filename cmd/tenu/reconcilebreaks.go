package main

import (
	"context"
	"encoding/csv"
	"fmt"
	"slices"
	"strconv"
	"time"

	"tenu/internal/auth"
	"tenu/internal/money"
	"tenu/internal/reconcile"
	"tenu/internal/store"
)

// reconcileBreaksCmd lists breaks.
type reconcileBreaksCmd struct {
	reconcileBase
	Partner string `help:"Only this partner's."`
	Cause   string `help:"Only those of this cause."`
	All     bool   `help:"Also those that are resolved."`
	Most    int    `default:"100" help:"How many at most."`
	CSV     bool   `name:"csv" help:"Print CSV, in which no text is a formula."`
	JSON    bool   `name:"json" help:"Print JSON."`
}

// breakLine is a break as it is printed. It tells no whole number.
type breakLine struct {
	ID         int64  `json:"id"`
	Partner    string `json:"partner"`
	Cause      string `json:"cause"`
	Status     string `json:"status"`
	Party      string `json:"party"`
	Purchase   string `json:"purchase,omitempty"`
	Leg        string `json:"leg,omitempty"`
	Ref        string `json:"reference,omitempty"`
	Number     string `json:"number,omitempty"`
	Here       int64  `json:"here"`
	There      int64  `json:"there"`
	Currency   string `json:"currency"`
	At         string `json:"moved_at"`
	FirstAt    string `json:"found_at"`
	Age        string `json:"age"`
	Reopened   int    `json:"reopened"`
	Case       bool   `json:"case"`
	Statement  int64  `json:"statement"`
	Line       int64  `json:"line,omitempty"`
	Detail     string `json:"detail"`
	Correction string `json:"correction,omitempty"`
	Reason     string `json:"reason,omitempty"`
}

// remedies and reasons are what is advised, in words.
var (
	remedies = map[reconcile.Remedy]string{reconcile.RemedyEvidence: "accept the correction", reconcile.RemedyReversal: "ask for a reversal in the customer's case",
		reconcile.RemedyGoodwill: "give the difference as goodwill in the customer's case", reconcile.RemedyNone: "settle it with who answers for it, and resolve the break"}
	reasons = map[reconcile.Why]string{reconcile.WhyTable: "the leg waits for this answer", reconcile.WhyNever: "what was told did not happen, and the table gives back or tries again",
		reconcile.WhyExecuted: "it happened, and the table books it", reconcile.WhyShort: "the customer has less than told: all of it is taken back and paid back",
		reconcile.WhyOther: "the customer has something else than bought: it is taken back and paid back", reconcile.WhyHindered: "a reversal would not be heeded",
		reconcile.WhyNoPart:       "a refund gives back all that is held, never a part",
		reconcile.WhyPartnerBears: "the customer has what was told, or more", reconcile.WhyStranger: "it is the money of a number that bought nothing here",
		reconcile.WhyElsewhere: "the leg is another partner's by now", reconcile.WhyUnknown: "no purchase could meet evidence",
		reconcile.WhyPapers: "no money or units are missing", reconcile.WhySettlement: "it is between the partner and us"}
)

// advised is what may be done about a break, and why.
func advised(v reconcile.Advice) string {
	text := remedies[v.Remedy] + ": " + reasons[v.Why]
	if v.Hindrance != "" {
		text += " (" + string(v.Hindrance) + ")"
	}
	return text
}

// line is a break for printing.
func (r *reconciliation) line(a *app, b *reconcile.Break, reference func(*reconcile.Break) string) breakLine {
	l := breakLine{ID: b.ID, Partner: b.Partner, Cause: b.Cause.String(), Status: b.Status.String(), Party: b.Party, Ref: b.Ref, Here: b.Here, There: b.There,
		Currency: b.Currency, At: b.At.String(), FirstAt: b.FirstAt.String(), Age: a.clock.Now().Sub(b.FirstAt).Round(time.Minute).String(), Reopened: b.Reopened,
		Case: b.Case != 0, Statement: b.Statement, Line: b.Place, Detail: b.Detail, Reason: b.Reason, Purchase: reference(b)}
	if b.Leg != 0 {
		l.Leg = b.Leg.String()
	}
	if b.Number != 0 {
		l.Number = b.Number.Masked()
	}
	if b.Correction.Leg != 0 {
		l.Correction = "record as evidence: " + b.Correction.String()
	}
	return l
}

// Run lists.
func (c *reconcileBreaksCmd) Run(ctx context.Context, a *app) error {
	q := reconcile.Sift{Partner: c.Partner, Limit: max(c.Most, 1), Status: []reconcile.Status{reconcile.StatusOpen, reconcile.StatusAsked, reconcile.StatusAccepted}}
	if c.All {
		q.Status = nil
	}
	if c.Cause != "" {
		var known bool
		if q.Cause, known = reconcile.ParseCause(c.Cause); !known {
			return usage(fmt.Errorf("no cause is called %q; there are %v", c.Cause, reconcile.Causes))
		}
	}
	return c.open(ctx, a, func(r *reconciliation, s *store.Store) error {
		if _, _, err := r.Confirm(ctx); err != nil {
			return err
		}
		all, err := r.Breaks(ctx, q)
		if err != nil {
			return err
		}
		name, err := namer(ctx, a, s)
		if err != nil {
			return err
		}
		lines := make([]breakLine, len(all))
		for i := range all {
			lines[i] = r.line(a, &all[i], name)
		}
		switch {
		case c.JSON:
			return a.json(lines)
		case c.CSV:
			return a.breaksCSV(lines)
		}
		for i := range lines {
			lines[i].print(a)
		}
		if len(lines) == 0 {
			a.printf("No breaks.\n")
		}
		return nil
	})
}

// namer names the purchases of breaks for people.
func namer(ctx context.Context, a *app, s *store.Store) (func(*reconcile.Break) string, error) {
	keys, err := keyring(ctx, a, s)
	if err != nil {
		return nil, err
	}
	return func(b *reconcile.Break) string {
		if b.Purchase == 0 {
			return ""
		}
		return keys.Reference(b.Purchase).String()
	}, nil
}

// print prints a break in two lines.
func (l *breakLine) print(a *app) {
	paint := a.paint()
	amount := func(minor int64) string {
		return money.Amount{Minor: minor, Currency: money.Currency(l.Currency)}.String()
	}
	a.printf("%d  %s  %s  %s  here %s, there %s  %s\n", l.ID, paint.bad(l.Cause), l.Partner, paint.busy(l.Status), amount(l.Here), amount(l.There), paint.faint("age "+l.Age))
	text := l.Detail + "; " + l.Party + " answers for it"
	if l.Purchase != "" {
		text = l.Purchase + " " + l.Leg + ": " + text
	}
	if l.Ref != "" {
		text += " (reference " + plain(l.Ref) + ")"
	}
	a.printf("   %s\n", text)
	if l.Correction != "" && l.Status != "resolved" {
		a.printf("   proposed: %s\n", l.Correction)
	}
	if l.Reason != "" {
		a.printf("   resolved: %s\n", plain(l.Reason))
	}
}

// breaksCSV prints breaks for a spreadsheet.
func (a *app) breaksCSV(lines []breakLine) error {
	w := csv.NewWriter(a.out)
	_ = w.Write([]string{"id", "partner", "cause", "status", "party", "purchase", "leg", "reference", "number", "here", "there", "currency", "moved_at", "found_at",
		"reopened", "case", "statement", "line", "detail", "correction", "reason"}) // Error tells
	n := func(v int64) string { return strconv.FormatInt(v, 10) }
	for i := range lines {
		l := &lines[i]
		row := []string{n(l.ID), l.Partner, l.Cause, l.Status, l.Party, l.Purchase, l.Leg, l.Ref, l.Number, n(l.Here), n(l.There), l.Currency, l.At, l.FirstAt,
			strconv.Itoa(l.Reopened), strconv.FormatBool(l.Case), n(l.Statement), n(l.Line), l.Detail, l.Correction, l.Reason}
		for j := range row {
			if j != 9 && j != 10 { // figures of ours
				row[j] = reconcile.Neutral(row[j])
			}
		}
		_ = w.Write(row) // Error tells
	}
	w.Flush()
	if err := w.Error(); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	return nil
}

// reconcileShowCmd shows a break.
type reconcileShowCmd struct {
	reconcileBase
	ID int64 `arg:"" help:"The break."`
}

// Run shows it.
func (c *reconcileShowCmd) Run(ctx context.Context, a *app) error {
	return c.open(ctx, a, func(r *reconciliation, s *store.Store) error {
		b, err := r.Break(ctx, c.ID)
		if err != nil {
			return err
		}
		name, err := namer(ctx, a, s)
		if err != nil {
			return err
		}
		l := r.line(a, &b, name)
		l.print(a)
		if b.Status != reconcile.StatusResolved {
			advice, err := r.Advise(ctx, &b)
			if err != nil {
				return err
			}
			a.printf("   advised: %s\n", advised(advice))
		}
		history, err := r.History(ctx, c.ID)
		if err != nil {
			return err
		}
		people, err := s.People(ctx)
		if err != nil {
			return err
		}
		for _, e := range history {
			who := "tenu"
			if i := slices.IndexFunc(people, func(p auth.Staff) bool { return p.ID == e.Staff }); e.Staff != 0 && i >= 0 {
				who = people[i].Login
			}
			a.printf("   %s  %s by %s: %s\n", e.At, e.Event, who, plain(e.Text))
		}
		return nil
	})
}

// decision is what the deciding commands share.
type decision struct {
	reconcileBase
	ID     int64  `arg:"" help:"The break."`
	By     string `required:"" help:"The login of who decides."`
	Reason string `required:"" help:"Why."`
}

// decide does it and says what became of the break.
func (c *decision) decide(ctx context.Context, a *app, do func(*reconcile.Desk, auth.Staff) (reconcile.Break, error)) error {
	return c.open(ctx, a, func(r *reconciliation, s *store.Store) error {
		by, err := r.staff(ctx, s, c.By)
		if err != nil {
			return err
		}
		b, err := do(r.Desk, by)
		if err != nil {
			return fmt.Errorf("break %d: %w", c.ID, err)
		}
		switch b.Status {
		case reconcile.StatusAsked:
			a.printf("Break %d: asked for. Somebody else must accept it too.\n", b.ID)
		case reconcile.StatusAccepted:
			a.printf("Break %d: accepted. The evidence was handed to the purchase; a running node records it.\n", b.ID)
		default:
			a.printf("Break %d: %s.\n", b.ID, b.Status)
		}
		return nil
	})
}

// reconcileAcceptCmd accepts a correction.
type reconcileAcceptCmd struct{ decision }

// Run accepts.
func (c *reconcileAcceptCmd) Run(ctx context.Context, a *app) error {
	return c.decide(ctx, a, func(d *reconcile.Desk, by auth.Staff) (reconcile.Break, error) {
		return d.Accept(ctx, c.ID, by, c.Reason)
	})
}

// reconcileRefuseCmd refuses one.
type reconcileRefuseCmd struct{ decision }

// Run refuses.
func (c *reconcileRefuseCmd) Run(ctx context.Context, a *app) error {
	return c.decide(ctx, a, func(d *reconcile.Desk, by auth.Staff) (reconcile.Break, error) {
		return d.Refuse(ctx, c.ID, by, c.Reason)
	})
}

// reconcileResolveCmd ends a break.
type reconcileResolveCmd struct{ decision }

// Run resolves.
func (c *reconcileResolveCmd) Run(ctx context.Context, a *app) error {
	return c.decide(ctx, a, func(d *reconcile.Desk, by auth.Staff) (reconcile.Break, error) {
		return d.Resolve(ctx, c.ID, by, c.Reason)
	})
}
