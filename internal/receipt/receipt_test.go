package receipt

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"tenu/internal/fuzztest"
	"tenu/internal/money"
	"tenu/internal/purchase"
)

const reference = purchase.Reference("K7M2Q4XD9T")

// chance is a source of bytes that a seed repeats.
func chance(seed byte) *rand.ChaCha8 { return rand.NewChaCha8([32]byte{seed}) }

// signer is the issuer of a seed, and its secret.
func signer(t testing.TB, seed byte, known ...string) (*Issuer, string) {
	t.Helper()
	secret, public, err := NewKey(chance(seed), "tenu.example")
	if err != nil {
		t.Fatal(err)
	}
	i, err := NewIssuer(secret, "https://tenu.example/receipts", known...)
	if err != nil {
		t.Fatal(err)
	}
	if i.Keys()[0].Text != public {
		t.Fatalf("the public key of %s is read as %s", public, i.Keys()[0].Text)
	}
	return i, secret
}

// at is a second of the day.
func at(second int) purchase.Instant {
	return purchase.At(time.Date(2026, 7, 9, 13, 45, second, 678_901_000, time.UTC))
}

// sale is a purchase that a number paid for and another received, as it stands in a state.
func sale(state purchase.State, version int64) *purchase.Record {
	r := &purchase.Record{Purchase: purchase.Purchase{ID: purchase.MakeID(3, 1<<39), Version: version, State: state,
		Request: purchase.Request{PayerNumber: 22670112233, Recipient: 22676445566, Product: "airtime", Total: 1050, Fee: 50, Units: 1000, Currency: money.XOF},
		Salt:    [16]byte{9, 8, 7, 15: 1}, CreatedAt: at(1)}}
	p := &r.Purchase
	if state == purchase.Declined {
		p.ClosedAt = at(4)
		return r
	}
	p.Charged, p.ChargedAt, p.ResolveBy = money.Amount{Minor: 1050, Currency: money.XOF}, at(5), at(59)
	done := func(leg purchase.Leg, second int) {
		r.Evidence = append(r.Evidence, purchase.Evidence{Leg: leg, At: at(second), Outcome: purchase.Outcome{Kind: purchase.Done}})
	}
	done(purchase.Charge, 5)
	switch state {
	case purchase.Credited:
		done(purchase.Credit, 6)
	case purchase.Refunding:
		p.RefundBy = at(30)
	case purchase.Refunded:
		done(purchase.Refund, 9)
	default:
	}
	return r
}

// issue is a receipt of a record.
func issue(t testing.TB, i *Issuer, r *purchase.Record, open bool) (Receipt, []byte) {
	t.Helper()
	x, signed, err := i.Issue(r, reference, open)
	if err != nil {
		t.Fatal(err)
	}
	return x, signed
}

// The text, to the byte: what others write programs for must not change by accident.
func TestText(t *testing.T) {
	i, _ := signer(t, 1)
	_, signed := issue(t, i, sale(purchase.Credited, 3), true)
	want := `tenu receipt v1
issuer tenu.example+` + i.id[len("tenu.example+"):] + `
reference K7M2-Q4XD-9T
entry 3848290697216
sequence 3
product airtime
units 1000 XOF
charged 1050 XOF
fee 50 XOF
recipient kVLYfo/ibG7SugzxzmEpdkjKAnsuCP8WRfUmaQ1mVmA
payer 8KVnozVs+AWf5WyWhSdgU75srigwbX9eEV6hOtxynL8
salt CQgHAAAAAAAAAAAAAAAAAQ
charged-at 2026-07-09T13:45:05Z
resolve-by 2026-07-09T13:45:59Z
outcome credited 2026-07-09T13:45:06Z

— tenu.example `
	if got := string(signed); !strings.HasPrefix(got, want) {
		t.Errorf("the receipt is\n%s\nand should begin\n%s", got, want)
	}
}

