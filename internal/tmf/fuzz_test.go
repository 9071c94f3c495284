package tmf_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"tenu/internal/fuzztest"
	"tenu/internal/tmf"
)

// FuzzBodies: whatever a client sends is answered as the description says, costs
// little, tells nobody's number, and a ticket that is made is found again.
func FuzzBodies(f *testing.F) {
	r := sqlite(f)
	reference := r.sell(1, "shop")
	made := r.want(r.call("shop", http.MethodPost, "/troubleTicket", wish(reference, "")), http.StatusCreated, "")
	targets := []struct{ method, path string }{{http.MethodPost, "/troubleTicket"}, {http.MethodPatch, "/troubleTicket/" + made.ID}, {http.MethodPost, "/hub"}}
	f.Add(uint8(0), wish(reference, `,"externalId":"x"`))
	f.Add(uint8(0), `{"description":"a","severity":"minor","ticketType":"other","relatedParty":[{"id":"70112233","@referredType":"Individual"}]}`)
	f.Add(uint8(1), `{"note":[{"id":"x"},{"text":"a","@type":"MessageToCustomer"}]}`)
	f.Add(uint8(1), `{"status":"pending","statusChangeReason":"a"}`)
	f.Add(uint8(1), `{"externalId":"70112233","@type":"TroubleTicket"}`)
	f.Add(uint8(2), `{"callback":"`+r.inbox.URL+`","query":"eventType=TroubleTicketCreateEvent"}`)
	f.Add(uint8(2), `{"callback":"https://u:p@127.0.0.1/70112233#","query":"%zz"}`)
	f.Add(uint8(0), strings.Repeat(`{"note":[`, 2000))
	send := func(t *testing.T, method, path, body string) *httptest.ResponseRecorder {
		q := httptest.NewRequestWithContext(t.Context(), method, tmf.Base+path, strings.NewReader(body))
		q.Header.Set("Authorization", "Bearer "+r.key["shop"])
		if q.Header.Set("Content-Type", "application/json"); body == "" {
			q.Body = http.NoBody
		}
		w := httptest.NewRecorder()
		r.server.Config.Handler.ServeHTTP(w, q)
		return w
	}
	f.Fuzz(func(t *testing.T, which uint8, body string) {
		target := targets[int(which)%len(targets)]
		w := send(t, target.method, target.path, body)
		if w.Code >= http.StatusBadRequest {
			var e tmf.Error
			if err := json.Unmarshal(w.Body.Bytes(), &e); err != nil || e.Code == "" || e.Reason == "" || len(e.Message) > 700 || w.Code >= 500 {
				t.Fatalf("%s %q: %d %s", target.path, body, w.Code, w.Body)
			}
			if !strings.Contains(e.Message, "is unknown, or not kept here") { // the sender's own word
				fuzztest.NoNumber(t, e.Message)
			}
			return
		}
		if target.path == "/troubleTicket" {
			var ticket tmf.Ticket
			if err := json.Unmarshal(w.Body.Bytes(), &ticket); err != nil {
				t.Fatalf("%q: %s", body, w.Body)
			}
			if again := send(t, http.MethodGet, "/troubleTicket/"+ticket.ID, ""); again.Code != http.StatusOK {
				t.Errorf("%q: made %s, and then %d", body, ticket.ID, again.Code)
			}
		}
	})
}
