package reconcile_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"tenu/internal/money"
	"tenu/internal/purchase"
	"tenu/internal/reconcile"
)

// shelf is a Book of movements in memory; others are found only when they are looked up.
type shelf struct {
	movements []reconcile.Movement
	others    []reconcile.Movement
	at        int
}

func (s *shelf) Next(context.Context) (*reconcile.Movement, error) {
	if s.at == len(s.movements) {
		return nil, io.EOF
	}
	s.at++
	return &s.movements[s.at-1], nil
}

func (s *shelf) Lookup(_ context.Context, ids []purchase.ID) (found []reconcile.Movement, err error) {
	for _, m := range slices.Concat(s.movements, s.others) {
		if slices.Contains(ids, m.Purchase) {
			found = append(found, m)
		}
	}
	return found, nil
}

// past is what earlier statements said.
type past struct {
	spans []reconcile.Span
	lines []reconcile.Line
}

func (p *past) Covered() []reconcile.Span { return p.spans }

func (p *past) Find(_ context.Context, places []reconcile.Place) (map[reconcile.Place][]reconcile.Line, error) {
	found := map[reconcile.Place][]reconcile.Line{}
	for _, l := range p.lines {
		if at := (reconcile.Place{Purchase: l.Purchase, Leg: l.Leg}); slices.Contains(places, at) {
			found[at] = append(found[at], l)
		}
	}
	return found, nil
}

func (p *past) ByRef(_ context.Context, refs map[string]bool) (found []reconcile.Line, err error) {
	for _, l := range p.lines {
		if refs[l.Ref] {
			found = append(found, l)
		}
	}
	return found, nil
}

// tester is what rapid and testing have in common.
type tester interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
}

// scene is a match to be made.
type scene struct {
	keys    *purchase.Keyring
	partner reconcile.Partner
	book    shelf
	past    past
	lines   []string
	sum     int64
	partial bool
	dir     string
}

const noon = july + 12*3600*1_000_000

// told adds a credit of a purchase that the partner said is done.
func (s *scene) told(n int64, at purchase.Instant, amount int64) *reconcile.Movement {
	s.book.movements = append(s.book.movements, movement(n, at, amount))
	return &s.book.movements[len(s.book.movements)-1]
}

func movement(n int64, at purchase.Instant, amount int64) reconcile.Movement {
	m := reconcile.Movement{Purchase: purchase.MakeID(0, n), Leg: purchase.Credit, State: purchase.Credited, Account: 22670000001, Amount: money.Amount{Minor: amount, Currency: "XOF"},
		Product: "airtime", Tries: 1, First: at, Last: at}
	m.Done = []reconcile.Told{{Ref: fmt.Sprint("C", n), Amount: m.Amount, Account: m.Account, Product: m.Product, At: at + 2_000_000}}
	return m
}

// says adds a line; without a key when keyless.
func (s *scene) says(n int64, keyless bool, ref string, at purchase.Instant, amount int64) {
	key := ""
	if !keyless {
		key = s.keys.Key(purchase.MakeID(0, n), purchase.Credit).UUID()
	}
	s.lines = append(s.lines, fmt.Sprintf("%s,%s,credit,22670000001,%d,XOF,airtime,,%s", ref, key, amount, at.Time().Format(time.RFC3339Nano)))
	s.sum += amount
}

