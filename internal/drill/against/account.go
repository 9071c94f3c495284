package against

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"tenu/internal/drill"
	"tenu/internal/phrase"
	"tenu/internal/purchase"
)

// mark is something of the day that is told between the minutes.
type mark struct {
	at   purchase.Instant // on the scenario's clock
	text string
}

// Account writes what was seen, minute by minute of the scenario, and the figures, in a language.
func (r *Result) Account(w io.Writer, language string) error {
	say, err := drill.Tongue(language)
	if err != nil {
		return fmt.Errorf("write the account: %w", err)
	}
	s := r.game.s
	var out bytes.Buffer
	fmt.Fprintf(&out, "%s\n%s\n%s\n", say.Say("head", "Title", s.Title[say.Code], "Purchases", drill.Grouped(int64(r.Purchases)), "Seed", strconv.FormatUint(r.Seed, 10)),
		say.Say("against_head", "URL", r.Against.URL, "Version", r.Against.Version, "Speed", strconv.FormatFloat(r.Against.Speed, 'g', -1, 64)), say.Say("against_columns"))
	for _, text := range r.Notes {
		fmt.Fprintf(&out, "- %s\n", text)
	}
	for _, text := range r.Against.LeftOut {
		fmt.Fprintf(&out, "- %s\n", say.Say("against_left", "What", text))
	}
	out.WriteString("\n" + drill.Row(strings.Split(say.Say("columns"), "|")) + "\n")
	marks := r.marks(say)
	tell := func(till purchase.Instant) {
		for ; len(marks) > 0 && marks[0].at < till; marks = marks[1:] {
			fmt.Fprintf(&out, "%s  %s\n", marks[0].at.Time().In(s.Script.Location).Format("15:04:05"), marks[0].text)
		}
	}
	for i := range r.lapse {
		tell(r.lapse[i].At.Add(time.Minute))
		if !drill.Quiet(&r.lapse[i]) {
			out.WriteString(drill.Row(drill.Cells(&r.lapse[i], s.Script.Location)) + "\n")
		}
	}
	tell(math.MaxInt64)
	r.table(&out, say)
	for _, text := range r.Findings {
		fmt.Fprintf(&out, "! %s\n", text)
	}
	_, err = w.Write(out.Bytes())
	return err
}

// marks are what the day brought, in order.
func (r *Result) marks(say *phrase.Tongue) (marks []mark) {
	g := r.game
	s := &g.s.Script
	put := func(at purchase.Instant, text string) { marks = append(marks, mark{at, text}) }
	told := func(at time.Time, key, incident string) {
		if !at.IsZero() {
			put(g.scenario(purchase.At(at)), say.Say(key, "Incident", incident))
		}
	}
	for _, t := range g.plan.turns {
		if !t.begins {
			put(s.Begins.Add(t.at), say.Say("window_ends", "Partner", t.what.of.deployed.Name))
			continue
		}
		var what []string
		for _, f := range t.what.faults {
			if kind := f.Operation + " " + string(f.Kind); !slices.Contains(what, kind) {
				what = append(what, kind)
			}
		}
		put(s.Begins.Add(t.at), say.Say("against_fails", "Partner", t.what.of.deployed.Name, "What", strings.Join(what, ", ")))
	}
	put(s.Begins.Add(s.Ends), say.Say("sales_end"))
	if r.failedAt != 0 {
		put(g.scenario(r.failedAt), say.Say("first"))
	}
	for i := range r.records {
		x := &r.records[i]
		put(g.scenario(purchase.At(x.SeenAt)), say.Say("against_seen", "Incident", x.ID, "Title", x.Title[say.Code]))
		told(x.PausedAt, "event_paused", x.ID)
		told(x.RecoveredAt, "event_recovered", x.ID)
		told(x.ResolvedAt, "event_resolved", x.ID)
		told(x.ClosedAt, "event_closed", x.ID)
	}
	switch {
	case r.Unsettled > 0:
		put(math.MaxInt64-1, say.Say("unsettled", "What", strconv.Itoa(r.Unsettled)))
	case g.settled != 0:
		put(g.scenario(g.settled), say.Say("settled"))
	}
	slices.SortStableFunc(marks, func(a, b mark) int {
		switch {
		case a.at < b.at:
			return -1
		case a.at > b.at:
			return 1
		}
		return 0
	})
	return marks
}

// table writes the figures. What nobody sees from outside is left blank, and said.
func (r *Result) table(w io.Writer, say *phrase.Tongue) {
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name, cell string) { _, _ = fmt.Fprintf(out, "%s\t%s\n", say.Say(name), cell) } // a buffer takes everything
	count := func(name string, n int64) { row(name, drill.Grouped(n)) }
	unseen := say.Say("against_unseen")
	_, _ = fmt.Fprintln(out)
	row("figure", say.Say("tenu"))
	count("purchases", int64(r.Purchases))
	count("charged", int64(r.Charged))
	count("charged_amount", r.ChargedAmount)
	count("credited", int64(r.Credited))
	count("refunded", int64(r.Refunded))
	count("refunded_amount", r.RefundedAmount)
	count("declined_before_charge", int64(r.DeclinedBeforeCharge))
	count("against_unanswered", int64(r.Unanswered))
	count("confirmed_without_credit", int64(r.ConfirmedWithoutCredit))
	count("unsettled_end", int64(r.Unsettled))
	count("double_credits", int64(r.DoubleCredits))
	count("double_refunds", int64(r.DoubleRefunds))
	count("exposure", r.Exposure)
	row("detected", drill.Long(say, r.DetectedAfter))
	row("paused_after", drill.Long(say, r.PausedAfter))
	row("refund_p99", drill.Long(say, r.RefundP99))
	row("told_p99", unseen)
	if r.Untold == nil {
		row("untold", unseen)
	} else {
		count("untold", *r.Untold)
	}
	row("settle", drill.Long(say, r.SettleP50)+" / "+drill.Long(say, r.SettleP95)+" / "+drill.Long(say, r.SettleP99))
	row("cases", strconv.Itoa(r.Cases)+" / "+unseen)
	for _, name := range []string{"complaints", "calls", "callbacks", "violations"} {
		row(name, unseen)
	}
	count("lies", int64(r.PartnerLies))
	agree := say.Say("no_word")
	if r.Totals.Agree {
		agree = say.Say("yes_word")
	}
	row("against_agree", agree)
	_ = out.Flush() // likewise
}
