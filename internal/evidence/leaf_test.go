package evidence_test

import (
	"testing"

	"tenu/internal/evidence"
	"tenu/internal/ledger"
	"tenu/internal/money"
	"tenu/internal/purchase"
)

// ordinary is the change of a purchase that was credited.
func ordinary() purchase.Change {
	at := purchase.Instant(1_764_394_200_000_000)
	total, price := money.Amount{Minor: 1050, Currency: money.XOF}, money.Amount{Minor: 1000, Currency: money.XOF}
	return purchase.Change{At: at + 500_000, Now: purchase.Purchase{ID: 1 << 40, Version: 3, State: purchase.Credited, CreatedAt: at, ChargedAt: at + 250_000,
		ClosedAt: at + 500_000, DeliverBy: at + 60_250_000, ResolveBy: at + 86_400_250_000, Charged: total, Salt: [16]byte{1},
		Request: purchase.Request{PayerNumber: 22670112233, Recipient: 22670112233, Payer: "moov money", Provider: "ocs", Product: "airtime", Channel: "app",
			Offer: 1, Total: 1050, Fee: 50, Units: 1000, Currency: money.XOF}},
		Evidence: &purchase.Evidence{Version: 3, Leg: purchase.Credit, Source: purchase.FromAnswer, Partner: "ocs", At: at + 500_000,
			Outcome: purchase.Outcome{Kind: purchase.Done, Ref: "0122670112233", Amount: price, Detail: "for 22670112233"}},
		Postings: []purchase.Posting{{Leg: purchase.Credit, Effect: purchase.EffectPrincipal, At: at + 500_000,
			Posting: ledger.Posting{Debit: ledger.Held, Credit: ledger.Delivered("ocs"), Amount: price}}},
		Notices: []purchase.Notice{{Fact: purchase.FactCredited, To: 22670112233, Text: "Credite au 70 11 22 33", At: at + 500_000}}}
}

// A leaf is what docs/EVIDENCE.md says.
func TestLeafOfAPurchase(t *testing.T) {
	c := ordinary()
	leaf, rest, err := evidence.NextLeaf(evidence.AppendPurchase(nil, &c))
	if err != nil || len(rest) > 0 {
		t.Fatalf("%d bytes follow: %v", len(rest), err)
	}
	want := "p 1099511627776 3 1764394200500000 500000\n" +
		"s credited ocs 1050 0 XOF 250000 500000 60250000 86400250000 - d\n" +
		"e credit answer done 1000 XOF ocs -\n" +
		"b credit principal held delivered/ocs 1000 XOF\n" +
		"n credited\n"
	if string(leaf) != want {
		t.Errorf("the leaf is\n%s, not\n%s", leaf, want)
	}
	c.Now.Version, c.Evidence, c.Postings, c.Notices = 1, nil, nil, nil
	leaf, _, err = evidence.NextLeaf(evidence.AppendPurchase(nil, &c))
	want = "p 1099511627776 1 1764394200500000 500000\n" +
		"t 1050 50 1000 XOF moov%20money airtime app 1\n" +
		"h kZbFEFeq10fQT51CYnEHKnyVpf9TXvZnNZ4R62gmsgw\n" +
		"s credited ocs 1050 0 XOF 250000 500000 60250000 86400250000 - d\n"
	if err != nil || string(leaf) != want {
		t.Errorf("the first leaf is\n%s, not\n%s", leaf, want)
	}
}

// Whatever is in a text, it is one word.
func TestWordsAreWords(t *testing.T) {
	for text, want := range map[string]string{"": "-", "-": "%2D", "a b": "a%20b", "é": "%C3%A9", "100%": "100%25", "\xff\x00": "%EF%BF%BD%EF%BF%BD", "a\nb": "a%0Ab"} {
		if got := string(evidence.NewLine(nil, 's').Word(text).End()); got != "s "+want+"\n" {
			t.Errorf("%q is written %q", text, got)
		}
	}
}

// Encoding a leaf makes no garbage: a batch's memory serves the next.
func BenchmarkAppendPurchase(b *testing.B) {
	c := ordinary()
	bundle := make([]byte, 0, 1<<16)
	b.ReportAllocs()
	for b.Loop() {
		bundle = evidence.AppendPurchase(bundle[:0], &c)
	}
	b.SetBytes(int64(len(bundle)))
}
