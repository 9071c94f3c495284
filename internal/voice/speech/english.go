package speech

import (
	"strings"
	"time"

	"tenu/internal/money"
)

// english is British English: "one hundred and five", a clock of twelve hours.
func english() tongue {
	t := tongue{and: true, single: true,
		powers: map[Clip]string{"power/hundred": "hundred", "power/thousand": "thousand", "power/million": "million", "power/millions": "million",
			"power/and": "and"},
		months: [12]string{"of January", "of February", "of March", "of April", "of May", "of June", "of July", "of August", "of September",
			"of October", "of November", "of December"},
		days: [31]string{"the first", "the second", "the third", "the fourth", "the fifth", "the sixth", "the seventh", "the eighth",
			"the ninth", "the tenth", "the eleventh", "the twelfth", "the thirteenth", "the fourteenth", "the fifteenth", "the sixteenth",
			"the seventeenth", "the eighteenth", "the nineteenth", "the twentieth", "the twenty-first", "the twenty-second",
			"the twenty-third", "the twenty-fourth", "the twenty-fifth", "the twenty-sixth", "the twenty-seventh", "the twenty-eighth",
			"the twenty-ninth", "the thirtieth", "the thirty-first"},
		times: map[Clip]string{"clock/am": "a.m.", "clock/pm": "p.m.", "clock/midnight": "midnight", "clock/noon": "noon", "clock/oh": "oh",
			"moment/at": "at"},
		money: map[money.Currency][2]string{money.XOF: {"francs"}, money.XAF: {"francs"}, money.GNF: {"Guinean francs"},
			money.NGN: {"naira", "kobo"}, money.GHS: {"cedis", "pesewas"}, money.SLE: {"leones", "cents"},
			money.LRD: {"dollars", "cents"}, money.GMD: {"dalasis", "bututs"}},
	}
	small := strings.Fields("zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen")
	tens := [...]string{2: "twenty", 3: "thirty", 4: "forty", 5: "fifty", 6: "sixty", 7: "seventy", 8: "eighty", 9: "ninety"}
	for n := range t.numbers {
		switch {
		case n < len(small):
			t.numbers[n] = small[n]
		case n%10 == 0:
			t.numbers[n] = tens[n/10]
		default:
			t.numbers[n] = tens[n/10] + "-" + small[n%10]
		}
	}
	t.clock = func(_ *tongue, at time.Time) []Clip {
		hour, minute := at.Hour(), at.Minute()
		if minute == 0 && hour == 0 {
			return []Clip{"clock/midnight"}
		}
		if minute == 0 && hour == 12 {
			return []Clip{"clock/noon"}
		}
		half := Clip("clock/am")
		if hour >= 12 {
			half = "clock/pm"
		}
		clips := []Clip{number(int64((hour+11)%12 + 1))}
		if minute > 0 && minute < 10 {
			clips = append(clips, "clock/oh")
		}
		if minute > 0 {
			clips = append(clips, number(int64(minute)))
		}
		return append(clips, half)
	}
	return t
}
