package reconcile_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"tenu/internal/money"
	"tenu/internal/purchase"
	"tenu/internal/reconcile"
)

func keyring(t testing.TB) *purchase.Keyring {
	t.Helper()
	keys, err := purchase.NewKeyring([]byte("a secret of sixteen bytes"))
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func mappingOf(t testing.TB, text string) *reconcile.Mapping {
	t.Helper()
	m, err := reconcile.ParseMapping("mapping.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func builtIn(t testing.TB, name string) *reconcile.Mapping {
	t.Helper()
	m, err := reconcile.LoadMapping(name)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// readAll reads a statement to its end.
func readAll(m *reconcile.Mapping, keys reconcile.Keys, text []byte) (lines []reconcile.Line, head reconcile.Head, err error) {
	r, err := reconcile.Open("file", bytes.NewReader(text), m, keys)
	if err != nil {
		return nil, head, err
	}
	for {
		l, err := r.Next()
		if errors.Is(err, io.EOF) {
			return lines, r.Head(), nil
		}
		if err != nil {
			return lines, r.Head(), err
		}
		lines = append(lines, l)
	}
}

const july = purchase.Instant(1783555200_000000) // 9 July 2026

// day is a statement of the sandbox's kind with lines between its head and total.
func day(total string, lines ...string) string {
	return "statement,wallet,2026-07-09T00:00:00Z,2026-07-10T00:00:00Z\nreference,key,leg,number,amount,currency,product,original,at\n" +
		strings.Join(append(lines, total), "\n") + "\n"
}

func TestTableIsRead(t *testing.T) {
	keys := keyring(t)
	id := purchase.MakeID(0, 77)
	key := keys.Key(id, purchase.Charge).UUID()
	lines, head, err := readAll(builtIn(t, "sandbox"), keys, []byte(day("total,XOF,3,2150",
		`W1,`+key+`,charge,+22670112233,1050,XOF,,,2026-07-09T13:45:00.25Z`,
		`W2,,"grant",22670112233,50,XOF,,,2026-07-09T13:45:01Z`,
		`"W""3",,undo,22670112233,1050,XOF,,W1,2026-07-09T14:45:00+01:00`)))
	if err != nil {
		t.Fatal(err)
	}
	if head.Partner != "wallet" || head.From != july || head.To != july.Add(24*time.Hour) {
		t.Errorf("head %+v", head)
	}
	at := july.Add(13*time.Hour + 45*time.Minute)
	want := []reconcile.Line{
		{Place: 3, Kind: reconcile.KindCharge, Key: key, Ref: "W1", Number: 22670112233, Amount: money.Amount{Minor: 1050, Currency: "XOF"}, At: at + 250_000, Purchase: id, Leg: purchase.Charge},
		{Place: 5, Kind: reconcile.KindUndone, Ref: `W"3`, Original: "W1", Number: 22670112233, Amount: money.Amount{Minor: 1050, Currency: "XOF"}, At: at},
	}
	if fmt.Sprint(lines) != fmt.Sprint(want) {
		t.Errorf("read\n%+v, want\n%+v", lines, want)
	}
}

// What is wrong is refused with the place where it stands.
func TestTableIsRefused(t *testing.T) {
	good := `W1,,charge,22670112233,1050,XOF,,,2026-07-09T13:45:00Z`
	for name, c := range map[string]struct{ text, want string }{
		"cut within a line":    {day("total,XOF,1,1050", `W1,,charge,2267`), "file:3: the line has 4 fields, 7 are needed: it is cut"},
		"cut before the total": {strings.TrimSuffix(day("", good), "\n"), "file:3: the file ends without its total: it is cut"},
		"too few lines":        {day("total,XOF,2,1050", good), "file:4: the total says 2 lines of XOF, and 1 were read"},
		"another sum":          {day("total,XOF,1,1051", good), "file:4: the total says 1051 XOF, and the lines add up to 1050"},
		"a line of another currency": {day("total,XOF,1,1050", good, `W2,,charge,22670112233,1,XAF,,,2026-07-09T13:45:00Z`),
			"file:5: there are lines of a currency of which there is no total"},
		"a formula":                           {day("total,XOF,1,1050", `"=cmd|' /C calc'!A0",,charge,22670112233,1050,XOF,,,2026-07-09T13:45:00Z`), "file:3:1: begins as a formula of a spreadsheet does"},
		"a formula in product":                {day("total,XOF,1,1050", `W1,,charge,22670112233,1050,XOF,@SUM(A1),,2026-07-09T13:45:00Z`), "file:3:33: begins as a formula of a spreadsheet does"},
		"no amount":                           {day("total,XOF,1,1050", `W1,,charge,22670112233,10x,XOF,,,2026-07-09T13:45:00Z`), "file:3:24: not an amount of XOF"},
		"a negative amount":                   {day("total,XOF,1,1050", `W1,,charge,22670112233,-5,XOF,,,2026-07-09T13:45:00Z`), "file:3:24: not an amount of XOF"},
		"nothing":                             {day("total,XOF,1,0", `W1,,charge,22670112233,0,XOF,,,2026-07-09T13:45:00Z`), "file:3:24: an amount must be positive"},
		"no currency":                         {day("total,XOF,1,1050", `W1,,charge,22670112233,1050,USD,,,2026-07-09T13:45:00Z`), "file:3:29: not a currency that is known"},
		"no kind":                             {day("total,XOF,1,1050", `W1,,fee,22670112233,1050,XOF,,,2026-07-09T13:45:00Z`), "file:3:5: the mapping knows no such kind of line"},
		"no time":                             {day("total,XOF,1,1050", `W1,,charge,22670112233,1050,XOF,,,yesterday`), "file:3:35: not a time such as the mapping says"},
		"no number":                           {day("total,XOF,1,1050", `W1,,charge,12x,1050,XOF,,,2026-07-09T13:45:00Z`), "file:3:12: not a number"},
		"an open quote":                       {day("total,XOF,1,1050", `W1,,"charge,22670112233`), "file:3:5: a quoted field does not end on its line"},
		"a quote inside":                      {day("total,XOF,1,1050", `W1,,cha"rge,22670112233`), "file:3:8: a quote within a field that is not quoted"},
		"text after a quote":                  {day("total,XOF,1,1050", `"W1"x,,charge`), "file:3:5: text follows a quoted field"},
		"no columns":                          {"statement,wallet,2026-07-09T00:00:00Z,2026-07-10T00:00:00Z\nreference,key,leg,number,sum,currency,product,original,at\n", `file:2: no column, or more than one, is called "amount"`},
		"a column twice":                      {"statement,wallet,2026-07-09T00:00:00Z,2026-07-10T00:00:00Z\nreference,key,leg,number,amount,amount,currency,product,original,at\n", `file:2: no column, or more than one, is called "amount"`},
		"no head":                             {"reference,key,leg\n", `file:1:1: the record "statement", which tells partner and period, must come first`},
		"two heads":                           {day("statement,wallet,2026-07-09T00:00:00Z,2026-07-10T00:00:00Z"), `file:3:1: a second record "statement": are these two statements?`},
		"a period that ends before it begins": {"statement,wallet,2026-07-10T00:00:00Z,2026-07-09T00:00:00Z\n", "file:1:39: the period ends before it begins"},
		"after the total":                     {day("total,XOF,1,1050", good) + good + "\n", "file:5:1: a line follows the total"},
		"empty":                               {"", "file: the file ends before it named its columns"},
		"not of the encoding":                 {day("total,XOF,1,1050", "W\xff1,,charge"), "file:3:2: not a character of the file's encoding"},
		"a control character":                 {day("total,XOF,1,1050", "W\x001,,charge"), "file:3:2: not a character of the file's encoding"},
		"UTF-16 for UTF-8":                    {"\xff\xfes\x00", "file: is UTF-16, and the mapping says UTF-8"},
		"a long line":                         {day("total,XOF,1,1050", strings.Repeat("x", reconcile.MaxLine+1)), "file:3: the line is longer than 65536 bytes"},
		"many fields":                         {day("total,XOF,1,1050", strings.Repeat(",", 300)), "file:3:201: the line has more than 200 fields"},
	} {
		_, _, err := readAll(builtIn(t, "sandbox"), keyring(t), []byte(c.text))
		var fault *reconcile.Fault
		if !errors.As(err, &fault) || err.Error() != c.want {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
}

// endless is a line that never ends.
type endless struct{ n int64 }

func (e *endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	e.n += int64(len(p))
	return len(p), nil
}

// A line of ten gigabytes is refused after a few kilobytes, in each format.
func TestEndlessLine(t *testing.T) {
	for name, head := range map[string]string{"sandbox": day("", ""), "gsma": `[{"transactionReference":"`, "cgrates": `{"result":[{"CGRID":"`,
		"camt053": `<?xml version="1.0"?><Document><BkToCstmrStmt><Stmt><Ntry><NtryRef>`} {
		in := &endless{}
		r, err := reconcile.Open("file", io.MultiReader(strings.NewReader(head), in), builtIn(t, name), keyring(t))
		if err != nil {
			t.Fatal(err)
		}
		for err == nil {
			_, err = r.Next()
		}
		var fault *reconcile.Fault
		if !errors.As(err, &fault) || fault.Line == 0 || in.n > 4*reconcile.MaxLine {
			t.Errorf("%s: after %d bytes: %v", name, in.n, err)
		}
	}
}

func TestEncodingsAndLocales(t *testing.T) {
	const mapping = `
format: csv
encoding: %s
delimiter: ";"
decimal: ","
grouping: " "
time_zone: Africa/Lagos
time: "02/01/2006 15:04:05"
currency: NGN
country_code: "234"
national_digits: 10
columns: {reference: "1", kind: "2", number: "3", amount: "4", time: "5", product: "6"}
kinds: {"crédit": credit}
`
	const text = "R1;crédit;7012345678;1 234,50;09/07/2026 01:00:00;forfait été\n"
	units := utf16.Encode([]rune("\ufeff" + text))
	var little, big bytes.Buffer
	for _, u := range units {
		little.Write([]byte{byte(u), byte(u >> 8)})
		big.Write([]byte{byte(u >> 8), byte(u)})
	}
	latin := strings.NewReplacer("é", "\xe9").Replace(text)
	for name, c := range map[string]struct {
		encoding string
		text     []byte
	}{"utf-8": {"utf-8", []byte(text)}, "its mark": {"utf-8", []byte("\ufeff" + text)}, "latin-1": {"latin-1", []byte(latin)},
		"little endian": {"utf-16", little.Bytes()}, "big endian": {"utf-16", big.Bytes()}} {
		lines, _, err := readAll(mappingOf(t, fmt.Sprintf(mapping, c.encoding)), keyring(t), c.text)
		if err != nil || len(lines) != 1 {
			t.Errorf("%s: %v", name, err)
			continue
		}
		l := lines[0]
		if l.Kind != reconcile.KindCredit || l.Number != 2347012345678 || l.Amount != (money.Amount{Minor: 123450, Currency: "NGN"}) || l.Product != "forfait été" || l.At != july {
			t.Errorf("%s: %+v", name, l)
		}
	}
	_, _, err := readAll(mappingOf(t, fmt.Sprintf(mapping, "utf-16")), keyring(t), []byte(text))
	if err == nil || !strings.Contains(err.Error(), "is not UTF-16") {
		t.Errorf("UTF-8 for UTF-16: %v", err)
	}
	_, _, err = readAll(mappingOf(t, fmt.Sprintf(mapping, "utf-8")), keyring(t), []byte(strings.TrimSuffix(text, "\n")))
	if err == nil || !strings.Contains(err.Error(), "may be cut") {
		t.Errorf("without its last end: %v", err)
	}
}

func TestMappingsAreRefused(t *testing.T) {
	const good = "format: csv\ntime_zone: UTC\ncurrency: XOF\ncolumns: {key: \"1\", amount: \"2\"}\n"
	mappingOf(t, good)
	for text, want := range map[string]string{
		"format: csv\ncurrency: XOF\ncolumns: {key: \"1\", amount: \"2\"}\n": "time_zone: must be named",
		"format: xls\n":       "mapping.yaml:1: format: must be csv, gsma, cgrates or camt053",
		good + "colums: {}\n": "colums",
		strings.Replace(good, "UTC", "Mars/Olympus", 1): "mapping.yaml:2: time_zone: must name a time zone",
		strings.Replace(good, "XOF", "XXX", 1):          "mapping.yaml:3: currency",
		good + "delimiter: \";;\"\n":                    "mapping.yaml:5: delimiter",
		strings.Replace(good, `"2"`, "sum", 1):          "mapping.yaml:4: columns.amount: must be a number",
		good + "kinds: {a: b}\n":                        `no kind is called "b"`,
		good + "file: \"(\"\n":                          "mapping.yaml:5: file",
	} {
		if _, err := reconcile.ParseMapping("mapping.yaml", []byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

func TestTransactionsAreRead(t *testing.T) {
	keys := keyring(t)
	id := purchase.MakeID(3, 99)
	ref := string(keys.Reference(id))
	text := `[
 {"transactionReference":"W1","requestingOrganisationTransactionReference":"` + ref + `","type":"merchantpay","transactionStatus":"reversed","amount":"1050","currency":"XOF",
  "debitParty":[{"key":"msisdn","value":"+22670112233"}],"creditParty":[{"key":"organisationid","value":"tenu"}],"creationDate":"2026-07-09T13:45:00Z"},
 {"transactionReference":"W2","type":"merchantpay","transactionStatus":"failed","amount":"x","currency":"XOF"},
 {"transactionReference":"W3","type":"transfer","transactionStatus":"completed","amount":"5","currency":"XOF"},
 {"transactionReference":"W4","requestingOrganisationTransactionReference":"` + ref + `","originalTransactionReference":"W1","type":"reversal","transactionStatus":"completed","amount":"1050","currency":"XOF",
  "creditParty":[{"key":"msisdn","value":"+22670112233"}],"creationDate":"2026-07-09T13:46:00Z","modificationDate":"2026-07-09T13:47:00Z"},
 {"transactionReference":"W5","originalTransactionReference":"W1","type":"reversal","transactionStatus":"completed","amount":"1050","currency":"XOF",
  "creditParty":[{"key":"msisdn","value":"+22670112233"}],"creationDate":"2026-07-09T13:48:00Z"}
]`
	lines, _, err := readAll(builtIn(t, "gsma"), keys, []byte(text))
	if err != nil || len(lines) != 3 {
		t.Fatalf("%+v, %v", lines, err)
	}
	if l := lines[0]; l.Kind != reconcile.KindCharge || l.Purchase != id || l.Leg != purchase.Charge || l.Number != 22670112233 || l.Ref != "W1" {
		t.Errorf("charge %+v", l)
	}
	if l := lines[1]; l.Kind != reconcile.KindRefund || l.Purchase != id || l.Leg != purchase.Refund || l.At != july.Add(13*time.Hour+47*time.Minute) {
		t.Errorf("refund %+v", l)
	}
	if l := lines[2]; l.Kind != reconcile.KindUndone || l.Original != "W1" || l.Purchase != 0 {
		t.Errorf("undone %+v", l)
	}
	for text, want := range map[string]string{
		`[{"type":"merchantpay","transactionStatus":"completed","amount":"1.5","currency":"XOF"}]`: "file:1:2: entry 1: not an amount of XOF",
		"[\n\n  {\"type\": 5}]": "file:3:",
		`[{"type":"x"}`:         "it is cut",
		`[{"type":"x"}] []`:     "something follows the list",
		`{"other":[]}`:          "the object holds none of",
		`{"error":"SERVER"}`:    "the partner answered with an error",
		`7`:                     "neither an array nor an object",
		``:                      "it is cut",
	} {
		if _, _, err := readAll(builtIn(t, "gsma"), keys, []byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
	if lines, _, err := readAll(builtIn(t, "gsma"), keys, []byte("[]")); err != nil || len(lines) != 0 {
		t.Errorf("an empty list: %v", err)
	}
}

func TestRefillsAreRead(t *testing.T) {
	keys := keyring(t)
	id := purchase.MakeID(0, 5)
	text := "HDR|ocs|20260709T00:00:00+0000|20260710T00:00:00+0000\n" +
		"originTransactionID|transactionID|transactionType|subscriberNumber|transactionAmount|transactionCurrency|externalData2|responseCode|originTimeStamp\n" +
		keys.Key(id, purchase.Credit).Digits() + "|C1|Refill|70112233|1050|XOF|airtime|0|20260709T13:45:00+0000\n" +
		"x|C2|Refill|70112233|50|XOF||126|20260709T13:46:00+0000\n" +
		"TRL|2|1100\n"
	lines, head, err := readAll(builtIn(t, "ucip"), keys, []byte(text))
	if err != nil || len(lines) != 1 {
		t.Fatalf("%+v, %v", lines, err)
	}
	if l := lines[0]; l.Purchase != id || l.Kind != reconcile.KindCredit || l.Number != 22670112233 || l.Product != "airtime" || head.Partner != "ocs" {
		t.Errorf("%+v of %+v", l, head)
	}
}

const camt = `<?xml version="1.0" encoding="UTF-8"?>
<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"><BkToCstmrStmt><GrpHdr><MsgId>M1</MsgId><CreDtTm>2026-07-10T06:00:00Z</CreDtTm></GrpHdr>
<Stmt><Id>S1</Id><FrToDt><FrDtTm>2026-07-09T00:00:00Z</FrDtTm><ToDtTm>2026-07-09T23:59:59Z</ToDtTm></FrToDt>
<Acct><Id><Othr><Id>0011223344</Id></Othr></Id><Ccy>XOF</Ccy></Acct>
<Bal><Tp><CdOrPrtry><Cd>OPBD</Cd></CdOrPrtry></Tp><Amt Ccy="XOF">1000</Amt><CdtDbtInd>CRDT</CdtDbtInd><Dt><Dt>2026-07-09</Dt></Dt></Bal>
<Bal><Tp><CdOrPrtry><Cd>CLBD</Cd></CdOrPrtry></Tp><Amt Ccy="XOF">CLOSING</Amt><CdtDbtInd>CRDT</CdtDbtInd><Dt><Dt>2026-07-09</Dt></Dt></Bal>
<TxsSummry><TtlNtries><NbOfNtries>COUNT</NbOfNtries><Sum>800</Sum></TtlNtries></TxsSummry>
<Ntry><NtryRef>1</NtryRef><Amt Ccy="XOF">500</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts><Cd>BOOK</Cd></Sts><BookgDt><Dt>2026-07-09</Dt></BookgDt><AcctSvcrRef>B1</AcctSvcrRef>
<NtryDtls><TxDtls><Refs><EndToEndId>SETTLE-1</EndToEndId></Refs></TxDtls></NtryDtls></Ntry>
<Ntry><NtryRef>2</NtryRef><Amt Ccy="XOF">300</Amt><CdtDbtInd>DBIT</CdtDbtInd><Sts>BOOK</Sts><BookgDt><DtTm>2026-07-09T10:00:00Z</DtTm></BookgDt><AcctSvcrRef>B2</AcctSvcrRef></Ntry>
</Stmt></BkToCstmrStmt></Document>
`

func camtText(closing, count string) []byte {
	return []byte(strings.NewReplacer("CLOSING", closing, "COUNT", count).Replace(camt))
}

func TestAccountIsRead(t *testing.T) {
	m := mappingOf(t, "format: camt053\ncurrency: XOF\n")
	lines, head, err := readAll(m, keyring(t), camtText("1200", "2"))
	if err != nil || len(lines) != 2 {
		t.Fatalf("%+v, %v", lines, err)
	}
	if head.From != july || head.To != july.Add(24*time.Hour) {
		t.Errorf("period %s to %s", head.From, head.To)
	}
	if lines[0].Amount.Minor != 500 || lines[1].Amount.Minor != -300 || lines[0].Ref != "B1" || lines[0].Key != "SETTLE-1" || lines[0].Kind != reconcile.KindSettlement {
		t.Errorf("%+v", lines)
	}
	for name, c := range map[string]struct {
		text []byte
		want string
	}{
		"another balance": {camtText("1201", "2"), "the entries do not lead from the opening balance to the closing one"},
		"another count":   {camtText("1200", "3"), "the summary says 3 entries, and 2 were read"},
		"cut":             {camtText("1200", "2")[:900], "it is cut"},
		"an entity":       {[]byte(`<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "b">]><Document/>`), "declarations are not read"},
		"another message": {[]byte(`<html/>`), "the document is not an ISO 20022 message"},
		"nothing":         {[]byte(`<Document/>`), "no statement of an account"},
		"deep":            {[]byte("<Document>" + strings.Repeat("<a>", 100)), "elements nest too deep"},
	} {
		_, _, err := readAll(m, keyring(t), c.text)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
}

// Wrong partner, period, or a line that stands twice: nothing of it is kept.
func TestStatementsAreRefused(t *testing.T) {
	line := `W1,,charge,22670112233,1050,XOF,,,2026-07-09T13:45:00Z`
	text := day("total,XOF,1,1050", line)
	for name, c := range map[string]struct {
		text string
		want reconcile.Want
		say  string
	}{
		"another partner": {text, reconcile.Want{Partner: "ocs"}, `it is of "wallet", and not of "ocs"`},
		"another period":  {text, reconcile.Want{Partner: "wallet", From: july.Add(time.Hour)}, "its period begins at 2026-07-09T00:00:00.000000Z, and not at"},
		"not over":        {text, reconcile.Want{Partner: "wallet", Now: july.Add(time.Hour)}, "which is not over"},
		"a time outside":  {day("total,XOF,1,1050", strings.Replace(line, "07-09", "07-11", 1)), reconcile.Want{Partner: "wallet"}, "file:3: the line's time, 2026-07-11T13:45:00.000000Z, is not in the period"},
		"a line twice":    {day("total,XOF,2,2100", line, line), reconcile.Want{Partner: "wallet"}, "file:4: the line says again what line 3 says: one movement stands twice"},
		"undoes what":     {day("total,XOF,1,1050", strings.Replace(line, "charge", "undo", 1)), reconcile.Want{Partner: "wallet"}, "file:3: the line takes a movement back and does not say which"},
		"a year":          {strings.Replace(text, "2026-07-10", "2027-07-10", 1), reconcile.Want{Partner: "wallet"}, "the period is longer than 32 days"},
	} {
		checked, err := reconcile.Check(t.Context(), "file", strings.NewReader(c.text), builtIn(t, "sandbox"), keyring(t), c.want, t.TempDir(), nil)
		if err == nil {
			_ = checked.Close()
		}
		if err == nil || !strings.Contains(err.Error(), c.say) {
			t.Errorf("%s: %v, want %s", name, err, c.say)
		}
	}
	checked, err := reconcile.Check(t.Context(), "file", strings.NewReader(text), builtIn(t, "sandbox"), keyring(t),
		reconcile.Want{Partner: "wallet", Now: july.Add(time.Hour), Partial: true}, t.TempDir(), nil)
	if err != nil || !checked.Partial || checked.Lines != 1 {
		t.Errorf("a partial one: %v", err)
	} else {
		_ = checked.Close()
	}
}
