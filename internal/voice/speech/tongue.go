package speech

import (
	"strconv"
	"time"

	"tenu/internal/money"
)

// tongue is how a language says what is not a phrase.
type tongue struct {
	pairs  bool // digits are read two by two
	round  bool // whole millions take "of" before what is counted
	and    bool // "one hundred and five"
	single bool // a hundred and a thousand are said with their one
	// feminine numbers end in one, where the language tells: une heure, vingt et une.
	feminine map[int64]string
	numbers  [100]string
	powers   map[Clip]string // hundred, thousand, million, and, of
	days     [31]string
	months   [12]string
	money    map[money.Currency][2]string // the unit, and the hundredth where there is one
	times    map[Clip]string              // of the clock, beside numbers
	clock    func(t *tongue, at time.Time) []Clip
}

// count says a number of things.
func (t *tongue) count(n int64, feminine bool) []Clip {
	if n < 0 || n > maxSpoken {
		return Digits(strconv.FormatInt(n, 10)).clips(t)
	}
	var clips []Clip
	if millions := n / 1_000_000; millions > 0 {
		clips = append(t.hundreds(clips, millions, false), "power/million")
		if millions > 1 {
			clips[len(clips)-1] = "power/millions"
		}
	}
	if thousands := n / 1000 % 1000; thousands > 0 {
		if thousands > 1 || t.single {
			clips = t.hundreds(clips, thousands, false)
		}
		clips = append(clips, "power/thousand")
	}
	rest := n % 1000
	if rest == 0 && len(clips) > 0 {
		return clips
	}
	if t.and && len(clips) > 0 && rest < 100 {
		clips = append(clips, "power/and")
	}
	return t.hundreds(clips, rest, feminine)
}

// hundreds says a number below a thousand.
func (t *tongue) hundreds(clips []Clip, n int64, feminine bool) []Clip {
	if hundreds := n / 100; hundreds > 0 {
		if hundreds > 1 || t.single {
			clips = append(clips, number(hundreds))
		}
		clips = append(clips, "power/hundred")
		if n%100 == 0 {
			return clips
		}
		if t.and {
			clips = append(clips, "power/and")
		}
	}
	if _, differs := t.feminine[n%100]; feminine && differs {
		return append(clips, "feminine"+number(n % 100)[len("number"):])
	}
	return append(clips, number(n%100))
}

// words are the recordings that values are made of.
func (t *tongue) words() map[Clip]string {
	words := map[Clip]string{}
	for n, text := range t.numbers {
		words[number(int64(n))] = text
	}
	for n, text := range t.feminine {
		words["feminine"+number(n)[len("number"):]] = text
	}
	for i, text := range t.days {
		words[Clip("day/"+strconv.Itoa(i+1))] = text
	}
	for i, text := range t.months {
		words[Clip("month/"+strconv.Itoa(i+1))] = text
	}
	for currency, text := range t.money {
		words[Clip("currency/"+string(currency))] = text[0]
		if text[1] != "" {
			words[Clip("cents/"+string(currency))] = text[1]
		}
	}
	for clip, text := range t.powers {
		words[clip] = text
	}
	for clip, text := range t.times {
		words[clip] = text
	}
	return words
}

// tongues are the languages whose rules are known.
var tongues = map[string]tongue{"fr": french(), "en": english()}
