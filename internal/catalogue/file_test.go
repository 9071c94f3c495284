package catalogue

import (
	"strings"
	"testing"
)

// change replaces a line of the sample and is certain that it did.
func change(t testing.TB, text, old, with string) string {
	t.Helper()
	if !strings.Contains(text, old) {
		t.Fatalf("%q is not in the sample", old)
	}
	return strings.Replace(text, old, with, 1)
}

func TestParseRefuses(t *testing.T) {
	for name, c := range map[string]struct{ old, with, want string }{
		"unknown key":         {"currency:", "curency:", "x.yaml:1: curency: unknown field"},
		"nested unknown":      {"        step: 50\n", "        steps: 50\n", "x.yaml:20: products[0].offers[0].steps: unknown field"},
		"currency":            {"currency: XOF", "currency: EUR", "x.yaml:1: currency: money: currency unknown"},
		"no languages":        {"[fr, en]", "[]", "x.yaml:2: languages: at least one"},
		"wallet's name":       {"name: wallet", "name: Wallet!", "x.yaml:4: wallets[0].name: \"Wallet!\" is not"},
		"wallet balance":      {"name: wallet", "name: balance", "x.yaml:4: wallets[0].name: \"balance\" is not"},
		"wallet untranslated": {", en: Wallet", "", "x.yaml:5: wallets[0].names: a name in \"en\" is needed"},
		"operator twice":      {"code: moov", "code: orange", "x.yaml:8: operators[1].code: operator orange is given twice"},
		"no provider":         {"[hub]", "[]", "x.yaml:8: operators[1].providers: at least one"},
		"provider twice":      {"[ocs, spare]", "[ocs, ocs]", "x.yaml:7: operators[0].providers[1]: \"ocs\" is not"},
		"product's code":      {"code: data", "code: Data", "x.yaml:30: products[1].code: \"Data\" is not"},
		"product twice":       {"code: data", "code: airtime", "x.yaml:30: products[1].code: product airtime is given twice"},
		"kind":                {"kind: bundle", "kind: gift", "x.yaml:31: products[1].kind: \"gift\" is neither"},
		"not GSM-7":           {"Internet,", "Forfait reçu,", "x.yaml:32: products[1].names.fr: 'ç' is not in the GSM"},
		"too long":            {"Internet,", "Internet jour 250 Mo pas cher,", "x.yaml:32: products[1].names.fr: \"Internet jour 250 Mo pas cher\" is not one line of at most 24"},
		"two lines":           {"Internet,", "\"a\\nb\",", "x.yaml:32: products[1].names.fr: "},
		"no operators":        {"operators: [orange]", "operators: []", "x.yaml:33: products[1].operators: at least one"},
		"unknown operator":    {"operators: [orange]", "operators: [telecel]", "x.yaml:33: products[1].operators[0]: no provider credits this to lines of \"telecel\""},
		"unreached provider":  {"providers: [spare]", "providers: [spare, hub]", "x.yaml:34: products[1].providers[1]: no operator"},
		"no payers":           {"[balance, wallet]", "[]", "x.yaml:35: products[1].payers: at least one"},
		"unknown payer":       {"[balance, wallet]", "[balance, bank]", "x.yaml:35: products[1].payers[1]: \"bank\" is neither"},
		"until":               {"until: 2026-12-01T00:00:00Z", "until: 2026-13-01", "x.yaml:36: products[1].until: \"2026-13-01\" is not an instant"},
		"version 0":           {"version: 3", "version: 0", "x.yaml:38: products[1].offers[0].version: versions count from 1"},
		"version not higher":  {"version: 2", "version: 1", "x.yaml:23: products[0].offers[1].version: each version has"},
		"version not later":   {"from: 2026-06-01", "from: 2026-01-01", "x.yaml:23: products[0].offers[1].version: each version has"},
		"from":                {"from: 2026-06-01T00:00:00Z", "from: yesterday", "x.yaml:24: products[0].offers[1].from: \"yesterday\" is not"},
		"no minimum":          {"        min: 100\n", "", "x.yaml:16: products[0].offers[0].min: an amount of XOF is needed"},
		"minimum zero":        {"min: 100", "min: 0", "x.yaml:18: products[0].offers[0].min: \"0\": amount is zero"},
		"minimum fraction":    {"min: 100", "min: 100.5", "x.yaml:18: products[0].offers[0].min: \"100.5\": amount finer"},
		"minimum in words":    {"min: 100", "min: cent", "x.yaml:18: products[0].offers[0].min: \"cent\": not an amount"},
		"maximum too large":   {"max: 10000", "max: 10000000", "x.yaml:19: products[0].offers[0].max: 10000000 exceeds 9999999"},
		"maximum below":       {"max: 10000", "max: 50", "x.yaml:19: products[0].offers[0].max: the maximum is below"},
		"minimum off step":    {"min: 100", "min: 120", "x.yaml:20: products[0].offers[0].step: minimum and maximum"},
		"units":               {"units: less_fee", "units: all", "x.yaml:21: products[0].offers[0].units: \"all\" is neither"},
		"fee too large":       {"{fixed: 50}", "{fixed: 100}", "x.yaml:22: products[0].offers[0].fee: the fee leaves nothing"},
		"fee per mille":       {"per_mille: 15", "per_mille: 1000", "x.yaml:29: products[0].offers[1].fee.per_mille: 1000 is not"},
		"fee rounding":        {"round: up", "round: away", "x.yaml:29: products[0].offers[1].fee.round: \"away\" is none"},
		"no rounding":         {", round: up", "", "x.yaml:29: products[0].offers[1].fee.round: \"\" is none"},
		"price of airtime":    {"        units: less_fee\n", "        price: 5\n", "x.yaml:16: products[0].offers[0]: price, validity and contains are for bundles"},
		"step of a bundle":    {"        price: 500\n", "        step: 5\n", "x.yaml:38: products[1].offers[0]: min, max, step and units are for airtime"},
		"no price":            {"        price: 500\n", "", "x.yaml:38: products[1].offers[0].price: an amount of XOF"},
		"validity":            {"validity: 7d", "validity: 7w", "x.yaml:41: products[1].offers[0].validity: a validity is written"},
		"validity of nothing": {"validity: 7d", "validity: 0d", "x.yaml:41: products[1].offers[0].validity: a validity is written"},
		"validity too long":   {"validity: 7d", "validity: 3654d", "x.yaml:41: products[1].offers[0].validity: a validity is written"},
		"contains nothing":    {"contains: {fr: 1 Go, en: 1 GB}", "contains: {fr: 1 Go}", "x.yaml:42: products[1].offers[0].contains: a name in \"en\""},
	} {
		_, err := Parse("x.yaml", []byte(change(t, sample, c.old, c.with)))
		if err == nil || !strings.HasPrefix(err.Error(), "catalogue: "+c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
	if _, err := Parse("x.yaml", []byte("currency: XOF\nlanguages: [fr]\n")); err == nil || !strings.Contains(err.Error(), "products: between 1 and") {
		t.Errorf("no products: %v", err)
	}
}

func TestCheckAfter(t *testing.T) {
	was := load(t, sample)
	for name, c := range map[string]struct{ old, with, want string }{
		"nothing changed": {"currency: XOF", "currency: XOF", ""},
		"a name":          {"Internet,", "Internet 1 Go,", ""},
		"the payers":      {"[balance, wallet]", "[wallet]", ""},
		"new version": {"        fee: {per_mille: 15, round: up}\n", "        fee: {per_mille: 15, round: up}\n" +
			"      - {version: 3, from: 2027-01-01T00:00:00Z, min: 100, max: 200, step: 50, units: total}\n", ""},
		"price":        {"price: 500", "price: 600", "product data: version 3 was changed"},
		"contents":     {"{fr: 1 Go, en", "{fr: 2 Go, en", "product data: version 3 was changed"},
		"fee":          {"per_mille: 15", "per_mille: 16", "product airtime: version 2 was changed"},
		"old version":  {"{fixed: 50}", "{fixed: 49}", "product airtime: version 1 was changed"},
		"beginning":    {"from: 2026-06-01", "from: 2026-06-02", "product airtime: version 2 was changed"},
		"renumbered":   {"version: 2", "version: 4", "product airtime: version 2, the newest, is gone"},
		"old dropped":  {sample[strings.Index(sample, "      - version: 1\n"):strings.Index(sample, "      - version: 2\n")], "", ""},
		"currency":     {"currency: XOF", "currency: XAF", "product airtime: version 1 was changed"},
		"product gone": {sample[strings.Index(sample, "  - code: data\n"):], "", ""},
	} {
		err := load(t, change(t, sample, c.old, c.with)).CheckAfter(was)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.HasPrefix(err.Error(), "catalogue: "+c.want)) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
}
