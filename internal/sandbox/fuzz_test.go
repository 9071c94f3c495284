package sandbox

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"tenu/internal/partner/ucip/xmlrpc"
)

// FuzzFault: no body switches on what cannot be.
func FuzzFault(f *testing.F) {
	f.Add(`{"operation":"charge","kind":"lose_reply","rate":0.2,"next":9,"skip":1,"delay_ms":50}`)
	f.Add(`{"operation":"*","kind":"not_found","account":"1"}`)
	f.Fuzz(func(t *testing.T, body string) {
		var fault Fault
		faults := NewFaults(1, testOffer)
		if decodeStrict(strings.NewReader(body), &fault) != nil {
			return
		}
		if _, err := faults.Add(fault); err != nil {
			return
		}
		for range 4 {
			for _, hit := range append(faults.Draw("charge", "1"), faults.Draw("query", "")...) {
				if hit.Delay() < 0 || hit.Delay() > maxFaultDelay || hit.Hits < 1 {
					t.Fatalf("%+v", hit)
				}
			}
		}
	})
}

// tell sends a request to a partner by hand, and returns what it answers.
func tell(t *testing.T, partner http.Handler, method, target, body string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body))
	if err != nil {
		return nil // no client can send it
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	partner.ServeHTTP(w, r)
	if w.Code >= http.StatusInternalServerError {
		t.Errorf("%s %s: %d %s", method, target, w.Code, w.Body)
	}
	return w
}

// sums checks that a book holds no movement and no account below zero, and
// returns the sum of its accounts by pocket.
func sums(t *testing.T, b *Book) map[string]int64 {
	t.Helper()
	sum := map[string]int64{}
	accounts, err := b.Accounts(context.Background(), "", 1000)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range accounts {
		if a.Balance < 0 && a.Number != "tenu" {
			t.Errorf("%s holds %d", a.Number, a.Balance)
		}
		sum[a.Pocket] += a.Balance
	}
	return sum
}

// FuzzWallet: whatever is asked is answered in JSON and breaks nothing, and
// money goes from one account to another, never from nowhere.
func FuzzWallet(f *testing.F) {
	b := newWalletBench(f, nil)
	const key = "0e3b4ec1-8a5a-4d3c-9b1f-2f3a4b5c6d7e"
	f.Add("POST", charges, chargeOf("22670112233", "1050"), key, "")
	f.Add("POST", charges, chargeOf("22670112233", "9223372036854775807"), key, "2026-01-01T00:00:00Z")
	f.Add("POST", "/transactions/MP1/reversals", `{"type":"reversal","amount":"1050","currency":"XOF"}`, key, "")
	f.Add("POST", charges, `{"amount":`+strings.Repeat("[", 20_000), key, "")
	f.Add("GET", "/responses/"+key, "", "", "")
	f.Add("GET", "/requeststates/-0000000-0001-8000-8000-000000000000", "", "", "")
	f.Add("GET", "/accounts/msisdn/%2B22670112233/transactions?limit=9223372036854775807&offset=-1", "", "", "")
	f.Add("GET", "/books/movements?after=9223372036854775807&limit=0", "", "", "")
	f.Fuzz(func(t *testing.T, method, target, body, key, date string) {
		if !strings.HasPrefix(target, "/") || strings.HasPrefix(target, "/faults") || strings.HasPrefix(target, "/statement") {
			return // these have targets of their own
		}
		w := tell(t, b.Wallet, method, target, body, "X-CorrelationID", key, "X-Date", date)
		if w == nil {
			return
		}
		if kind := w.Header().Get("Content-Type"); strings.HasPrefix(kind, "application/json") && !json.Valid(w.Body.Bytes()) {
			t.Errorf("%s %s is answered %s", method, target, w.Body)
		}
		if w.Code == http.StatusCreated {
			moved := read[walletTransaction](t, w.Body.String())
			if moved.Reference == "" || moved.Status != "completed" || strings.HasPrefix(moved.Amount, "-") {
				t.Errorf("%s: %s", body, w.Body)
			}
		}
		accounts, err := b.Book().Accounts(context.Background(), "", 1000)
		if err != nil {
			t.Fatal(err)
		}
		balance, opened := int64(0), int64(0)
		for _, a := range accounts {
			if a.Balance < 0 {
				t.Errorf("%s holds %d", a.Number, a.Balance)
			}
			balance += a.Balance
			switch phone, known := b.config.Phones[a.Number]; {
			case known:
				opened += phone.Balance
			case a.Number != b.config.Merchant:
				opened += b.config.Opening
			}
		}
		if balance != opened && len(accounts) < 1000 {
			t.Errorf("%s %s %s: the accounts hold %d, they were opened with %d", method, target, body, balance, opened)
		}
	})
}

