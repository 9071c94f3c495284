package drill

import (
	"bytes"
	"embed"
	"fmt"
	"io"
	"io/fs"
	"math"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode/utf8"

	"tenu/internal/incident"
	"tenu/internal/phrase"
	"tenu/internal/purchase"
	"tenu/internal/sim"
)

//go:embed phrases/*.yaml
var phrases embed.FS

// standard is the language that is spoken where another is asked for.
const standard = "fr"

// Languages are those of accounts.
var Languages = []string{"fr", "en"}

// Tongue is what accounts are written in.
func Tongue(language string) (*phrase.Tongue, error) {
	dir, err := fs.Sub(phrases, "phrases")
	if err != nil {
		return nil, fmt.Errorf("drill: %w", err)
	}
	texts, err := phrase.LoadTexts(standard, dir)
	if err != nil {
		return nil, fmt.Errorf("drill: %w", err)
	}
	return texts.In(language), nil
}

// mark is something of the day that is told between the minutes.
type mark struct {
	at   purchase.Instant
	text string
}

// Account writes what happened, minute by minute, and the figures, in a language.
func (r *Result) Account(w io.Writer, language string) error {
	say, err := Tongue(language)
	if err != nil {
		return err
	}
	var out bytes.Buffer
	fmt.Fprintf(&out, "%s\n%s\n\n", say.Say("head", "Title", r.scenario.Title[say.Code], "Purchases", Grouped(int64(r.Purchases)),
		"Seed", strconv.FormatUint(r.Seed, 10)), say.Say("columns_note"))
	heads := strings.Split(say.Say("columns"), "|")
	line := func(cells []string) { out.WriteString(Row(cells) + "\n") }
	line(heads)
	marks := r.marks(say)
	tell := func(till purchase.Instant) {
		for ; len(marks) > 0 && marks[0].at < till; marks = marks[1:] {
			fmt.Fprintf(&out, "%s  %s\n", r.clock(marks[0].at, "15:04:05"), marks[0].text)
		}
	}
	for i := range r.minutes {
		tell(r.minutes[i].At.Add(time.Minute))
		if !Quiet(&r.minutes[i]) {
			line(Cells(&r.minutes[i], r.scenario.Script.Location))
		}
	}
	tell(math.MaxInt64)
	if err := r.table(&out, say); err != nil {
		return err
	}
	_, err = w.Write(out.Bytes())
	return err
}

// Quiet reports whether nothing happened in a minute, and nobody waits.
func Quiet(m *sim.Minute) bool {
	x := *m
	x.At, x.Cases = 0, 0
	return x == sim.Minute{}
}

// Row is one line of the account.
func Row(cells []string) string {
	var b strings.Builder
	for _, cell := range cells {
		b.WriteString(strings.Repeat(" ", max(12-utf8.RuneCountInString(cell), 1)) + cell)
	}
	return b.String()
}

// Cells are a minute's.
func Cells(m *sim.Minute, zone *time.Location) []string {
	cells := []string{m.At.Time().In(zone).Format("15:04")}
	for _, n := range []int{m.Charged, m.Credited, m.Refunded, m.Refused, m.Pending, m.Cases, m.Complaints, m.Calls, m.Answered + m.Informed, m.Abandoned, m.Kept, m.Told} {
		text := "."
		if n != 0 {
			text = strconv.Itoa(n)
		}
		cells = append(cells, text)
	}
	return cells
}

// clock is an instant as the scenario's clock shows it.
func (r *Result) clock(at purchase.Instant, form string) string {
	return at.Time().In(r.scenario.Script.Location).Format(form)
}

// marks are what the day brought, in order.
func (r *Result) marks(say *phrase.Tongue) (marks []mark) {
	s := &r.scenario.Script
	put := func(at purchase.Instant, text string) { marks = append(marks, mark{at, text}) }
	for i := range s.Windows {
		w := &s.Windows[i]
		var what []string
		for _, x := range w.Faults {
			what = append(what, fmt.Sprintf("%s %s %%", say.Say("fault_"+x.Fault.String()), strconv.FormatFloat(float64(x.Of)/10, 'f', -1, 64)))
		}
		if w.Answers.High > 0 {
			what = append(what, say.Say("slow", "What", w.Answers.Low.String()+"-"+w.Answers.High.String()))
		}
		put(s.Begins.Add(w.From), say.Say("window", "Partner", w.Partner, "What", strings.Join(what, ", "), "Time", r.clock(s.Begins.Add(w.Till), "15:04")))
		put(s.Begins.Add(w.Till), say.Say("window_ends", "Partner", w.Partner))
	}
	for _, t := range s.Troubles {
		put(s.Begins.Add(t.At), say.Say("trouble", "What", say.Say("fault_"+t.Fault.String())))
	}
	put(s.Begins.Add(s.Ends), say.Say("sales_end"))
	if r.first != 0 {
		put(r.first, say.Say("first"))
	}
	marks = append(marks, r.record(say)...)
	end := s.Begins.Add(s.Ends)
	if n := len(r.minutes); n > 0 {
		end = r.minutes[n-1].At.Add(time.Minute)
	}
	switch {
	case r.Violations > 0:
		put(end, say.Say("violated", "What", r.Violation))
	case r.settled != 0:
		put(r.settled, say.Say("settled"))
	default:
		put(end, say.Say("unsettled", "What", strconv.Itoa(r.Unsettled)))
	}
	slices.SortStableFunc(marks, func(a, b mark) int { return int(a.at - b.at) })
	return marks
}

