package ucip

import (
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"tenu/internal/money"
	"tenu/internal/partner"
	"tenu/internal/partner/ucip/xmlrpc"
	"tenu/internal/purchase"
	"tenu/internal/sandbox"
)

// scripted is an adapter before a server that answers every method with the
// members given for it, and our transaction unless they name another.
func scripted(t *testing.T, answers map[string]xmlrpc.Struct) *bench {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		method, params, err := xmlrpc.ParseCall(body)
		if err != nil {
			t.Errorf("unreadable call: %v", err)
			return
		}
		asked, _ := params[0].(xmlrpc.Struct)
		members := maps.Clone(answers[method])
		if _, named := members["originTransactionID"]; !named {
			members["originTransactionID"] = asked["originTransactionID"]
		} else if members["originTransactionID"] == nil {
			delete(members, "originTransactionID")
		}
		if body, err = xmlrpc.Response(members); err != nil {
			t.Errorf("%s: %v", method, err)
		}
		_, _ = w.Write(body)
	}))
	t.Cleanup(server.Close)
	transport := partner.Transport(4, time.Second, nil)
	t.Cleanup(transport.CloseIdleConnections)
	p, err := New(Config{Name: "air", URL: server.URL, HostName: "tenu", Currency: money.XOF, Profile: "AIR",
		Bundles: map[string]Bundle{"data": {Profile: "D", Account: 21, Value: 1024, Unit: "MB"}, "voice": {Profile: "V", Account: 22, Value: 30, Unit: "min"}}},
		transport, clock{}.Now)
	if err != nil {
		t.Fatal(err)
	}
	return &bench{Partner: p, t: t}
}

func before(main string, dedicated ...any) xmlrpc.Struct {
	return xmlrpc.Struct{"accountValue1": main, "dedicatedAccountInformation": append([]any{}, dedicated...)}
}

func da(id int, value string) xmlrpc.Struct {
	return xmlrpc.Struct{"dedicatedAccountID": id, "dedicatedAccountValue1": value}
}

