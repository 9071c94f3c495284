package tmf_test

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"tenu/internal/care"
	"tenu/internal/purchase"
	"tenu/internal/testpeer"
	"tenu/internal/tmf"
)

// wish is the body of a new ticket about a purchase; what is more is put at its end.
func wish(reference, more string) string {
	return `{"description":"Paid, and nothing came","severity":"major","ticketType":"not_received","relatedEntity":[{"id":"` + reference +
		`","role":"purchase","@referredType":"ProductOrder"}]` + more + `}`
}

// eachStore runs a test over both databases.
func eachStore(t *testing.T, run func(*testing.T, *rig)) {
	t.Run("sqlite", func(t *testing.T) { run(t, sqlite(t)) })
	t.Run("postgres", func(t *testing.T) { run(t, start(t, testpeer.VolatilePostgres(t))) })
}

func TestCreateFollowClose(t *testing.T) {
	eachStore(t, func(t *testing.T, r *rig) { story(t, r) })
}

// story is a conversation from its beginning to its end.
func story(t *testing.T, r *rig) {
	reference := r.sell(1, "shop")
	r.want(r.call("shop", http.MethodPost, "/hub", `{"callback":"`+r.inbox.URL+`/events"}`), http.StatusCreated, "")
	body := wish(reference, `,"externalId":"CRM-1","relatedParty":[{"id":"70 11 22 33","role":"customer","@referredType":"Individual"}],"channel":{"id":"app"}`)
	made := r.want(r.call("shop", http.MethodPost, "/troubleTicket", body), http.StatusCreated, "")
	if made.Status != "acknowledged" || made.ExternalID != "CRM-1" || made.TicketType != "not_received" || made.RelatedParty[0].ID != payer.String() ||
		made.RelatedEntity[0].ID != reference || made.Channel.ID != "app" || made.Severity != "major" || made.header.Get("Location") != tmf.Base+"/troubleTicket/"+made.ID {
		t.Fatalf("made %+v, %v", made.Ticket, made.header)
	}
	path := "/troubleTicket/" + made.ID
	for range 2 {
		if again := r.want(r.call("shop", http.MethodPost, "/troubleTicket", body), http.StatusCreated, ""); again.ID != made.ID || len(again.Note) != len(made.Note) {
			t.Errorf("again %+v", again.Ticket)
		}
	}
	noted := r.want(r.call("shop", http.MethodPatch, path, `{"note":[{"text":"Called, nobody there"}]}`, "Content-Type", "application/merge-patch+json"), http.StatusOK, "")
	if n := noted.Note[len(noted.Note)-1]; n.Text != "Called, nobody there" || n.Author != "client shop" || n.Type != "Note" {
		t.Errorf("note %+v", n)
	}
	told := r.want(r.call("shop", http.MethodPatch, path, `{"note":[{"text":"Nous cherchons","@type":"MessageToCustomer"}]}`), http.StatusOK, "")
	if n := told.Note[len(told.Note)-1]; n.Type != "MessageToCustomer" || told.Status != "inProgress" {
		t.Errorf("told %+v, %s", n, told.Status)
	}
	id := must[care.CaseID](t)(r.desk.ParseCase(made.ID))
	if messages, err := r.desk.MessagesOf(t.Context(), id); err != nil || len(messages) != 1 || messages[0].To != payer || !strings.Contains(messages[0].Text, "Nous cherchons") {
		t.Errorf("messages %+v, %v", messages, err)
	}
	r.want(r.call("shop", http.MethodPatch, path, `{"status":"pending"}`), http.StatusOK, "")
	r.want(r.call("shop", http.MethodPatch, path, `{"status":"closed"}`), http.StatusConflict, "outcomeNotShown")
	r.want(r.call("shop", http.MethodPatch, path, `{"status":"inProgress"}`), http.StatusOK, "")
	r.end(1)
	closed := r.want(r.call("shop", http.MethodPatch, path, `{"status":"closed","statusChangeReason":"Rien n'a été pris"}`), http.StatusOK, "")
	if closed.Status != "closed" || closed.StatusChangeReason != "nothing_taken" || closed.ResolutionDate == "" || closed.ExpectedResolutionDate != "" {
		t.Errorf("closed %+v", closed.Ticket)
	}
	var statuses []string
	for _, each := range closed.StatusChange {
		statuses = append(statuses, each.Status)
	}
	if want := []string{"acknowledged", "pending", "inProgress", "closed"}; !slices.Equal(statuses, want) {
		t.Errorf("statuses %v, want %v", statuses, want)
	}
	reopened := r.want(r.call("shop", http.MethodPatch, path, `{"status":"inProgress"}`), http.StatusOK, "")
	if reopened.Status != "inProgress" || reopened.Severity != "critical" {
		t.Errorf("opened again %+v", reopened.Ticket)
	}
	r.want(r.call("shop", http.MethodPatch, path, `{"status":"cancelled"}`), http.StatusOK, "")
	r.tell()
	kinds := r.told()
	for _, kind := range tmf.EventTypes {
		if !slices.Contains(kinds, kind) {
			t.Errorf("%s was not told: %v", kind, kinds)
		}
	}
	if kinds[0] != "TroubleTicketCreateEvent" {
		t.Errorf("told first: %v", kinds)
	}
}

