package ucip

import (
	"encoding/json"
	"testing"
	"time"

	"tenu/internal/money"
	"tenu/internal/partner"
	"tenu/internal/purchase"
	"tenu/internal/testpeer"
)

// The adapter before a server that is not ours.
func TestAgainstAnIndependentServer(t *testing.T) {
	node := testpeer.RunNode(t, "test/xmlrpc", "server.js")
	transport := partner.Transport(4, time.Second, nil)
	t.Cleanup(transport.CloseIdleConnections)
	p, err := New(Config{Name: "air", URL: "http://127.0.0.1:" + node.Line() + "/Air", HostName: "tenu", Currency: money.XOF, Profile: "AIR",
		Bundles: map[string]Bundle{"data-1g": {Profile: "D1G", Account: 21, Value: 1024, Unit: "MB"}}}, transport, clock{}.Now)
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{Partner: p, t: t}
	for _, step := range []struct {
		order purchase.Order
		want  purchase.Kind
		main  int64
	}{
		{b.order(purchase.Credit, 1000), purchase.Done, 6000},
		{b.order(purchase.Charge, 2000), purchase.Done, 4000},
		{b.order(purchase.Charge, 5000), purchase.Refused, 4000},
		{again(b.order(purchase.Charge, 5000)), purchase.Refused, 4000}, // by the server, without an enquiry
		{b.order(purchase.Refund, 2000), purchase.Done, 6000},
		{b.bundle(purchase.Credit, "data-1g", 500), purchase.Done, 6000},
		{b.bundle(purchase.Reversal, "data-1g", 500), purchase.Done, 6000},
		{again(b.bundle(purchase.Reversal, "data-1g", 500)), purchase.Refused, 6000},
	} {
		got := b.Do(t.Context(), step.order)
		b.wantKind(step.order.Leg.String(), got, step.want)
		if step.want == purchase.Done && (got.Amount != step.order.Amount || got.Product != step.order.Product) {
			t.Errorf("%v: %+v does not say what was asked for", step.order.Leg, got)
		}
		b.wantMain(step.main)
	}
	var calls []struct {
		Method  string
		Members map[string]any
		Dated   bool
	}
	if err := json.Unmarshal([]byte(node.Ask("calls")), &calls); err != nil || len(calls) == 0 {
		t.Fatalf("%d calls: %v", len(calls), err)
	}
	for _, c := range calls {
		if !c.Dated || c.Members["originHostName"] != "tenu" || c.Members["subscriberNumber"] != "22670112233" {
			t.Errorf("the server read %+v", c)
		}
	}
}

// A client that is not ours before the sandbox charging system.
func TestSandboxWithAnIndependentClient(t *testing.T) {
	b := newBench(t)
	node := testpeer.RunNode(t, "test/xmlrpc", "client.js")
	ask := func(method string, members map[string]any) (result map[string]any, fault float64) {
		t.Helper()
		for name, value := range map[string]any{"originNodeType": "EXT", "originHostName": "npm", "subscriberNumberNAI": 1,
			"subscriberNumber": "22670112233", "originTimeStamp": map[string]string{"$date": "2026-07-09T13:45:00Z"}} {
			if _, given := members[name]; !given {
				members[name] = value
			}
		}
		line, err := json.Marshal(map[string]any{"url": b.url + "/Air", "user": "tenu", "password": "secret", "method": method, "members": members})
		if err != nil {
			t.Fatal(err)
		}
		var answer struct {
			Result map[string]any
			Fault  float64
			Error  string
		}
		if err := json.Unmarshal([]byte(node.Ask(string(line))), &answer); err != nil || answer.Error != "" {
			t.Fatalf("%s: %v %s", method, err, answer.Error)
		}
		return answer.Result, answer.Fault
	}
	refill := func(transaction string) map[string]any {
		return map[string]any{"originTransactionID": transaction, "transactionAmount": "1000", "transactionCurrency": "XOF",
			"refillProfileID": "AIR", "requestRefillAccountBeforeFlag": true, "requestRefillAccountAfterFlag": true}
	}
	got, _ := ask("Refill", refill("1"))
	before, _ := got["accountBeforeRefill"].(map[string]any)
	after, _ := got["accountAfterRefill"].(map[string]any)
	if got["responseCode"] != 0.0 || got["originTransactionID"] != "1" || before["accountValue1"] != "5000" || after["accountValue1"] != "6000" {
		t.Errorf("refill: %v", got)
	}
	got, _ = ask("UpdateBalanceAndDate", map[string]any{"originTransactionID": "2", "transactionCurrency": "XOF", "adjustmentAmountRelative": "-6001"})
	if got["responseCode"] != 124.0 {
		t.Errorf("debit of too much: %v", got)
	}
	got, _ = ask("GetBalanceAndDate", map[string]any{"originTransactionID": "3"})
	if got["accountValue1"] != "6000" || got["currency1"] != "XOF" {
		t.Errorf("balance: %v", got)
	}
	if _, fault := ask("Refund", map[string]any{"originTransactionID": "4"}); fault != 1004 {
		t.Errorf("unknown method: fault %v", fault)
	}
	if _, fault := ask("GetBalanceAndDate", map[string]any{}); fault != 1001 {
		t.Errorf("no transaction: fault %v", fault)
	}
	if got, _ := ask("GetAccountDetails", map[string]any{"originTransactionID": "5", "subscriberNumber": "22699999999"}); got["responseCode"] != 102.0 {
		t.Errorf("unknown line: %v", got)
	}
}
