package reconcile_test

import (
	"bytes"
	"errors"
	"testing"

	"tenu/internal/fuzztest"
	"tenu/internal/purchase"
	"tenu/internal/reconcile"
)

// fuzzReader checks what each reader keeps to, whatever it is given.
func fuzzReader(f *testing.F, mapping string, seeds ...string) {
	m := builtIn(f, mapping)
	if mapping == "camt053" {
		m = mappingOf(f, "format: camt053\ncurrency: XOF\n")
	}
	keys := keyring(f)
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if len(text) > 1<<16 {
			return
		}
		fuzztest.Within(t, 8<<20+600*len(text), func() {
			lines, _, err := readAll(m, keys, text)
			var fault *reconcile.Fault
			if err != nil && !errors.As(err, &fault) {
				t.Errorf("refused without a place: %v", err)
			}
			for i := range lines {
				l := &lines[i]
				if l.Amount.Minor == 0 || l.Kind == 0 || l.Place < 1 || reconcile.Formula(l.Ref) || reconcile.Formula(l.Key) || reconcile.Formula(l.Product) ||
					len(l.Ref) > reconcile.MaxText || bytes.IndexByte([]byte(l.Ref+l.Key+l.Product+l.Original), 0) >= 0 {
					t.Errorf("read %+v", l)
				}
			}
		})
	})
}

func FuzzTable(f *testing.F) {
	fuzzReader(f, "sandbox", day("total,XOF,1,1050", `W1,,charge,22670112233,1050,XOF,,,2026-07-09T13:45:00Z`),
		day("total,XOF,1,1050", `"W""1",,undo,22670112233,1050,XOF,,W0,2026-07-09T13:45:00Z`))
}

func FuzzRefills(f *testing.F) {
	fuzzReader(f, "ucip", "HDR|ocs|20260709T00:00:00+0000|20260710T00:00:00+0000\noriginTransactionID|transactionID|transactionType|subscriberNumber|transactionAmount|"+
		"transactionCurrency|externalData2|responseCode|originTimeStamp\nx|C2|Refill|70112233|50|XOF||0|20260709T13:46:00+0000\nTRL|1|50\n")
}

func FuzzTransactions(f *testing.F) {
	fuzzReader(f, "gsma", `[{"transactionReference":"W1","type":"merchantpay","transactionStatus":"completed","amount":"1050","currency":"XOF","creationDate":"2026-07-09T13:45:00Z"}]`)
}

func FuzzRecords(f *testing.F) {
	fuzzReader(f, "cgrates", `{"id":1,"result":[{"CGRID":"a","RunID":"*topup","ToR":"*monetary","OriginID":"b","Account":"22670112233","Cost":1050,
		"AnswerTime":"2026-07-09T13:45:00Z","ExtraFields":{"leg":"credit","currency":"XOF","price":"1050","outcome":"done"}}],"error":null}`)
}

func FuzzAccount(f *testing.F) { fuzzReader(f, "camt053", string(camtText("1200", "2"))) }

func FuzzMapping(f *testing.F) {
	f.Add([]byte("format: csv\ntime_zone: UTC\ncurrency: XOF\ncolumns: {key: \"1\", amount: \"2\"}\n"))
	f.Fuzz(func(_ *testing.T, text []byte) {
		if len(text) > 1<<12 {
			return
		}
		if m, err := reconcile.ParseMapping("m", text); err == nil && m.Format == reconcile.FormatCSV {
			_, _, _ = readAll(m, &purchase.Keyring{}, nil)
		}
	})
}