// A client sees the cases of purchases that it sold and those that it opened; others are not there.
func TestWhoSeesWhat(t *testing.T) {
	eachStore(t, func(t *testing.T, r *rig) {
		reference := r.sell(1, "shop")
		made := r.want(r.call("shop", http.MethodPost, "/troubleTicket", wish(reference, "")), http.StatusCreated, "")
		path := "/troubleTicket/" + made.ID
		r.want(r.call("shop", http.MethodPatch, path, `{"note":[{"text":"for ourselves"}]}`), http.StatusOK, "")
		for _, way := range [][2]string{{http.MethodGet, ""}, {http.MethodPatch, `{"status":"cancelled"}`}, {http.MethodPatch, `{"externalId":"mine"}`}} {
			r.want(r.call("other", way[0], path, way[1]), http.StatusNotFound, "notFound")
		}
		r.want(r.call("other", http.MethodPost, "/troubleTicket", wish(reference, "")), http.StatusBadRequest, "entityUnknown")
		for client, want := range map[string]int{"shop": 1, "crm": 1, "other": 0, "reader": 0} {
			if n := len(r.want(r.call(client, http.MethodGet, "/troubleTicket", ""), http.StatusOK, "").list(t)); n != want {
				t.Errorf("%s sees %d", client, n)
			}
		}
		r.want(r.call("reader", http.MethodPost, "/troubleTicket", wish(reference, "")), http.StatusForbidden, "scope_missing")
		r.want(r.call("seller", http.MethodGet, "/troubleTicket", ""), http.StatusForbidden, "scope_missing")
		r.want(r.call("nobody", http.MethodGet, "/troubleTicket", ""), http.StatusUnauthorized, "key_not_accepted")
		r.want(r.call("reader", http.MethodGet, "/troubleTicket?relatedParty.id=70112233", ""), http.StatusForbidden, "scopeMissing")
		// Without the scope of purchases there is no number, and without that of writing no note of the staff's.
		id := must[care.CaseID](t)(r.desk.ParseCase(made.ID))
		_, _, err := r.store.PutExternal(t.Context(), care.External{Client: "reader", Case: id, At: 1})
		fatal(t, err)
		seen := r.want(r.call("reader", http.MethodGet, path, ""), http.StatusOK, "")
		if strings.Contains(string(seen.body), payer.String()) || strings.Contains(string(seen.body), "for ourselves") || seen.RelatedParty[0].ID != payer.Masked() {
			t.Errorf("a reader sees %s", seen.body)
		}
	})
}

// Two clients that report the same of one number do not read each other; the operator's own system reads both.
func TestOneNumberOfTwoClients(t *testing.T) {
	eachStore(t, func(t *testing.T, r *rig) {
		body := func(text string) string {
			return `{"description":"` + text + `","severity":"minor","ticketType":"other","relatedParty":[{"id":"70112233","@referredType":"Individual"}]}`
		}
		shop := r.want(r.call("shop", http.MethodPost, "/troubleTicket", body("said to the shop")), http.StatusCreated, "")
		other := r.want(r.call("other", http.MethodPost, "/troubleTicket", body("said to the other")), http.StatusCreated, "")
		if other.ID == shop.ID || strings.Contains(string(other.body), "shop") {
			t.Errorf("the other reads %s", other.body)
		}
		for client, made := range map[string]*reply{"shop": shop, "other": other} {
			if again := r.want(r.call(client, http.MethodPost, "/troubleTicket", body("more")), http.StatusCreated, ""); again.ID != made.ID {
				t.Errorf("%s: %s is not %s", client, again.ID, made.ID)
			}
		}
		crm := r.want(r.call("crm", http.MethodPost, "/troubleTicket", body("said to us")), http.StatusCreated, "")
		if crm.ID != shop.ID && crm.ID != other.ID {
			t.Errorf("the operator's system opens a third: %s", crm.body)
		}
	})
}

