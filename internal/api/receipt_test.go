package api_test

import (
	"crypto/rand"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"tenu/internal/api"
	"tenu/internal/auth"
	"tenu/internal/receipt"
)

// The receipt over the API is the one that verifies, the payer's client's alone, and only
// once there is one.
func TestReceipt(t *testing.T) {
	secret, _, err := receipt.NewKey(rand.Reader, "tenu.example")
	if err != nil {
		t.Fatal(err)
	}
	issuer := must[*receipt.Issuer](t)(receipt.NewIssuer(secret, "https://app.tenu.example/receipts"))
	gate := make(chan struct{}, 1)
	gate <- struct{}{} // the wallet charges once, and is silent then
	r := start(t, func(r *rig, _ []auth.Client) { r.receipts, r.wallet.gate = issuer, gate })
	path := "/v1/purchases/" + r.do("POST", "/v1/purchases", airtime, "Prefer: wait=20").purchase(t).Reference + "/receipt"
	for _, shared := range []bool{false, true} {
		query := map[bool]string{true: "?shared=true"}[shared]
		a := r.do("GET", path+query, "")
		var got api.Receipt
		if err := json.Unmarshal(a.body, &got); err != nil || a.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s: %v", a.Status, a.body, err)
		}
		x, err := receipt.Open([]byte(got.Text), issuer.Keys())
		if err != nil || x.Sequence != got.Sequence || x.Charged.Minor != 1050 || got.Charged != (api.Amount{Minor: 1050, Currency: "XOF"}) || x.Outcome != receipt.Credited ||
			got.Outcome != "credited" || got.At == nil || got.ChargedAt == nil || got.ResolveBy == nil || x.HasSalt == shared {
			t.Errorf("%s: %+v, %v", a.body, x, err)
		}
		if linked, err := receipt.Unwrap([]byte(got.Link)); err != nil || string(linked) != got.Text {
			t.Errorf("the link holds %q, %v", linked, err)
		}
		if n, err := x.Opens(22670112233); !shared && (err != nil || !n.Payer || !n.Recipient) {
			t.Errorf("its number is %+v, %v", n, err)
		}
	}
	if p := r.do("GET", path, "", "Authorization: Bearer "+r.other).problem(t); p.Code != api.CodePurchase {
		t.Errorf("another client gets %+v", p)
	}
	asked := r.do("POST", "/v1/purchases", strings.Replace(airtime, "}", `,"again":true}`, 1)).purchase(t)
	if p := r.do("GET", "/v1/purchases/"+asked.Reference+"/receipt", "").problem(t); p.Code != api.CodeReceipt {
		t.Errorf("a purchase that is not charged has %+v", p)
	}
	if p := start(t, nil).do("GET", path, "").problem(t); p.Code != api.CodePurchase {
		t.Errorf("nobody's purchase has %+v", p)
	}
}