func (s *scene) run(t tester, m *reconcile.Mapping) (causes map[string]int, tally reconcile.Tally) {
	t.Helper()
	text := day(fmt.Sprintf("total,XOF,%d,%d", len(s.lines), s.sum), s.lines...)
	c, err := reconcile.Check(context.Background(), "file", strings.NewReader(text), m, s.keys, reconcile.Want{Partner: "wallet"}, s.dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	slices.SortFunc(s.book.movements, func(a, b reconcile.Movement) int { return int(a.Purchase - b.Purchase) })
	causes = map[string]int{}
	s.partner.Name, s.partner.Skew = "wallet", time.Second
	job := reconcile.Job{Partner: s.partner, Span: reconcile.Span{From: july, To: july.Add(24 * time.Hour)}, Partial: s.partial, Book: &s.book, Earlier: &s.past, Dir: s.dir,
		Found: func(f reconcile.Found) error {
			causes[fmt.Sprintf("%s %d %s", f.Cause, f.Purchase.Sequence(), f.Party)]++
			return nil
		}}
	if tally, err = job.Match(context.Background(), c); err != nil {
		t.Fatal(err)
	}
	return causes, tally
}

func TestMatch(t *testing.T) {
	const minute, midnight = 60_000_000, july + 24*3600*1_000_000
	for name, c := range map[string]struct {
		set    func(*scene)
		breaks map[string]int
		tally  reconcile.Tally
	}{
		"by rule, one to one in order of time": {func(s *scene) {
			s.told(1, noon, 50)
			s.told(2, noon+minute, 50)
			s.says(1, true, "", noon+1_000_000, 50)
			s.says(2, true, "", noon+minute+1_000_000, 50)
		}, nil, reconcile.Tally{ByRule: 2}},
		"by rule, a line too many": {func(s *scene) {
			s.told(1, noon, 50)
			s.says(1, true, "", noon+1_000_000, 50)
			s.says(1, true, "", noon+3_000_000, 50)
		}, map[string]int{"unasked 0 wallet": 1}, reconcile.Tally{ByRule: 1}},
		"one line for several": {func(s *scene) {
			s.told(1, noon, 50)
			s.told(2, noon+minute, 70)
			s.told(3, noon+2*minute, 90)
			s.says(1, true, "", noon+3*minute, 120)
			s.says(1, true, "", noon+2*minute, 90)
		}, nil, reconcile.Tally{ByRule: 2}},
		"several lines for one": {func(s *scene) {
			s.told(1, noon, 120)
			s.says(1, true, "X", noon+1_000_000, 50)
			s.says(1, true, "Y", noon+2_000_000, 70)
		}, nil, reconcile.Tally{ByRule: 2}},
		"which of those in doubt is not guessed": {func(s *scene) {
			for n := range int64(2) {
				m := s.told(1+n, noon, 50)
				m.Done, m.State = nil, purchase.Crediting
			}
			s.says(1, true, "X", noon+1_000_000, 50)
		}, map[string]int{"unasked 0 wallet": 1}, reconcile.Tally{}},
		"the only one in doubt": {func(s *scene) {
			m := s.told(1, noon, 50)
			m.Done, m.State = nil, purchase.Crediting
			s.says(1, true, "X", noon+1_000_000, 50)
		}, map[string]int{"unheard 1 wallet": 1}, reconcile.Tally{ByRule: 1}},
		"too far in time": {func(s *scene) {
			s.told(1, noon, 50)
			s.says(1, true, "", noon+20*minute, 50)
		}, map[string]int{"unasked 0 wallet": 1, "lied 1 wallet": 1}, reconcile.Tally{}},
		"over midnight it is open": {func(s *scene) {
			s.told(1, midnight-1_000_000, 50)
			s.told(2, july-1_000_000, 70)
		}, nil, reconcile.Tally{Open: 2, OpenSum: 120}},
		"before midnight the last statement told it": {func(s *scene) {
			s.told(2, july-1_000_000, 70)
			s.past.spans = []reconcile.Span{{From: july.Add(-24 * time.Hour), To: july}}
			s.past.lines = []reconcile.Line{{Kind: reconcile.KindCredit, Ref: "C2", Purchase: purchase.MakeID(0, 2), Leg: purchase.Credit, Number: 22670000001,
				Amount: money.Amount{Minor: 70, Currency: "XOF"}, At: july - 500_000}}
		}, nil, reconcile.Tally{}},
		"before midnight neither statement tells it": {func(s *scene) {
			s.told(2, july-1_000_000, 70)
			s.past.spans = []reconcile.Span{{From: july.Add(-24 * time.Hour), To: july}}
		}, map[string]int{"lied 2 wallet": 1}, reconcile.Tally{}},
		"a partial statement misses nothing": {func(s *scene) {
			s.told(1, noon, 50)
			s.told(2, noon, 70)
			s.says(1, false, "C1", noon+1_000_000, 50)
			s.partial = true
		}, nil, reconcile.Tally{Matched: 1, Open: 1, OpenSum: 70}},
		"of another day": {func(s *scene) {
			s.book.others = []reconcile.Movement{movement(9, noon, 50)}
			s.says(9, false, "C9", noon+1_000_000, 50)
			s.says(8, false, "C8", noon+1_000_000, 50)
		}, map[string]int{"unasked 8 tenu": 1}, reconcile.Tally{Matched: 1}},
		"taken back of what an earlier statement told": {func(s *scene) {
			s.partner.RefIsKey = true
			s.book.others = []reconcile.Movement{movement(9, noon, 50)}
			s.past.lines = []reconcile.Line{{Kind: reconcile.KindCredit, Ref: "P9", Purchase: purchase.MakeID(0, 9), Leg: purchase.Credit}}
			s.lines = append(s.lines, "U1,,undo,22670000001,50,XOF,,P9,2026-07-09T13:00:00Z", "U2,,undo,22670000001,50,XOF,,P8,2026-07-09T13:00:00Z")
			s.sum = 100
		}, map[string]int{"reversed 9 wallet": 1, "unasked 0 wallet": 1}, reconcile.Tally{Undone: map[string]int64{"credit XOF": 50}}},
		"executed twice where our key is not looked at, and we sent it twice": {func(s *scene) {
			s.told(1, noon, 50).Tries = 2
			s.says(1, false, "C1", noon+1_000_000, 50)
			s.says(1, false, "C1b", noon+1_000_000, 50)
		}, map[string]int{"twice 1 tenu": 1}, reconcile.Tally{Matched: 1}},
		"the second execution is known": {func(s *scene) {
			m := s.told(1, noon, 50)
			m.Done = append(m.Done, m.Done[0])
			m.Done[1].Ref = "C1b"
			s.says(1, false, "C1", noon+1_000_000, 50)
			s.says(1, false, "C1b", noon+1_000_000, 50)
		}, nil, reconcile.Tally{Matched: 2}},
		"it said twice, and did it once": {func(s *scene) {
			m := s.told(1, noon, 50)
			m.Done = append(m.Done, m.Done[0])
			m.Done[1].Ref = "C1b"
			s.says(1, false, "C1", noon+1_000_000, 50)
		}, map[string]int{"lied 1 wallet": 1}, reconcile.Tally{Matched: 1}},
		"taken back on both sides, or on none": {func(s *scene) {
			m := s.told(1, noon, 50)
			m.Undone = []reconcile.Told{{Ref: "C1", Amount: m.Amount, At: noon + minute}}
			s.lines = append(s.lines, "U1,,undo,22670000001,50,XOF,,C1,2026-07-09T13:00:00Z")
			s.sum += 50
			s.says(1, false, "C1", noon+1_000_000, 50)
			k := s.told(2, noon, 70) // neither done nor taken back there
			k.Undone = []reconcile.Told{{Ref: "C2", Amount: k.Amount, At: noon + minute}}
			s.partner.Undone = true
			k = s.told(3, noon, 90) // done there, and not taken back
			k.Undone = []reconcile.Told{{Ref: "C3", Amount: k.Amount, At: noon + minute}}
			s.says(3, false, "C3", noon+1_000_000, 90)
		}, map[string]int{"not_undone 3 wallet": 1}, reconcile.Tally{Matched: 2, Undone: map[string]int64{"credit XOF": 50}}},
	} {
		s := &scene{keys: keyring(t), dir: t.TempDir()}
		c.set(s)
		breaks, tally := s.run(t, builtIn(t, "sandbox"))
		if c.breaks == nil {
			c.breaks = map[string]int{}
		}
		c.tally.Lines, c.tally.Movements, c.tally.Breaks = tally.Lines, tally.Movements, tally.Breaks
		if !reflect.DeepEqual(breaks, c.breaks) || !reflect.DeepEqual(tally, c.tally) {
			t.Errorf("%s: %v, %+v; want %v, %+v", name, breaks, tally, c.breaks, c.tally)
		}
	}
}

// Whatever the lines' order, and however some lack our key: what agrees is no break, and each difference is one.
func TestMatchIsExact(t *testing.T) {
	m, keys, dir := builtIn(t, "sandbox"), keyring(t), t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		s := &scene{keys: keys, dir: dir}
		want := map[string]int{}
		n := rapid.Int64Range(0, 40).Draw(t, "purchases")
		for i := range n {
			at := noon + purchase.Instant(rapid.Int64Range(0, 3600_000_000).Draw(t, "at"))
			amount := rapid.Int64Range(1, 5).Draw(t, "amount") * 100
			said, line := rapid.Bool().Draw(t, "said"), rapid.IntRange(0, 4).Draw(t, "line")
			keyless := rapid.IntRange(0, 3).Draw(t, "keyless") == 0
			movement := s.told(i+1, at, amount)
			if !said {
				movement.Done, movement.State = nil, purchase.Crediting
			}
			ref := fmt.Sprint("C", i+1)
			switch {
			case line == 0 && said:
				want[fmt.Sprintf("lied %d wallet", i+1)]++
			case line == 0:
			case line == 1 && said:
				s.says(i+1, false, ref, at+1_000_000, amount+1)
				want[fmt.Sprintf("amount %d wallet", i+1)]++
			case said:
				s.says(i+1, keyless, ref, at+1_000_000, amount)
			default:
				s.says(i+1, false, ref, at+1_000_000, amount)
				want[fmt.Sprintf("unheard %d wallet", i+1)]++
			}
		}
		order := rapid.Permutation(s.lines).Draw(t, "order")
		s.lines = order
		if got, _ := s.run(t, m); !reflect.DeepEqual(got, want) {
			t.Fatalf("%v, want %v", got, want)
		}
	})
}

// A statement with more breaks than it can have is another partner's or day's: it is refused as a whole.
func TestTooManyBreaks(t *testing.T) {
	s := &scene{keys: keyring(t), dir: t.TempDir()}
	for i := range int64(20) {
		s.says(i+1, false, fmt.Sprint("C", i), noon, 100)
	}
	text := day(fmt.Sprintf("total,XOF,%d,%d", len(s.lines), s.sum), s.lines...)
	c, err := reconcile.Check(t.Context(), "file", strings.NewReader(text), builtIn(t, "sandbox"), s.keys, reconcile.Want{Partner: "wallet"}, s.dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	job := reconcile.Job{Partner: reconcile.Partner{Name: "wallet"}, Span: reconcile.Span{From: july, To: july.Add(24 * time.Hour)}, Book: &s.book, Earlier: reconcile.NoEarlier{},
		MaxBreaks: 10, Dir: s.dir, Found: func(reconcile.Found) error { return nil }}
	if _, err := job.Match(t.Context(), c); !errors.Is(err, reconcile.ErrTooMany) {
		t.Errorf("%v", err)
	}
}
