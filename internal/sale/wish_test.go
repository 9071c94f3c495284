package sale

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"tenu/internal/money"
	"tenu/internal/numbering"
)

// Writing a wish in another way keeps its digest; wishing something else, or
// moving text from one field to the next, changes it.
func TestDigestProperty(t *testing.T) {
	plan, err := numbering.ParsePlan("bf.yaml", numbering.BurkinaFaso)
	if err != nil {
		t.Fatal(err)
	}
	text := rapid.StringMatching(`[a-z0-9]{0,6}`)
	number := rapid.StringMatching(`[567][0-8][0-9]{6}`)
	rapid.Check(t, func(t *rapid.T) {
		w := Wish{Number: number.Draw(t, "number"), Payer: number.Draw(t, "payer"), Product: text.Draw(t, "product"),
			Amount: rapid.StringMatching(`[1-9][0-9]{0,5}|[a-z]{1,3}|`).Draw(t, "amount"), PayWith: text.Draw(t, "pay with"), Language: rapid.SampledFrom([]string{"", "fr", "en"}).Draw(t, "language")}
		digest := w.digest(plan, money.XOF)

		same := w
		same.Client, same.ClientKey, same.Channel, same.Again = "other", "key", "ussd", true
		same.Number = rapid.SampledFrom([]string{"+226", "00226", "226", " "}).Draw(t, "prefix") + same.Number[:4] + " - " + same.Number[4:]
		same.Currency = "XOF"
		if strings.Trim(same.Amount, "0123456789") == "" && same.Amount != "" {
			same.Amount = "0" + same.Amount + " "
		}
		if same.digest(plan, money.XOF) != digest {
			t.Fatalf("%+v and %+v differ", w, same)
		}

		other := w
		switch rapid.IntRange(0, 6).Draw(t, "change") {
		case 0:
			other.Number = w.Number[:7] + string('0'+(w.Number[7]-'0'+1)%10)
		case 1:
			other.Payer = w.Payer[:7] + string('0'+(w.Payer[7]-'0'+1)%10)
		case 2:
			other.Product += "x"
		case 3:
			other.Amount += "1"
		case 4:
			other.PayWith += "x"
		case 5:
			other.Currency = "XAF"
		case 6:
			other.Product, other.Amount = w.Product+"1", strings.TrimPrefix(w.Amount, "1")
		}
		if other != w && other.digest(plan, money.XOF) == digest {
			t.Fatalf("%+v and %+v have one digest", w, other)
		}
	})
}

// Digests are kept with purchases: a change of how they are computed would turn
// every repeated request into a conflict.
func TestDigestStaysTheSame(t *testing.T) {
	plan, err := numbering.ParsePlan("bf.yaml", numbering.BurkinaFaso)
	if err != nil {
		t.Fatal(err)
	}
	w := Wish{Number: "70 11 22 33", Product: "airtime", Amount: "1050", Language: "fr"}
	got := w.digest(plan, money.XOF)
	if want := [16]byte{0xdf, 0x66, 0x02, 0x2c, 0xf5, 0x0f, 0x02, 0xde, 0x25, 0xdd, 0x3e, 0x2a, 0x13, 0x83, 0x07, 0xf9}; got != want {
		t.Errorf("got %#v", got)
	}
}

func FuzzWish(f *testing.F) {
	plan, err := numbering.ParsePlan("bf.yaml", numbering.BurkinaFaso)
	if err != nil {
		f.Fatal(err)
	}
	f.Add("70 11 22 33", "", "airtime", "1050", "XOF", "wallet", "fr")
	f.Add("+226", "\xff", "", "-1.5", "xx", "", "")
	f.Fuzz(func(t *testing.T, number, payer, product, amount, currency, payWith, language string) {
		w := Wish{Number: number, Payer: payer, Product: product, Amount: amount, Currency: currency, PayWith: payWith, Language: language}
		clean := w
		clean.Number, clean.Payer, clean.Amount = plan.Canonical(number), plan.Canonical(payer), strings.TrimSpace(amount)
		if w.digest(plan, money.XOF) != clean.digest(plan, money.XOF) {
			t.Fatalf("%+v and %+v have two digests", w, clean)
		}
		w.ClientKey = number
		if w.keyed() && (number == "" || len(number) > maxKey || strings.ContainsAny(number, " \n\x00")) {
			t.Fatalf("%q passes as a key", number)
		}
	})
}