func TestListing(t *testing.T) {
	r := sqlite(t)
	for i := range 5 {
		reference := r.sell(purchase.ID(i+1), "shop")
		r.want(r.call("shop", http.MethodPost, "/troubleTicket", wish(reference, `,"externalId":"T-`+strconv.Itoa(i)+`"`)), http.StatusCreated, "")
	}
	all := r.call("shop", http.MethodGet, "/troubleTicket", "").list(t)
	r.want(r.call("shop", http.MethodPatch, "/troubleTicket/"+all[1].ID, `{"status":"pending"}`), http.StatusOK, "")
	for query, want := range map[string][]string{
		"": {"T-4", "T-3", "T-2", "T-1", "T-0"}, "?limit=2": {"T-4", "T-3"}, "?limit=2&offset=3": {"T-1", "T-0"}, "?offset=9": {}, "?limit=0": {},
		"?status=pending": {"T-3"}, "?status=acknowledged,pending": {"T-4", "T-3", "T-2", "T-1", "T-0"}, "?status=closed": {},
		"?externalId=T-2": {"T-2"}, "?externalId=none": {}, "?relatedParty.id=%2B226%2070-11.22.33": {"T-4", "T-3", "T-2", "T-1", "T-0"},
		"?relatedParty.id=70000000": {}, "?creationDate.gte=" + all[2].CreationDate: {"T-4", "T-3", "T-2"}, "?creationDate.gt=" + all[2].CreationDate: {"T-4", "T-3"},
		"?creationDate.lt=" + all[2].CreationDate: {"T-1", "T-0"}, "?creationDate.lte=" + all[2].CreationDate + "&status=acknowledged": {"T-2", "T-1", "T-0"},
	} {
		p := r.want(r.call("shop", http.MethodGet, "/troubleTicket"+query, ""), http.StatusOK, "")
		got := []string{}
		for _, each := range p.list(t) {
			got = append(got, each.ExternalID)
		}
		if !slices.Equal(got, want) || p.header.Get("X-Result-Count") != strconv.Itoa(len(want)) {
			t.Errorf("%s: %v, want %v; %v", query, got, want, p.header)
		}
	}
	if p := r.call("shop", http.MethodGet, "/troubleTicket?limit=2&fields=status,externalId", ""); p.header.Get("X-Total-Count") != "5" ||
		strings.Contains(string(p.body), "description") || !strings.Contains(string(p.body), `"href"`) {
		t.Errorf("got %s, %v", p.body, p.header)
	}
	for _, query := range []string{"?status=lost", "?limit=101", "?limit=-1", "?limit=x", "?offset=10001", "?fields=secret", "?creationDate.gte=today", "?colour=red",
		"?externalId=", "?externalId=" + strings.Repeat("x", 200), "?relatedParty.id=12"} {
		r.want(r.call("shop", http.MethodGet, "/troubleTicket"+query, ""), http.StatusBadRequest, "queryInvalid")
	}
	r.want(r.call("shop", http.MethodGet, "/troubleTicket?limit=1&limit=2", ""), http.StatusUnprocessableEntity, "request_invalid")
}

// Whoever is late is told so, and nothing is half done.
func TestConcurrentChanges(t *testing.T) {
	r := sqlite(t)
	made := r.want(r.call("shop", http.MethodPost, "/troubleTicket", wish(r.sell(1, "shop"), "")), http.StatusCreated, "")
	path, tag := "/troubleTicket/"+made.ID, made.header.Get("ETag")
	named := r.want(r.call("shop", http.MethodPatch, path, `{"externalId":"A"}`, "If-Match", tag), http.StatusOK, "")
	if named.ExternalID != "A" || named.header.Get("ETag") == tag {
		t.Errorf("named %+v, %v", named.Ticket, named.header)
	}
	r.want(r.call("shop", http.MethodPatch, path, `{"status":"pending"}`, "If-Match", tag), http.StatusPreconditionFailed, "preconditionFailed")
	r.want(r.call("shop", http.MethodPatch, path, `{"status":"pending"}`, "If-Match", named.header.Get("ETag")), http.StatusOK, "")
	r.want(r.call("shop", http.MethodPatch, path, `{"status":"pending"}`, "If-Match", "*"), http.StatusOK, "")
	var together sync.WaitGroup
	var mu sync.Mutex
	done := 0
	for i := range 10 {
		together.Go(func() {
			p := r.call("shop", http.MethodPatch, path, `{"note":[{"text":"note `+strconv.Itoa(i)+`"}]}`)
			mu.Lock()
			defer mu.Unlock()
			if p.status == http.StatusOK {
				done++
			} else if p.code() != "changedMeanwhile" {
				t.Errorf("got %d %s", p.status, p.body)
			}
		})
	}
	together.Wait()
	notes := 0
	for _, n := range r.call("shop", http.MethodGet, path, "").Note {
		if strings.HasPrefix(n.Text, "note ") {
			notes++
		}
	}
	if notes != done || done == 0 {
		t.Errorf("%d were told that it is done, %d are", done, notes)
	}
}