// record is what the incidents' timelines say, and what line 121 announces meanwhile.
func (r *Result) record(say *phrase.Tongue) (marks []mark) {
	if r.seen == nil {
		return nil
	}
	put := func(at purchase.Instant, text string) { marks = append(marks, mark{at, text}) }
	for i := range r.seen.Records {
		in := &r.seen.Records[i]
		name := "Incident"
		put(in.SeenAt, say.Say("seen", name, in.ID.String(), "Series", in.Series.Name, "Rule", say.Say("rule_"+string(in.Rule))))
		put(in.SeenAt, say.Say("line_announces", name, in.ID.String(), "Text", in.Title[purchase.Language(say.Code)]))
		if in.ClosedAt != 0 {
			put(in.ClosedAt, say.Say("line_quiet", name, in.ID.String()))
		}
	}
	for i := range r.seen.Entries {
		e := &r.seen.Entries[i]
		switch e.Event {
		case incident.EventPaused, incident.EventRecovered, incident.EventResolved, incident.EventClosed, incident.EventAgain:
			put(e.At, say.Say("event_"+string(e.Event), "Incident", e.Incident.String()))
		case incident.EventStep:
			share, err := strconv.Atoi(e.Text)
			if err == nil {
				put(e.At, say.Say("event_step", "Incident", e.Incident.String(), "Share", strconv.FormatFloat(float64(share)/10, 'f', -1, 64)))
			}
		case incident.EventTold:
			put(e.At, say.Say("event_told", "Incident", e.Incident.String(), "Count", e.Text))
		default: // for those who lead it
		}
	}
	return marks
}

// table writes the figures, of both platforms where both were played.
func (r *Result) table(w io.Writer, say *phrase.Tongue) error {
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name string, cell func(f *Figures) string) {
		_, _ = fmt.Fprintf(out, "%s\t%s", say.Say(name), cell(&r.Figures)) // Flush returns the error
		if r.AsItWas != nil {
			_, _ = fmt.Fprintf(out, "\t%s", cell(r.AsItWas))
		}
		_, _ = fmt.Fprintln(out)
	}
	count := func(name string, n func(f *Figures) int64) {
		row(name, func(f *Figures) string { return Grouped(n(f)) })
	}
	after := func(name string, s func(f *Figures) *float64) {
		row(name, func(f *Figures) string { return Long(say, s(f)) })
	}
	_, _ = fmt.Fprintf(out, "\n%s\t%s", say.Say("figure"), say.Say("tenu"))
	if r.AsItWas != nil {
		_, _ = fmt.Fprintf(out, "\t%s", say.Say("was"))
	}
	_, _ = fmt.Fprintln(out)
	count("purchases", func(f *Figures) int64 { return int64(f.Purchases) })
	count("charged", func(f *Figures) int64 { return int64(f.Charged) })
	count("charged_amount", func(f *Figures) int64 { return f.ChargedAmount })
	count("credited", func(f *Figures) int64 { return int64(f.Credited) })
	count("refunded", func(f *Figures) int64 { return int64(f.Refunded) })
	count("refunded_amount", func(f *Figures) int64 { return f.RefundedAmount })
	count("declined_before_charge", func(f *Figures) int64 { return int64(f.DeclinedBeforeCharge) })
	count("confirmed_without_credit", func(f *Figures) int64 { return int64(f.ConfirmedWithoutCredit) })
	count("unsettled_end", func(f *Figures) int64 { return int64(f.Unsettled) })
	count("double_credits", func(f *Figures) int64 { return int64(f.DoubleCredits) })
	count("double_refunds", func(f *Figures) int64 { return int64(f.DoubleRefunds) })
	count("exposure", func(f *Figures) int64 { return f.Exposure })
	after("detected", func(f *Figures) *float64 { return f.DetectedAfter })
	after("paused_after", func(f *Figures) *float64 { return f.PausedAfter })
	after("refund_p99", func(f *Figures) *float64 { return f.RefundP99 })
	after("told_p99", func(f *Figures) *float64 { return f.ToldP99 })
	count("untold", func(f *Figures) int64 { return int64(f.Untold) })
	row("settle", func(f *Figures) string {
		return Long(say, f.SettleP50) + " / " + Long(say, f.SettleP95) + " / " + Long(say, f.SettleP99)
	})
	count("complaints", func(f *Figures) int64 { return int64(f.Complaints) })
	row("cases", func(f *Figures) string { return fmt.Sprintf("%d / %d", f.Cases, f.CasesBeforeComplaint) })
	row("calls", func(f *Figures) string {
		return fmt.Sprintf("%d / %d / %d / %d", f.Calls.Offered, f.Calls.Answered, f.Calls.Informed, f.Calls.Abandoned)
	})
	row("callbacks", func(f *Figures) string {
		return fmt.Sprintf("%d / %d / %d", f.CallbacksPromised, f.CallbacksKept, f.CallbacksBroken)
	})
	agree := say.Say("no_word")
	if r.Totals.Agree {
		agree = say.Say("yes_word")
	}
	_, _ = fmt.Fprintf(out, "%s\t%d\n%s\t%d\n%s\t%s\n", say.Say("violations"), r.Violations, say.Say("lies"), r.PartnerLies, say.Say("agree"), agree)
	return out.Flush()
}

// Long is a time as people read it.
func Long(say *phrase.Tongue, s *float64) string {
	if s == nil {
		return say.Say("none")
	}
	d := time.Duration(*s * float64(time.Second))
	switch {
	case d >= time.Minute:
		d = d.Round(time.Second)
	case d >= time.Second:
		d = d.Round(100 * time.Millisecond)
	default:
		d = d.Round(time.Millisecond)
	}
	return d.String()
}

// Grouped writes a number with its thousands apart.
func Grouped(n int64) string {
	digits := strconv.FormatInt(n, 10)
	for i := len(digits) - 3; i > 0 && digits[i-1] != '-'; i -= 3 {
		digits = digits[:i] + "\u202f" + digits[i:] // a narrow space that does not break
	}
	return digits
}