// Every state's receipt says what it should, is read back as it was written, and is
// accepted by the reference implementation of signed notes.
func TestOutcomes(t *testing.T) {
	i, _ := signer(t, 1)
	verifiers := note.VerifierList(i.Keys()[0].Verifier)
	for state, want := range map[purchase.State]string{purchase.Crediting: "pending", purchase.Credited: "credited 2026-07-09T13:45:06Z",
		purchase.Refunding: "refunding 2026-07-09T13:45:30Z", purchase.Refunded: "refunded 2026-07-09T13:45:09Z", purchase.Declined: "declined 2026-07-09T13:45:04Z"} {
		for _, open := range []bool{true, false} {
			x, signed := issue(t, i, sale(state, 2), open)
			if !strings.Contains(string(signed), "\noutcome "+want+"\n") || bytes.Contains(signed, []byte("\nsalt ")) != open {
				t.Errorf("%s:\n%s", state, signed)
			}
			read, err := Open(signed, i.Keys())
			if err != nil || read != x {
				t.Errorf("%s: read as %+v, %v; written as %+v", state, read, err, x)
			}
			if _, err := note.Open(signed, verifiers); err != nil {
				t.Errorf("%s: %v", state, err)
			}
			link := Link("https://app.tenu.example/receipts", signed)
			for _, given := range []string{string(signed), link, link + "\n", link[strings.Index(link, "#")+1:]} {
				if got, err := Unwrap([]byte(given)); err != nil || !bytes.Equal(got, signed) {
					t.Errorf("%s: unwrapped as %q, %v", state, got, err)
				}
			}
			if len(link) > 900 {
				t.Errorf("%s: the link has %d bytes, too long for a code that a phone reads from a screen", state, len(link))
			}
		}
	}
	own := sale(purchase.Credited, 3)
	own.Purchase.PayerNumber = own.Purchase.Recipient
	if _, signed := issue(t, i, own, true); bytes.Contains(signed, []byte("\npayer ")) {
		t.Errorf("who pays for himself is named twice:\n%s", signed)
	}
	erased := sale(purchase.Credited, 3)
	erased.Purchase.Salt = [16]byte{}
	for what, r := range map[string]*purchase.Record{"asking": sale(purchase.Charging, 1), "erased": erased} {
		if _, _, err := i.Issue(r, reference, true); !errors.Is(err, ErrNone) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// One flipped bit, anywhere in a receipt or in its address, is refused. All bits are tried.
func TestFlippedBit(t *testing.T) {
	i, _ := signer(t, 1)
	_, signed := issue(t, i, sale(purchase.Credited, 3), true)
	reasons := map[Reason]int{}
	for bit := range len(signed) * 8 {
		bad := bytes.Clone(signed)
		bad[bit/8] ^= 1 << (bit % 8)
		_, err := Open(bad, i.Keys())
		var refusal *Refusal
		if !errors.As(err, &refusal) {
			t.Fatalf("with bit %d flipped: %v\n%s", bit, err, bad)
		}
		reasons[refusal.Reason]++
	}
	if reasons[Malformed] == 0 || reasons[Forged] == 0 {
		t.Errorf("refused by %v", reasons)
	}
	link := []byte(Link("", signed))
	for bit := 8; bit < len(link)*8; bit++ {
		bad := bytes.Clone(link)
		bad[bit/8] ^= 1 << (bit % 8)
		text, err := Unwrap(bad[1:])
		if err == nil {
			_, err = Open(text, i.Keys())
		}
		if err == nil {
			t.Fatalf("with bit %d of the address flipped it is accepted: %s", bit, bad)
		}
	}
}

// What is forged, malformed or of an unknown key is refused for that reason, at that place.
func TestRefusals(t *testing.T) {
	i, _ := signer(t, 1)
	other, _ := signer(t, 2)
	_, signed := issue(t, i, sale(purchase.Credited, 3), true)
	_, foreign := issue(t, other, sale(purchase.Credited, 3), true)
	own := string(signed)
	swap := func(old, to string) string { return strings.Replace(own, old, to, 1) }
	for what, tc := range map[string]struct {
		text string
		want Refusal
	}{
		"nothing":            {"", Refusal{Reason: Malformed, Line: 1}},
		"another text":       {"hello\n\n— tenu.example AAAA\n", Refusal{Reason: Malformed, Line: 1}},
		"a larger amount":    {swap("charged 1050", "charged 9050"), Refusal{Reason: Forged, Line: 17}},
		"another outcome":    {swap("outcome credited", "outcome refunded"), Refusal{Reason: Forged, Line: 17}},
		"no salt":            {swap("salt CQgHAAAAAAAAAAAAAAAAAQ\n", ""), Refusal{Reason: Forged, Line: 16}},
		"a leading zero":     {swap("charged 1050", "charged 01050"), Refusal{Reason: Malformed, Line: 8}},
		"lines swapped":      {swap("units 1000 XOF\ncharged 1050 XOF", "charged 1050 XOF\nunits 1000 XOF"), Refusal{Reason: Malformed, Line: 7}},
		"a line too many":    {swap("\n\n—", "\nnote paid\n\n—"), Refusal{Reason: Malformed, Line: 16}},
		"Windows lines":      {strings.ReplaceAll(own, "\n", "\r\n"), Refusal{Reason: Malformed, Line: 1}},
		"no signature":       {own[:strings.Index(own, "\n\n")+1], Refusal{Reason: Malformed, Line: 17}},
		"two signatures":     {own + own[strings.Index(own, "—"):], Refusal{Reason: Malformed, Line: 17}},
		"a day of no month":  {swap("resolve-by 2026-07-09", "resolve-by 2026-02-30"), Refusal{Reason: Malformed, Line: 14}},
		"declined, yet paid": {swap("outcome credited", "outcome declined"), Refusal{Reason: Malformed, Line: 15}},
		"another key":        {string(foreign), Refusal{Reason: UnknownKey, Line: 2}},
		"of another key":     {own[:strings.Index(own, "—")] + string(foreign[bytes.Index(foreign, []byte("—")):]), Refusal{Reason: Malformed, Line: 17}},
		"too long":           {own + strings.Repeat("x", MaxReceipt), Refusal{Reason: Malformed}},
	} {
		_, err := Open([]byte(tc.text), i.Keys())
		var got *Refusal
		if !errors.As(err, &got) || got.Reason != tc.want.Reason || got.Line != tc.want.Line {
			t.Errorf("%s: %v; want %s in line %d", what, err, tc.want.Reason, tc.want.Line)
		}
	}
	for _, link := range []string{"https://tenu.example/receipts", "https://tenu.example/receipts#AA=", "AA?A"} {
		if _, err := Unwrap([]byte(link)); err == nil {
			t.Errorf("%s holds a receipt", link)
		}
	}
}

// An older receipt of a purchase is genuine, and known to be older.
func TestStale(t *testing.T) {
	i, _ := signer(t, 1)
	promise, _ := issue(t, i, sale(purchase.Crediting, 2), true)
	outcome, _ := issue(t, i, sale(purchase.Credited, 3), false)
	if !promise.OlderThan(&outcome) || outcome.OlderThan(&promise) || outcome.OlderThan(&outcome) {
		t.Error("which of two receipts is older is mistaken")
	}
	another := sale(purchase.Credited, 9)
	another.Purchase.ID++
	if x, _ := issue(t, i, another, true); promise.OlderThan(&x) {
		t.Error("a receipt is older than one of another purchase")
	}
}

func TestOpens(t *testing.T) {
	i, _ := signer(t, 1)
	x, _ := issue(t, i, sale(purchase.Credited, 3), true)
	shared, _ := issue(t, i, sale(purchase.Credited, 3), false)
	for number, want := range map[purchase.MSISDN]Numbers{22670112233: {Payer: true}, 22676445566: {Recipient: true}} {
		if got, err := x.Opens(number); err != nil || got != want {
			t.Errorf("%d: %+v, %v", number, got, err)
		}
	}
	var refusal *Refusal
	if _, err := x.Opens(22670112234); !errors.As(err, &refusal) || refusal.Reason != OtherNumber {
		t.Errorf("another number: %v", err)
	} else {
		fuzztest.NoNumber(t, err.Error())
	}
	if _, err := shared.Opens(22670112233); !errors.As(err, &refusal) || refusal.Reason != NoSalt {
		t.Errorf("without a salt: %v", err)
	}
}

// After a rotation the new key signs and what the old one signed is still known.
func TestRotation(t *testing.T) {
	old, oldSecret := signer(t, 1)
	now, _ := signer(t, 2, old.Keys()[0].Text)
	_, before := issue(t, old, sale(purchase.Crediting, 2), true)
	_, after := issue(t, now, sale(purchase.Credited, 3), true)
	for _, signed := range [][]byte{before, after} {
		if _, err := Open(signed, now.Keys()); err != nil {
			t.Error(err)
		}
	}
	if _, err := Open(after, old.Keys()); err == nil {
		t.Error("who knows only the old key accepts the new one's receipts")
	}
	if trust, err := ParseTrust(string(now.KeysText(""))); err != nil || len(trust.Keys) != 2 || trust.Keys[1].Text != old.Keys()[0].Text {
		t.Errorf("the keys are read as %v, %v", trust, err)
	}
	for _, bad := range []string{"", "PRIVATE+KEY", oldSecret[:len(oldSecret)-1], old.Keys()[0].Text} {
		if _, err := NewIssuer(bad, "https://tenu.example/receipts"); err == nil || bad != "" && strings.Contains(err.Error(), bad) {
			t.Errorf("a bad secret: %v", err)
		}
	}
	for _, bad := range []string{"x", oldSecret, strings.Replace(old.Keys()[0].Text, "tenu.example", "other.example", 1)} {
		if _, err := NewIssuer(oldSecret, "https://tenu.example/receipts", bad); err == nil {
			t.Errorf("%q is taken for a known key", bad)
		}
	}
	for _, bad := range []string{"", "tenu.example", "javascript:1", "https://tenu.example/#a", "https://" + strings.Repeat("x", 200)} {
		if _, err := NewIssuer(oldSecret, bad); err == nil {
			t.Errorf("%q is taken for the address of a page", bad)
		}
	}
	for _, bad := range []string{"", "a b", "a+b", strings.Repeat("x", 65), "é"} {
		if _, _, err := NewKey(chance(1), bad); err == nil {
			t.Errorf("%q is taken for an issuer", bad)
		}
	}
}

// FuzzOpen: whatever is read is refused with a reason, or written as it was read.
func FuzzOpen(f *testing.F) {
	i, _ := signer(f, 1)
	for state := range 6 {
		if state == 0 {
			continue
		}
		_, signed, err := i.Issue(sale(purchase.State(state+1), 3), reference, state%2 == 0)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(signed)
		f.Add([]byte(Link("https://tenu.example/receipts", signed)))
	}
	f.Add([]byte("tenu receipt v1\nissuer a+00000000\n\n— a AAAA\n"))
	f.Add([]byte(fmt.Sprintf("%s\n\n%s", header, proofMark)))
	keys := i.Keys()
	f.Fuzz(func(t *testing.T, data []byte) {
		if file, proof := Split(data); len(proof) > 0 && !bytes.Equal(Join(file, proof), data) {
			t.Errorf("%q is split into %q and %q", data, file, proof)
		}
		signed, err := Unwrap(data)
		if err != nil {
			return
		}
		text, _, _ := strings.Cut(string(signed), "\n\n")
		if x, flaw := parse(text + "\n"); flaw == nil && x.text() != text+"\n" {
			t.Errorf("%q is read as %+v, which is %q", text, x, x.text())
		}
		_, err = Open(signed, keys)
		var refusal *Refusal
		if err != nil && (!errors.As(err, &refusal) || refusal.Reason == "" || refusal.Text == "" || len(refusal.Text) > 500) {
			t.Errorf("refused with %v", err)
		}
	})
}
