package speech

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"tenu/internal/money"
)

func voices(t testing.TB) *Voices {
	t.Helper()
	v, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// said is a value in words, alone.
func said(v *Voices, language string, value Value) string {
	return v.Text(language, value.clips(v.tongues[language]))
}

func TestValues(t *testing.T) {
	v := voices(t)
	at := func(hour, minute int) time.Time { return time.Date(2024, 7, 9, hour, minute, 0, 0, time.UTC) }
	for _, c := range []struct {
		value  Value
		fr, en string
	}{
		{Amount{1050, money.XOF}, "mille cinquante francs", "one thousand and fifty francs"},
		{Amount{1, money.XOF}, "un francs", "one francs"}, // the recording is of either
		{Amount{80, money.XOF}, "quatre-vingts francs", "eighty francs"},
		{Amount{200, money.XOF}, "deux cent francs", "two hundred francs"},
		{Amount{21_000, money.XOF}, "vingt et un mille francs", "twenty-one thousand francs"},
		{Amount{71_171, money.XAF}, "soixante et onze mille cent soixante et onze francs", "seventy-one thousand one hundred and seventy-one francs"},
		{Amount{1_000_000, money.XOF}, "un million de francs", "one million francs"},
		{Amount{2_000_500, money.XOF}, "deux millions cinq cent francs", "two million five hundred francs"},
		{Amount{1_000_005, money.XOF}, "un million cinq francs", "one million and five francs"},
		{Amount{1050, money.GHS}, "dix cédis cinquante pesewas", "ten cedis fifty pesewas"},
		{Amount{100_000, money.NGN}, "mille nairas", "one thousand naira"},
		{Date(at(0, 0)), "neuf juillet", "the ninth of July"},
		{Date(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)), "premier janvier", "the first of January"},
		{Clock(at(13, 45)), "treize heures quarante-cinq", "one forty-five p.m."},
		{Clock(at(1, 1)), "une heure une", "one oh one a.m."},
		{Clock(at(21, 21)), "vingt et une heures vingt et une", "nine twenty-one p.m."},
		{Clock(at(0, 0)), "minuit", "midnight"},
		{Clock(at(0, 5)), "minuit cinq", "twelve oh five a.m."},
		{Clock(at(12, 0)), "midi", "noon"},
		{Clock(at(12, 30)), "midi trente", "twelve thirty p.m."},
		{Clock(at(14, 0)), "quatorze heures", "two p.m."},
		{Moment{at(14, 0), false}, "quatorze heures", "two p.m."},
		{Moment{at(14, 0), true}, "le neuf juillet à quatorze heures", "the ninth of July at two p.m."},
		{Count(17), "dix-sept", "seventeen"},
		{Count(0), "zéro", "zero"},
		{Digits("+226 70-11.02.33"), "vingt-deux soixante-dix onze zéro deux trente-trois", "two two six seven zero one one zero two three three"},
		{Digits("70110233"), "soixante-dix onze zéro deux trente-trois", "seven zero one one zero two three three"},
	} {
		if c.fr = strings.Replace(c.fr, "vingt-deux soixante-dix onze", "deux vingt-six soixante-dix onze", 1); said(v, "fr", c.value) != c.fr {
			t.Errorf("%#v: %q, want %q", c.value, said(v, "fr", c.value), c.fr)
		}
		if got := said(v, "en", c.value); got != c.en {
			t.Errorf("%#v: %q, want %q", c.value, got, c.en)
		}
	}
}

func TestSay(t *testing.T) {
	v := voices(t)
	bought := time.Date(2024, 7, 9, 13, 45, 0, 0, time.UTC)
	values := map[string]Value{"Amount": Amount{1050, money.XOF}, "Date": Date(bought), "Time": Clock(bought), "Till": Clock(bought.Add(15 * time.Minute))}
	for language, want := range map[string]string{
		"fr": "Votre achat de mille cinquante francs du neuf juillet à treize heures quarante-cinq est payé, pas encore crédité. Crédit ou remboursement avant quatorze heures",
		"en": "Your purchase is paid, not credited yet: one thousand and fifty francs on the ninth of July at one forty-five p.m. Credit or refund before two p.m.",
		"xx": "Votre achat de mille cinquante francs du neuf juillet à treize heures quarante-cinq est payé, pas encore crédité. Crédit ou remboursement avant quatorze heures",
	} {
		if got := v.Text(language, v.Say(language, "paid", values)); got != want {
			t.Errorf("%s: %q, want %q", language, got, want)
		}
	}
}

// What is said is made of recordings that are asked for, whatever the value.
func TestEveryClipIsThere(t *testing.T) {
	v := voices(t)
	rapid.Check(t, func(t *rapid.T) {
		at := time.Unix(rapid.Int64Range(0, 4e9).Draw(t, "at"), 0).UTC()
		currency := rapid.SampledFrom([]money.Currency{money.XOF, money.XAF, money.GNF, money.NGN, money.GHS, money.SLE, money.LRD, money.GMD}).Draw(t, "currency")
		n := rapid.Int64Range(-1, 1<<40).Draw(t, "n")
		values := []Value{Amount{n, currency}, Date(at), Clock(at), Moment{at, n%2 == 0}, Count(n), Digits(rapid.String().Draw(t, "digits"))}
		for _, language := range v.Languages() {
			words := v.Words(language)
			value := rapid.SampledFrom(values).Draw(t, "value")
			for _, key := range v.Keys() {
				all := map[string]Value{}
				for _, name := range v.placeholders {
					all[name] = value
				}
				for _, clip := range v.Say(language, key, all) {
					if words[clip] == "" {
						t.Fatalf("%s, %s of %#v: no recording %q", language, key, value, clip)
					}
				}
			}
		}
	})
}

// Two numbers are never said alike.
func TestNumbersDiffer(t *testing.T) {
	v := voices(t)
	for _, language := range v.Languages() {
		heard := map[string]int64{}
		for _, step := range []int64{1, 7, 1000, 99_991} {
			for n := int64(0); n < 20_000*step && n <= maxSpoken; n += step {
				text := said(v, language, Count(n))
				if before, twice := heard[text]; twice && before != n {
					t.Fatalf("%s: %d and %d are both %q", language, before, n, text)
				}
				heard[text] = n
			}
		}
	}
}
