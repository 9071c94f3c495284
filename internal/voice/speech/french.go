package speech

import (
	"strings"
	"time"

	"tenu/internal/money"
)

// french is French as it is spoken in West Africa: soixante-dix, quatre-vingts.
func french() tongue {
	t := tongue{pairs: true, round: true,
		powers: map[Clip]string{"power/hundred": "cent", "power/thousand": "mille", "power/million": "million", "power/millions": "millions", "of": "de"},
		months: [12]string{"janvier", "février", "mars", "avril", "mai", "juin", "juillet", "août", "septembre", "octobre", "novembre", "décembre"},
		times: map[Clip]string{"clock/hours": "heures", "clock/hour": "heure", "clock/midnight": "minuit", "clock/noon": "midi",
			"moment/on": "le", "moment/at": "à"},
		feminine: map[int64]string{},
		money: map[money.Currency][2]string{money.XOF: {"francs"}, money.XAF: {"francs"}, money.GNF: {"francs guinéens"},
			money.NGN: {"nairas", "kobos"}, money.GHS: {"cédis", "pesewas"}, money.SLE: {"leones", "cents"},
			money.LRD: {"dollars", "cents"}, money.GMD: {"dalasis", "bututs"}},
	}
	small := strings.Fields("zéro un deux trois quatre cinq six sept huit neuf dix onze douze treize quatorze quinze seize dix-sept dix-huit dix-neuf")
	tens := [...]string{2: "vingt", 3: "trente", 4: "quarante", 5: "cinquante", 6: "soixante", 7: "soixante", 8: "quatre-vingt", 9: "quatre-vingt"}
	for n := range t.numbers {
		ten, one := n/10, n%10
		if ten == 7 || ten == 9 {
			one += 10
		}
		switch {
		case n < len(small):
			t.numbers[n] = small[n]
		case n == 80:
			t.numbers[n] = "quatre-vingts"
		case one == 0:
			t.numbers[n] = tens[ten]
		case (one == 1 || one == 11) && ten < 8:
			t.numbers[n] = tens[ten] + " et " + small[one]
		default:
			t.numbers[n] = tens[ten] + "-" + small[one]
		}
		if n%10 == 1 && n != 11 && n != 71 && n != 91 {
			t.feminine[int64(n)] = t.numbers[n] + "e"
		}
	}
	for i := range t.days {
		t.days[i] = t.numbers[i+1]
	}
	t.days[0] = "premier"
	t.clock = func(t *tongue, at time.Time) []Clip {
		var clips []Clip
		switch hour := at.Hour(); hour {
		case 0:
			clips = []Clip{"clock/midnight"}
		case 12:
			clips = []Clip{"clock/noon"}
		case 1:
			clips = append(t.count(1, true), "clock/hour")
		default:
			clips = append(t.count(int64(hour), true), "clock/hours")
		}
		if at.Minute() > 0 {
			clips = append(clips, t.count(int64(at.Minute()), true)...)
		}
		return clips
	}
	return t
}
