package picture_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"tenu/internal/chart"
	"tenu/internal/purchase"
	"tenu/internal/regulator"
	"tenu/internal/regulator/picture"
)

func painter(t *testing.T, language string) *picture.Painter {
	t.Helper()
	p, err := picture.In(language)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// sums are what the columns hold, by their labels.
func sums(c *chart.Chart) map[string]string {
	all := map[string]string{}
	for _, column := range c.Columns {
		for _, v := range column.Values {
			if v > 0 {
				all[column.Label] = strings.Trim(fmt.Sprint(column.Values), "[]")
			}
		}
	}
	return all
}

// TestHeld: each item stands in the column of its age, by whether it is beyond the limit; what is in exposure is not held; currencies are apart.
func TestHeld(t *testing.T) {
	now := purchase.At(time.Date(2024, 7, 9, 14, 0, 0, 0, time.UTC))
	item := func(account string, amount int64, age time.Duration) regulator.Item {
		return regulator.Item{Account: account, Currency: "XOF", Amount: amount, Since: now.Add(-age)}
	}
	items := []regulator.Item{item("held", 1050, time.Minute), item("held", 500, time.Minute+time.Microsecond), item("held", 700, 90*time.Second), item("held", 3, 48*time.Hour),
		item("exposure/wallet", 9999, time.Second)}
	items = append(items, regulator.Item{Account: "held", Currency: "NGN", Amount: 1050, Since: now})
	all := painter(t, "fr").Held(items, now, 70*time.Second)
	if len(all) != 2 {
		t.Fatalf("%d pictures", len(all))
	}
	for i, want := range []map[string]string{{"5\u00a0s": "10.5 0"}, {"1\u00a0min": "1050 0", "2\u00a0min": "500 700", "> 24\u00a0h": "0 3"}} {
		if got := sums(all[i]); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: %v, and not %v", all[i].Title, got, want)
		}
	}
	if len(painter(t, "fr").Held(nil, now, 0)) != 0 {
		t.Error("nothing is held, and there is a picture")
	}
}

// TestTimes: what was settled stands by how long it took, with the limit where it lies; nothing makes no picture.
func TestTimes(t *testing.T) {
	f := (&regulator.Figures{ToCredit: regulator.Times{12: 5, 50: 1, 51: 2}, FromCharge: regulator.Times{9_000_000: 4}, ToRefund: regulator.Times{300: 1, 310: 1},
		Failures: []regulator.Failure{{Leg: "credit", Code: "no_answer", Party: "provider:a", Sum: regulator.Sum{Count: 1}}, {Leg: "credit", Code: "no_answer", Party: "provider:b", Sum: regulator.Sum{Count: 2}},
			{Leg: "charge", Code: "insufficient_funds", Party: "customer", Sum: regulator.Sum{Count: 9}}}}).Whole()
	for _, language := range []string{"fr", "en"} {
		p := painter(t, language)
		if got := fmt.Sprint(sums(p.Settled(f, 24*time.Hour))); got != fmt.Sprint(map[string]string{"5\u00a0s": "6 0", "10\u00a0s": "2 0", "> 24\u00a0h": "0 4"}) {
			t.Errorf("settled: %v", got)
		}
		c := p.Refunded(f, 30*time.Second)
		if got := fmt.Sprint(sums(c)); got != fmt.Sprint(map[string]string{"30\u00a0s": "1 0", "1\u00a0min": "1 0"}) || len(c.Marks) != 1 || c.Marks[0].At != 3 {
			t.Errorf("refunded: %v, %v", got, c.Marks)
		}
		failures := p.Failures(f)
		if len(failures.Columns) != 2 || failures.Columns[0].Values[2] != 9 || failures.Columns[1].Values[0] != 3 {
			t.Errorf("failures: %v", failures.Columns)
		}
		if days := p.Days([]picture.Step{{"01", f}, {"02", nil}}); days.Columns[0].Values[1] != 12 || len(days.Columns) != 2 {
			t.Errorf("days: %v", days.Columns)
		}
		none := (&regulator.Figures{}).Whole()
		for _, c := range []*chart.Chart{p.Settled(none, time.Hour), p.Refunded(none, 0), p.Failures(none), p.Hours([]picture.Step{{"00", none}})} {
			if c != nil {
				t.Errorf("%s of nothing", c.Title)
			}
		}
	}
}