// The same externalId by the same client is one ticket, however many ask at once.
func TestOneTicketForOneName(t *testing.T) {
	eachStore(t, func(t *testing.T, r *rig) {
		body := `{"description":"My line is silent","severity":"minor","ticketType":"other","externalId":"L-1","relatedParty":[{"id":"70112233","@referredType":"Individual"}]}`
		var together sync.WaitGroup
		var mu sync.Mutex
		ids := map[string]bool{}
		for range 8 {
			together.Go(func() {
				p := r.call("shop", http.MethodPost, "/troubleTicket", body)
				if p.status != http.StatusCreated {
					if p.code() != "unavailable" && p.code() != "changedMeanwhile" { // lost a race, and nothing was done
						t.Errorf("got %d %s", p.status, p.body)
					}
					return
				}
				mu.Lock()
				defer mu.Unlock()
				ids[p.ID] = true
			})
		}
		together.Wait()
		if len(ids) != 1 {
			t.Errorf("tickets %v", ids)
		}
		open := 0
		for _, c := range must[[]care.Case](t)(r.desk.CasesOf(t.Context(), payer, 50)) {
			if !c.Status.Closed() {
				open++
			}
		}
		if open != 1 {
			t.Errorf("%d cases are open", open)
		}
		r.want(r.call("shop", http.MethodPost, "/troubleTicket", strings.Replace(body, "70112233", "76445566", 1)), http.StatusConflict, "externalIdInUse")
		r.want(r.call("shop", http.MethodPost, "/troubleTicket", wish(r.sell(3, "shop"), `,"externalId":"L-1"`)), http.StatusConflict, "externalIdInUse")
		other := r.want(r.call("other", http.MethodPost, "/troubleTicket", strings.Replace(body, "70112233", "76445566", 1)), http.StatusCreated, "")
		if ids[other.ID] {
			t.Error("two clients' names are one")
		}
	})
}

// A ticket that a rule settled is resolved until its client agrees.
func TestClientAgrees(t *testing.T) {
	r := sqlite(t)
	made := r.want(r.call("shop", http.MethodPost, "/troubleTicket", wish(r.sell(1, "shop"), "")), http.StatusCreated, "")
	r.end(1)
	id := must[care.CaseID](t)(r.desk.ParseCase(made.ID))
	c := must[care.Case](t)(r.desk.Case(t.Context(), id))
	_, err := r.desk.Act(t.Context(), id, c.Version, care.Actor{Kind: care.ByRule, Name: "settle"}, care.Deed{Do: care.EventSettled, Outcome: care.OutcomeNothingTaken})
	fatal(t, err)
	path := "/troubleTicket/" + made.ID
	if p := r.want(r.call("shop", http.MethodGet, path, ""), http.StatusOK, ""); p.Status != "resolved" {
		t.Errorf("got %+v", p.Ticket)
	}
	r.want(r.call("shop", http.MethodPatch, path, `{"status":"pending"}`), http.StatusConflict, "statusNotReachable")
	if p := r.want(r.call("shop", http.MethodPatch, path, `{"status":"closed"}`), http.StatusOK, ""); p.Status != "closed" {
		t.Errorf("got %+v", p.Ticket)
	}
	if p := r.call("crm", http.MethodGet, path, ""); p.Status != "resolved" {
		t.Errorf("another client sees %s", p.Status)
	}
	for query, want := range map[string]int{"?status=closed": 1, "?status=resolved": 0} {
		if n := len(r.call("shop", http.MethodGet, "/troubleTicket"+query, "").list(t)); n != want {
			t.Errorf("%s: %d", query, n)
		}
	}
}