func TestWhatProvesARefill(t *testing.T) {
	for name, c := range map[string]struct {
		answer xmlrpc.Struct
		want   purchase.Kind
	}{
		"all of it":         {xmlrpc.Struct{"accountBeforeRefill": before("0"), "accountAfterRefill": before("1000"), "currency1": "XOF"}, purchase.Done},
		"period exceeded":   {xmlrpc.Struct{"responseCode": 1, "accountBeforeRefill": before("0"), "accountAfterRefill": before("1000")}, purchase.Done},
		"a promotion too":   {xmlrpc.Struct{"accountBeforeRefill": before("0", da(22, "0")), "accountAfterRefill": before("1000", da(22, "5"))}, purchase.Done},
		"no account":        {xmlrpc.Struct{}, purchase.Unknown},
		"no account before": {xmlrpc.Struct{"accountAfterRefill": before("1000")}, purchase.Unknown},
		"nothing moved":     {xmlrpc.Struct{"accountBeforeRefill": before("1000"), "accountAfterRefill": before("1000")}, purchase.Unknown},
		"it shrank":         {xmlrpc.Struct{"accountBeforeRefill": before("1000"), "accountAfterRefill": before("0")}, purchase.Unknown},
		"no figure":         {xmlrpc.Struct{"accountBeforeRefill": before("-"), "accountAfterRefill": before("1000")}, purchase.Unknown},
		"long figure":       {xmlrpc.Struct{"accountBeforeRefill": before("0"), "accountAfterRefill": before("1000000000000000000000")}, purchase.Unknown},
		"other transaction": {xmlrpc.Struct{"originTransactionID": "1", "accountBeforeRefill": before("0"), "accountAfterRefill": before("1000")}, purchase.Unknown},
		"no transaction":    {xmlrpc.Struct{"originTransactionID": nil, "accountBeforeRefill": before("0"), "accountAfterRefill": before("1000")}, purchase.Unknown},
		"unknown currency":  {xmlrpc.Struct{"currency1": "CFA", "accountBeforeRefill": before("0"), "accountAfterRefill": before("1000")}, purchase.Unknown},
		"unreadable master": {xmlrpc.Struct{"masterAccountNumber": "x", "accountBeforeRefill": before("0"), "accountAfterRefill": before("1000")}, purchase.Unknown},
		"no response code":  {xmlrpc.Struct{"responseCode": "0", "accountBeforeRefill": before("0"), "accountAfterRefill": before("1000")}, purchase.Unknown},
		"account twice": {xmlrpc.Struct{"accountBeforeRefill": before("0"), "accountAfterRefill": before("1000", da(21, "1"), da(21, "2"))},
			purchase.Unknown},
		"two bundles": {xmlrpc.Struct{"accountBeforeRefill": before("0"), "accountAfterRefill": before("1000", da(21, "1"), da(22, "2"))},
			purchase.Unknown},
	} {
		if _, given := c.answer["responseCode"]; !given {
			c.answer["responseCode"] = 0
		}
		b := scripted(t, map[string]xmlrpc.Struct{"Refill": c.answer})
		o := b.order(purchase.Credit, 1000)
		got := b.Do(t.Context(), o)
		b.wantKind(name, got, c.want)
		if got.Kind == purchase.Done && (got.Amount != o.Amount || got.Balance != 1000) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestEnquiryBeforeADebit(t *testing.T) {
	for name, c := range map[string]struct {
		details xmlrpc.Struct
		want    purchase.Kind
		reason  purchase.Reason
	}{
		"enough":         {xmlrpc.Struct{"responseCode": 0, "accountValue1": "1000"}, purchase.Done, ""},
		"not stated":     {xmlrpc.Struct{"responseCode": 0}, purchase.Done, ""},
		"too little":     {xmlrpc.Struct{"responseCode": 0, "accountValue1": "999"}, purchase.Refused, purchase.ReasonFunds},
		"blocked":        {xmlrpc.Struct{"responseCode": 0, "accountValue1": "1000", "temporaryBlockedFlag": true}, purchase.Refused, purchase.ReasonBarredLine},
		"no figure":      {xmlrpc.Struct{"responseCode": 0, "accountValue1": "1e3"}, purchase.Unsent, ""},
		"no subscriber":  {xmlrpc.Struct{"responseCode": 102}, purchase.Refused, purchase.ReasonUnknownLine},
		"out of service": {xmlrpc.Struct{"responseCode": 999}, purchase.Unsent, ""},
	} {
		b := scripted(t, map[string]xmlrpc.Struct{"GetAccountDetails": c.details, "UpdateBalanceAndDate": {"responseCode": 0}})
		got := b.Do(t.Context(), b.order(purchase.Charge, 1000))
		b.wantKind(name, got, c.want)
		if got.Reason != c.reason {
			t.Errorf("%s: %q, want %q", name, got.Reason, c.reason)
		}
	}
}

func TestBalancesAsStated(t *testing.T) {
	past, future := time.Now().Add(-48*time.Hour), time.Now().Add(48*time.Hour).Truncate(time.Second)
	noEnd := time.Date(9999, 12, 31, 12, 0, 0, 0, time.UTC)
	withEnd := func(account xmlrpc.Struct, end time.Time) xmlrpc.Struct { account["expiryDate"] = end; return account }
	b := scripted(t, map[string]xmlrpc.Struct{"GetBalanceAndDate": {"responseCode": 0, "currency1": "XOF", "accountValue1": "-7",
		"supervisionExpiryDate":       noEnd,
		"dedicatedAccountInformation": []any{withEnd(da(22, "30"), noEnd), withEnd(da(21, "512"), future), da(99, "5")}}})
	got, err := b.Balance(t.Context(), line)
	if err != nil || got.Main.Minor != -7 || got.Expires != 0 || len(got.Bundles) != 2 || got.Bundles[0].Code != "data" ||
		got.Bundles[0].Expires < purchase.At(future) || got.Bundles[1].Code != "voice" || got.Bundles[1].Expires != 0 {
		t.Errorf("got %+v, %v", got, err)
	}
	b = scripted(t, map[string]xmlrpc.Struct{"GetBalanceAndDate": {"responseCode": 0, "accountValue1": "5",
		"dedicatedAccountInformation": []any{withEnd(da(21, "512"), past)}}})
	if got, err = b.Balance(t.Context(), line); err != nil || len(got.Bundles) != 0 {
		t.Errorf("an expired bundle: %+v, %v", got, err)
	}
	for name, members := range map[string]xmlrpc.Struct{
		"currency": {"accountValue1": "5", "currency1": "XAF"}, "figure": {"accountValue1": int64(5)}, "nothing": {},
		"date": {"accountValue1": "5", "supervisionExpiryDate": "soon"}, "accounts": {"accountValue1": "5", "dedicatedAccountInformation": "none"},
		"account": {"accountValue1": "5", "dedicatedAccountInformation": []any{"x"}}, "code": {"responseCode": 999, "accountValue1": "5"},
	} {
		if _, given := members["responseCode"]; !given {
			members["responseCode"] = 0
		}
		b := scripted(t, map[string]xmlrpc.Struct{"GetBalanceAndDate": members})
		if got, err := b.Balance(t.Context(), line); err == nil {
			t.Errorf("%s: read as %+v", name, got)
		}
	}
}

func TestResendDoesNotLookAtTheBalanceFirst(t *testing.T) {
	b := newBench(t, detecting)
	o := b.order(purchase.Charge, 5000) // all there is
	b.fault(sandbox.Fault{Operation: "charge", Kind: sandbox.LoseReply, Next: 1})
	b.wantKind("charge", b.Do(t.Context(), o), purchase.Unknown)
	b.wantKind("resend", b.Do(t.Context(), again(o)), purchase.Done)
	b.wantMain(0)
}
