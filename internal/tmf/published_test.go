package tmf_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tenu/internal/testpeer"
	"tenu/internal/tmf"
)

// published is TM Forum's description of the API; without it the test is skipped, in CI
// it fails.
func published(t *testing.T) string {
	t.Helper()
	folder := os.Getenv("TENU_SPECS")
	if folder == "" {
		folder = "../../../shared/specs"
	}
	file := must[string](t)(filepath.Abs(filepath.Join(folder, "tmf621-v4-trouble-ticket.json")))
	if _, err := os.Stat(file); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("the published description is not here: %v", err)
		}
		t.Skipf("the published description is not here, put it into a folder that TENU_SPECS names: %v", err)
	}
	return file
}

// ask has the description's validator judge.
func ask(t *testing.T, validator *testpeer.Node, x exchange) string {
	t.Helper()
	return validator.Ask(string(must[[]byte](t)(json.Marshal(x))))
}

// Every answer and every event is as published, by a validator that is not ours and
// that knows nothing else.
func TestPublishedDescription(t *testing.T) {
	validator := testpeer.RunNode(t, "test/tmf621", "validator.js", published(t))
	r := sqlite(t)
	story(t, r)
	r.call("shop", http.MethodGet, "/troubleTicket?limit=3", "")
	r.call("shop", http.MethodGet, "/troubleTicket?fields=status", "")
	r.call("nobody", http.MethodGet, "/troubleTicket", "")
	r.call("seller", http.MethodGet, "/troubleTicket", "")
	listener := r.call("shop", http.MethodPost, "/hub", `{"callback":"`+r.inbox.URL+`/again","query":"eventType=TroubleTicketCreateEvent"}`)
	r.call("shop", http.MethodPost, "/hub", `{"callback":"https://evil.example/"}`)
	r.call("shop", http.MethodDelete, "/hub/"+listener.ID, "")
	r.call("shop", http.MethodDelete, "/hub/"+listener.ID, "")
	other := sqlite(t)
	_, all := hostile(other)
	for _, c := range all {
		other.call("shop", c.method, c.path, c.body)
	}
	seen := map[string]bool{}
	for _, x := range append(r.exchanges, other.exchanges...) {
		if strings.HasPrefix(x.Path, "/nothing") {
			continue
		}
		if len(x.Body) == 0 {
			x.Body = nil
		}
		what := x.Method + " " + x.Path
		if x.Event != nil {
			what = "event"
		}
		seen[what] = true
		if verdict := ask(t, validator, x); verdict != "ok" {
			t.Errorf("%s %d: %s: %s%s", what, x.Status, verdict, x.Body, x.Event)
		}
	}
	for _, what := range []string{"event", "GET /troubleTicket", "POST /troubleTicket", "GET /troubleTicket/{id}", "PATCH /troubleTicket/{id}", "POST /hub", "DELETE /hub/{id}"} {
		if !seen[what] {
			t.Errorf("never judged: %s", what)
		}
	}
	// It does object.
	for _, wrong := range []exchange{
		{Method: "GET", Path: "/troubleTicket/{id}", Status: 200, Body: json.RawMessage(`{"status":"lost"}`)},
		{Method: "GET", Path: "/troubleTicket", Status: 200, Body: json.RawMessage(`{}`)},
		{Method: "GET", Path: "/troubleTicket/{id}", Status: 200, Body: json.RawMessage(`{"creationDate":"today"}`)},
		{Method: "GET", Path: "/troubleTicket/{id}", Status: 200, Body: json.RawMessage(`{"colour":"red"}`)},
		{Method: "GET", Path: "/troubleTicket/{id}", Status: 404, Body: json.RawMessage(`{"code":"x"}`)},
		{Method: "POST", Path: "/hub", Status: 201, Body: json.RawMessage(`{"id":"x"}`)},
		{Method: "PUT", Path: "/hub", Status: 200, Body: json.RawMessage(`{}`)},
		{Event: json.RawMessage(`{"eventType":"TroubleTicketCreateEvent","event":{"troubleTicket":{"note":{}}}}`)},
		{Event: json.RawMessage(`{"eventType":"Birth"}`)},
	} {
		if verdict := ask(t, validator, wrong); verdict == "ok" {
			t.Errorf("the validator does not object to %+v", wrong)
		}
	}
}

// A client that is made from the published description, by somebody else's generator, creates, follows and
// closes a case.
func TestGeneratedClient(t *testing.T) {
	description := published(t)
	r := sqlite(t)
	reference := r.sell(1, "shop")
	client := testpeer.RunNode(t, "test/tmf621", "client.js", description, r.server.URL+tmf.Base, r.key["shop"], reference, r.inbox.URL+"/events")
	expect := func(want string) {
		t.Helper()
		if got := client.Line(); got != want {
			t.Fatalf("the client saw %s, want %s", got, want)
		}
	}
	expect(`{"listener":"` + r.inbox.URL + `/events"}`)
	expect(`{"status":"acknowledged","type":"not_received","external":"CRM-1","same":true}`)
	expect(`{"listed":true,"total":"1"}`)
	expect(`{"notes":["not_received Paid, and nothing came","The customer was called"],"status":"pending"}`)
	expect(`{"status":409,"code":"outcomeNotShown"}`)
	r.end(1)
	if got, want := client.Ask("ended"), `{"status":"closed","read":"closed","reason":"nothing_taken","resolved":true,"changes":["acknowledged","pending","closed"]}`; got != want {
		t.Fatalf("the client saw %s, want %s", got, want)
	}
	expect(`{"status":405}`) // the generated client reads no body where the description has none for success
	expect(`{"status":404}`)
}