func TestHub(t *testing.T) {
	r := sqlite(t)
	callback := `{"callback":"` + r.inbox.URL + `/e","query":"eventType=TroubleTicketResolvedEvent"}`
	first := r.want(r.call("shop", http.MethodPost, "/hub", callback), http.StatusCreated, "")
	again := r.want(r.call("shop", http.MethodPost, "/hub", callback), http.StatusCreated, "")
	if first.ID == "" || first.ID != again.ID {
		t.Errorf("%s, again %s", first.body, again.body)
	}
	for body, code := range map[string]string{
		`{"callback":"https://evil.example/"}`: "callbackRefused", `{"callback":"` + strings.Replace(r.inbox.URL, "https", "http", 1) + `"}`: "callbackRefused",
		`{}`: "attributeInvalid", `{"callback":"` + r.inbox.URL + `","query":"eventType=Birth"}`: "attributeInvalid", `{"callback":7}`: "attributeInvalid",
		`{"callback":"` + r.inbox.URL + `","query":"status=closed"}`: "attributeInvalid", `{"callback":"` + r.inbox.URL + `","id":"x"}`: "attributeInvalid",
	} {
		r.want(r.call("shop", http.MethodPost, "/hub", body), http.StatusBadRequest, code)
	}
	for i := 1; i < 20; i++ {
		r.want(r.call("shop", http.MethodPost, "/hub", fmt.Sprintf(`{"callback":"%s/%d"}`, r.inbox.URL, i)), http.StatusCreated, "")
	}
	r.want(r.call("shop", http.MethodPost, "/hub", `{"callback":"`+r.inbox.URL+`/more"}`), http.StatusConflict, "tooManyListeners")
	r.want(r.call("other", http.MethodDelete, "/hub/"+first.ID, ""), http.StatusNotFound, "notFound")
	r.want(r.call("shop", http.MethodDelete, "/hub/"+first.ID, ""), http.StatusNoContent, "")
	r.want(r.call("shop", http.MethodDelete, "/hub/"+first.ID, ""), http.StatusNotFound, "notFound")
}

// A listener is told what its client may see and asked for.
func TestListenersHearTheirOwn(t *testing.T) {
	r := sqlite(t)
	r.want(r.call("other", http.MethodPost, "/hub", `{"callback":"`+r.inbox.URL+`/other"}`), http.StatusCreated, "")
	r.want(r.call("crm", http.MethodPost, "/hub", `{"callback":"`+r.inbox.URL+`/crm","query":"eventType=TroubleTicketCreateEvent"}`), http.StatusCreated, "")
	made := r.want(r.call("shop", http.MethodPost, "/troubleTicket", wish(r.sell(1, "shop"), "")), http.StatusCreated, "")
	r.want(r.call("shop", http.MethodPatch, "/troubleTicket/"+made.ID, `{"status":"pending"}`), http.StatusOK, "")
	r.tell()
	if told := r.told(); !slices.Equal(told, []string{"TroubleTicketCreateEvent"}) {
		t.Errorf("told %v", told)
	}
}

// A client is told that its ticket was made even by a courier that is faster than whoever notes whose it is.
func TestListenerHearsAtOnce(t *testing.T) {
	r := sqlite(t)
	for _, client := range []string{"shop", "other"} {
		r.want(r.call(client, http.MethodPost, "/hub", `{"callback":"`+r.inbox.URL+`/`+client+`"}`), http.StatusCreated, "")
	}
	_, _, err := r.desk.Open(t.Context(), care.Actor{Kind: care.ByClient, Name: "shop"}, care.NewCase{Number: payer, Matter: care.MatterOther, Detail: "x", Channel: "api"})
	fatal(t, err)
	r.tell()
	if told := r.told(); !slices.Equal(told, []string{"TroubleTicketCreateEvent", "TroubleTicketAttributeValueChangeEvent"}) {
		t.Errorf("told %v", told)
	}
}

