// Package picture draws figures of the regulator as charts, in French and in English, for pages and for papers alike.
package picture

import (
	"cmp"
	"embed"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"tenu/internal/chart"
	"tenu/internal/money"
	"tenu/internal/phrase"
	"tenu/internal/purchase"
	"tenu/internal/regulator"
)

//go:embed phrases/*.yaml
var files embed.FS

var texts = sync.OnceValues(func() (*phrase.Texts, error) {
	dir, err := fs.Sub(files, "phrases")
	if err != nil {
		return nil, fmt.Errorf("pictures: %w", err)
	}
	return phrase.LoadTexts("fr", dir)
})

// Painter draws in one language. A picture of nothing is nil.
type Painter struct{ *phrase.Tongue }

// In is a painter of a language, "fr" or "en".
func In(language string) (*Painter, error) {
	all, err := texts()
	if err != nil {
		return nil, fmt.Errorf("pictures: %w", err)
	}
	return &Painter{all.In(all.Choose(language))}, nil
}

// Step is the figures of one of several times that follow one another.
type Step struct {
	Label string
	Of    *regulator.Figures // nil: nothing is known
}

// Days draws what was credited and what failed on each day.
func (p *Painter) Days(days []Step) *chart.Chart { return p.course("days", "day", days) }

// Hours draws the same for each hour.
func (p *Painter) Hours(hours []Step) *chart.Chart { return p.course("hours", "hour", hours) }

func (p *Painter) course(title, unit string, steps []Step) *chart.Chart {
	c := &chart.Chart{Title: p.Say(title), X: p.Say(unit), Y: p.Say("purchases"), Whole: true, Keys: []string{p.Say("credited"), p.Say("failed")}}
	something := false
	for _, s := range steps {
		values := []float64{0, 0}
		if s.Of != nil {
			values[0] = float64(s.Of.Credited.Count)
			for _, n := range s.Of.Failed() {
				values[1] += float64(n)
			}
		}
		something = something || values[0]+values[1] > 0
		c.Columns = append(c.Columns, chart.Column{Label: s.Label, Values: values})
	}
	return some(c, something)
}

func some(c *chart.Chart, something bool) *chart.Chart {
	if !something {
		return nil
	}
	return c
}

// parties are the kinds of who is responsible, in the order of their colours.
var parties = []string{"provider", "payer", "customer", "tenu"}

// mostFailures bounds the bars; those beyond are the fewest.
const mostFailures = 12

// Failures draws how much failed by leg and code, most first, with who is responsible.
func (p *Painter) Failures(f *regulator.Figures) *chart.Chart {
	c := &chart.Chart{Title: p.Say("failures"), Y: p.Say("purchases"), Whole: true, Lying: true}
	for _, party := range parties {
		c.Keys = append(c.Keys, regulator.SayParty(party, p.Code))
	}
	by := map[string]*chart.Column{}
	for i := range f.Failures {
		x := &f.Failures[i]
		label := regulator.SayParty(x.Leg, p.Code) + ", " + strings.ToLower(regulator.SayCode(x.Code, p.Code))
		if by[label] == nil {
			by[label] = &chart.Column{Label: label, Values: make([]float64, len(parties))}
		}
		kind, _, _ := strings.Cut(x.Party, ":")
		if at := slices.Index(parties, kind); at >= 0 {
			by[label].Values[at] += float64(x.Count)
		}
	}
	total := func(column *chart.Column) (sum float64) {
		for _, v := range column.Values {
			sum += v
		}
		return sum
	}
	for _, column := range slices.SortedFunc(maps.Values(by), func(a, b *chart.Column) int {
		return cmp.Or(cmp.Compare(total(b), total(a)), cmp.Compare(a.Label, b.Label))
	}) {
		c.Columns = append(c.Columns, *column)
	}
	c.Columns = c.Columns[:min(len(c.Columns), mostFailures)]
	return some(c, len(c.Columns) > 0)
}

// Held draws what is held at an instant by how long it has been, a picture for each currency, with what is beyond a limit (0 for none).
func (p *Painter) Held(items []regulator.Item, at purchase.Instant, limit time.Duration) (all []*chart.Chart) {
	by := map[money.Currency][]chart.Column{}
	for i := range items {
		x := &items[i]
		if x.Account != regulator.Held {
			continue
		}
		columns := by[x.Currency]
		if columns == nil {
			columns = ended()
			by[x.Currency] = columns
		}
		late, age := 0, at.Sub(x.Since)
		if limit > 0 && age > limit {
			late = 1
		}
		columns[end(age)].Values[late] += major(x.Amount, x.Currency)
	}
	for _, currency := range slices.Sorted(maps.Keys(by)) {
		c := &chart.Chart{Title: p.Say("held", "Currency", string(currency)), Y: p.Say("held_unit", "Currency", string(currency)), Keys: []string{p.Say("in_limit"), p.Say("beyond")},
			Columns: by[currency]}
		if limit == 0 {
			c.Keys = nil
		}
		p.mark(c, limit)
		all = append(all, c)
	}
	return all
}

// major is an amount in whole units of its currency.
func major(minor int64, c money.Currency) float64 { return float64(minor) / math.Pow10(c.Digits()) }

// Settled draws how long it took from the charge to the credit or the refund, with a limit (0 for none).
func (p *Painter) Settled(f *regulator.Figures, limit time.Duration) *chart.Chart {
	return p.times("settled", "purchases", limit, []string{p.Say("credited"), p.Say("given_back")}, f.ToCredit, f.FromCharge)
}

// Refunded draws how long it took from the proof that it failed to the refund, with a limit (0 for none).
func (p *Painter) Refunded(f *regulator.Figures, limit time.Duration) *chart.Chart {
	return p.times("refunded", "refunds", limit, []string{p.Say("given_back")}, f.ToRefund) // in the colour that it has there
}

func (p *Painter) times(title, unit string, limit time.Duration, keys []string, of ...regulator.Times) *chart.Chart {
	c := &chart.Chart{Title: p.Say(title), X: p.Say("taken"), Y: p.Say(unit), Whole: true, Keys: keys, KeyInk: 2 - len(of), Columns: ended()}
	something := false
	for i, times := range of {
		for _, d := range times.Each() {
			c.Columns[end(d.Took)].Values[i] += float64(d.Count)
			something = true
		}
	}
	p.mark(c, limit)
	return some(c, something)
}

// mark draws a limit.
func (p *Painter) mark(c *chart.Chart, limit time.Duration) {
	if limit > 0 {
		c.Marks = []chart.Mark{{At: min(chart.Place(limit), float64(len(chart.Ends))+0.9), Label: p.Say("limit", "Time", regulator.Took(limit, p.Code))}}
	}
}

// ended are columns of nothing for times by their ends.
func ended() (all []chart.Column) {
	for _, d := range append(slices.Clone(chart.Ends), 0) {
		all = append(all, chart.Column{Label: chart.EndName(d), Values: make([]float64, 2)})
	}
	return all
}

// end is the column of a time.
func end(d time.Duration) int {
	if i := slices.IndexFunc(chart.Ends, func(end time.Duration) bool { return d <= end }); i >= 0 {
		return i
	}
	return len(chart.Ends)
}