// FuzzCharging: whatever is posted is answered with a document of the protocol,
// and no movement is below zero.
func FuzzCharging(f *testing.F) {
	b := newChargingBench(f, nil)
	members := func(more xmlrpc.Struct) xmlrpc.Struct {
		all := xmlrpc.Struct{"originNodeType": "EXT", "originHostName": "tenu", "originTransactionID": "1", "originTimeStamp": b.clock.Now().Time().Truncate(time.Second),
			"subscriberNumber": "22670112233", "subscriberNumberNAI": 1, "transactionCurrency": "XOF"}
		for name, value := range more {
			all[name] = value
		}
		return all
	}
	for method, more := range map[string]xmlrpc.Struct{
		"Refill": {"transactionAmount": "1000", "refillProfileID": "AIR", "requestRefillAccountBeforeFlag": true, "requestRefillAccountAfterFlag": true},
		"UpdateBalanceAndDate": {"dedicatedAccountUpdateInformation": []any{xmlrpc.Struct{"dedicatedAccountID": 21,
			"adjustmentAmountRelative": "-9223372036854775808"}}},
		"GetBalanceAndDate": {}, "GetAccountDetails": {"requestedInformationFlags": xmlrpc.Struct{"requestMasterAccountBalanceFlag": true}}, "GetCapabilities": {},
	} {
		body, err := xmlrpc.Call(method, members(more))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(body))
		f.Add(strings.ReplaceAll(string(body), "-9223372036854775808", "9223372036854775807"))
	}
	body, err := xmlrpc.Call("UpdateBalanceAndDate", members(xmlrpc.Struct{"adjustmentAmountRelative": "-9223372036854775808"}))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(body))
	f.Fuzz(func(t *testing.T, body string) {
		w := tell(t, b.Charging, http.MethodPost, "/Air", body)
		value, err := xmlrpc.ParseResponse(w.Body.Bytes())
		members, isStruct := value.(xmlrpc.Struct)
		if _, isFault := err.(*xmlrpc.Fault); !isFault && (err != nil || !isStruct || members["responseCode"] == nil) { //nolint:errorlint // returned as it is
			t.Errorf("%q is answered %s: %v", body, w.Body, err)
		}
		tallies, err := b.Book().Count(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		for _, each := range tallies {
			if each.Amount < 0 {
				t.Errorf("%q: moved %+v", body, each)
			}
		}
		sums(t, b.Book())
	})
}

// FuzzSMS: a message is kept as it was handed over, or refused.
func FuzzSMS(f *testing.F) {
	s, err := NewSMS(context.Background(), SMSConfig{Config: testConfig(f, newHandClock())})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = s.Close() })
	f.Add(`{"id":"1","to":"+22670112233","text":"C'est crédité"}`)
	f.Add(`{"id":"2","to":"22670112233","text":"\u0000\ud800","state":""}`)
	f.Add(`{"id":"1","id":"3","to":"+22670112233","text":"<script>"} {}`)
	f.Add(strings.Repeat("[", 9000))
	f.Fuzz(func(t *testing.T, body string) {
		w := tell(t, s, http.MethodPost, "/messages", body)
		if w.Code != http.StatusCreated {
			return
		}
		var sent Message
		if err := json.Unmarshal([]byte(body), &sent); err != nil {
			t.Fatalf("%q was taken: %v", body, err)
		}
		inbox := tell(t, s, http.MethodGet, "/messages?limit=1&to="+url.QueryEscape(sent.To), "")
		var kept []Message
		if err := json.Unmarshal(inbox.Body.Bytes(), &kept); err != nil || len(kept) != 1 || kept[0].ID != sent.ID || kept[0].Text != sent.Text ||
			strings.TrimPrefix(kept[0].To, "+") != strings.TrimPrefix(sent.To, "+") {
			t.Errorf("%q is kept as %s", body, inbox.Body)
		}
		tell(t, s, http.MethodGet, "/phone/"+url.PathEscape(strings.TrimPrefix(sent.To, "+")), "")
	})
}

// FuzzStatement: a statement of any period is whole, and its lines are those of
// the book with every text as it was.
func FuzzStatement(f *testing.F) {
	b := newWalletBench(f, nil)
	f.Add("from=2026-01-01T00:00:00Z&to=2026-12-31T23:59:59Z", "reference")
	f.Add("from=0000-01-01T00:00:00Z&to=9999-12-31T23:59:59-23:59", "\"a\",\nb")
	f.Add("from=2026-01-01T00:00:00Z;to=x", "=1+1")
	f.Fuzz(func(t *testing.T, query, product string) {
		now := b.clock.Now()
		m := Movement{Key: product, Leg: legCharge, Number: "22670112233", Amount: 1, Currency: "XOF", Product: product, Status: StatusDone, At: now, Moved: now}
		if err := b.Book().Do(context.Background(), func(p *Page) error { return p.AddMovement(&m) }); err != nil {
			t.Fatal(err)
		}
		tell(t, b.Wallet, http.MethodGet, "/statement?"+strings.ReplaceAll(query, "#", ""), "")
		var text strings.Builder
		if err := b.WriteStatement(context.Background(), &text, now, now+1); err != nil {
			t.Fatal(err)
		}
		table := csv.NewReader(strings.NewReader(text.String()))
		table.FieldsPerRecord = -1
		lines, err := table.ReadAll()
		if err != nil || len(lines) != 4 || lines[2][0] != m.Ref || lines[3][0] != "total" || lines[3][2] != "1" ||
			lines[2][6] != strings.ReplaceAll(product, "\r\n", "\n") {
			t.Errorf("%q is told as %q, %v", product, text.String(), err)
		}
		b.clock.forward(time.Second)
	})
}