// hostile are requests that must be refused, with the answer's status and code.
func hostile(r *rig) (path string, all []struct {
	method, path, body string
	status             int
	code               string
}) {
	reference := r.sell(1, "shop")
	made := r.want(r.call("shop", http.MethodPost, "/troubleTicket", wish(reference, "")), http.StatusCreated, "")
	path = "/troubleTicket/" + made.ID
	add := func(method, path, body string, status int, code string) {
		all = append(all, struct {
			method, path, body string
			status             int
			code               string
		}{method, path, body, status, code})
	}
	const post, patch = http.MethodPost, http.MethodPatch
	for _, body := range []string{`[]`, `7`, `{`, `{"description":"x"`, `{} {}`, "{\"a\":\"\xff\"}", `{"description":"a","description":"b"}`, `{"note":{"a":{"a":{"a":{"a":{"a":{"a":{"a":{}}}}}}}}}`} {
		add(post, "/troubleTicket", body, http.StatusBadRequest, "bodyMalformed")
		add(patch, path, body, http.StatusBadRequest, "bodyMalformed")
	}
	for _, body := range []string{`{}`, `{"DESCRIPTION":"x"}`, wish(reference, `,"colour":"red"`), wish(reference, `,"creationDate":"2026-01-01T00:00:00Z"`),
		wish(reference, `,"externalId":"`+strings.Repeat("x", 129)+`"`), wish(reference, `,"externalId":"a\u0000b"`), wish(reference, `,"status":"closed"`),
		wish(reference, `,"relatedParty":[{"id":"70999999","@referredType":"Individual"}]`), wish(reference, `,"relatedParty":[{"id":"x","@referredType":"Individual"}]`),
		wish(reference, `,"relatedParty":[{"id":"70112233"}]`), wish(reference, `,"channel":{"id":"telex"}`), strings.Replace(wish(reference, ""), "not_received", "exposure", 1),
		strings.Replace(wish(reference, ""), "major", "mild", 1), strings.Replace(wish(reference, ""), "ProductOrder", "Product", 1),
		`{"description":"x","severity":"minor","ticketType":"other"}`, `{"description":"` + strings.Repeat("x", 501) + `","severity":"minor","ticketType":"other"}`} {
		add(post, "/troubleTicket", body, http.StatusBadRequest, "attributeInvalid")
	}
	for _, entity := range []string{"K7M2-Q4XD-9T", "", "nothing", strings.Repeat("9", 1000)} {
		add(post, "/troubleTicket", wish(entity, ""), http.StatusBadRequest, "entityUnknown")
	}
	for _, body := range []string{`{}`, `{"status":"closed","externalId":"x"}`, `{"note":[{"text":"a"},{"text":"b"}]}`, `{"note":[{"text":""}]}`, `{"note":[{"text":"a","@type":"Shout"}]}`,
		`{"note":[{"text":"` + strings.Repeat("x", 501) + `"}]}`, `{"status":"lost"}`, `{"status":7}`, `{"statusChangeReason":"x"}`, `{"externalId":""}`, `{"description":"x"}`, `{"note":null}`} {
		add(patch, path, body, http.StatusBadRequest, "attributeInvalid")
	}
	for _, status := range []string{"held", "rejected", "inProgress"} {
		add(patch, path, `{"status":"`+status+`"}`, http.StatusConflict, "statusNotReachable")
	}
	add(post, "/troubleTicket", `{"description":"`+strings.Repeat("x", 17<<10)+`"}`, http.StatusRequestEntityTooLarge, "body_too_large")
	add(http.MethodDelete, path, "", http.StatusMethodNotAllowed, "method_not_allowed")
	add(http.MethodPut, path, `{}`, http.StatusMethodNotAllowed, "method_not_allowed")
	add(http.MethodGet, "/nothing", "", http.StatusNotFound, "route_not_found")
	add(http.MethodGet, "/troubleTicket/D-AAAA-AAAA-AA", "", http.StatusNotFound, "notFound")
	add(http.MethodGet, "/troubleTicket/%00", "", http.StatusNotFound, "notFound")
	add(http.MethodGet, path+"?fields=status&x=1", "", http.StatusBadRequest, "queryInvalid")
	return path, all
}

func TestHostileRequests(t *testing.T) {
	r := sqlite(t)
	path, all := hostile(r)
	before := string(r.call("shop", http.MethodGet, path+"?fields=lastUpdate,note", "").body)
	for _, c := range all {
		p := r.call("shop", c.method, c.path, c.body)
		if p.status != c.status || p.code() != c.code {
			t.Errorf("%s %s %.200q: %d %s, want %d %s", c.method, c.path, c.body, p.status, p.body, c.status, c.code)
		}
	}
	r.want(r.call("shop", http.MethodPost, "/troubleTicket", `{}`, "Content-Type", "text/plain"), http.StatusUnsupportedMediaType, "content_type_wrong")
	if after := string(r.call("shop", http.MethodGet, path+"?fields=lastUpdate,note", "").body); after != before {
		t.Errorf("what was refused changed %s to %s", before, after)
	}
}
