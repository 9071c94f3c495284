package sale

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"tenu/internal/catalogue"
	"tenu/internal/money"
	"tenu/internal/notify/gsm7"
	"tenu/internal/purchase"
)

var update = flag.Bool("update", false, "write docs/error-codes.md")

const page = "../../docs/error-codes.md"

func testDesk(t testing.TB) *Desk {
	t.Helper()
	book, err := loadBook()
	if err != nil {
		t.Fatal(err)
	}
	return &Desk{book: book, cfg: Config{Reference: func(purchase.ID) purchase.Reference { return "K7M2Q4XD9T" }}}
}

// example is a problem of a code, with the longest values that its message may hold.
func (d *Desk) example(k *kind) *Problem {
	p := d.problem(errors.New("example"), k.field)
	p.Code, p.value = k.code, k.value
	p.Limit = money.Amount{Minor: catalogue.MaxMajor, Currency: money.XOF}
	p.Earlier = "K7M2Q4XD9T"
	return p
}

// USSD and SMS show the messages too.
func TestMessagesFitAnSMS(t *testing.T) {
	d := testDesk(t)
	for i := range kinds {
		for _, language := range d.book.Languages() {
			text := d.example(&kinds[i]).Message(language)
			if n, err := gsm7.Septets(text); err != nil || n > gsm7.MaxSeptets || n < 15 {
				t.Errorf("%s in %s: %d septets, %v: %s", kinds[i].code, language, n, err, text)
			}
		}
	}
}

func TestEveryCauseHasItsOwnCode(t *testing.T) {
	d := testDesk(t)
	seen := map[Code]bool{}
	for i := range kinds {
		k := &kinds[i]
		if seen[k.code] {
			t.Errorf("%s is listed twice", k.code)
		}
		seen[k.code] = true
		for _, cause := range k.causes {
			if p := d.problem(fmt.Errorf("while testing: %w", cause), "number"); p.Code != k.code || p.Status != k.status {
				t.Errorf("%v becomes %s, want %s", cause, p.Code, k.code)
			}
		}
	}
	for _, c := range []struct {
		err  error
		want Code
	}{
		{&purchase.RepeatError{Earlier: 1}, CodeAskFirst},
		{&purchase.PausedError{Partner: "ocs"}, CodePaused},
		{errors.New("anything else"), CodeInternal},
	} {
		if p := d.problem(fmt.Errorf("while testing: %w", c.err), ""); p.Code != c.want {
			t.Errorf("%v becomes %s, want %s", c.err, p.Code, c.want)
		}
	}
}

func TestErrorCodesPage(t *testing.T) {
	want := []byte(errorCodes(testDesk(t)))
	if *update {
		if err := os.WriteFile(page, want, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(page)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s is not what the code says (%v); write it with: go test ./internal/sale -update", page, err)
	}
}

// reasons says when a payer's or provider's refusal has each standard reason.
var reasons = []struct {
	reason purchase.Reason
	when   string
}{
	{purchase.ReasonFunds, "The account holds less than the amount."},
	{purchase.ReasonLimit, "The account's limit for a payment, a day or a balance is reached."},
	{purchase.ReasonNotApproved, "The customer did not approve the payment, or not in time."},
	{purchase.ReasonUnknownLine, "The partner does not know the number."},
	{purchase.ReasonBarredLine, "The partner has barred or suspended the account."},
	{purchase.ReasonProduct, "The partner does not allow this product for this account."},
	{purchase.ReasonClosed, "The partner is not working at the moment, and said so."},
	{purchase.ReasonOther, "Any other refusal; the evidence holds the partner's own code."},
}

func errorCodes(d *Desk) string {
	var b strings.Builder
	b.WriteString(`# Error codes

Generated from internal/sale/problem.go; ` + "`go generate ./internal/sale`" + ` writes it again.

## Problems

Why something was not done, on every channel. Programs branch on the code, which
never changes its meaning; customers read the message, in their language. Unless a
code says otherwise, nothing was written and nothing was charged. What concerns
the HTTP interface alone (keys, bodies, addresses) is listed on the API's own page.

| code | HTTP | when | French | English |
| --- | --- | --- | --- | --- |
`)
	for i := range kinds {
		k := &kinds[i]
		p := d.example(k)
		p.Limit.Minor = 1050
		fmt.Fprintf(&b, "| `%s` | %d | %s | %s | %s |\n", k.code, k.status, k.when, p.Message("fr"), p.Message("en"))
	}
	b.WriteString(`
## Reasons

Why a partner refused a leg: one list for all partners, to which each adapter maps
its partner's own codes. Customers read the reason of a declined payment.

| reason | when |
| --- | --- |
`)
	for _, r := range reasons {
		fmt.Fprintf(&b, "| `%s` | %s |\n", r.reason, r.when)
	}
	return b.String()
}
